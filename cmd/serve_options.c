/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cmd.h"
#include "options.h"
#include "target.h"

#define DEFAULT_ADDRESS "127.0.0.1:6060"

enum {
	OPTION_ALLOW_REMOTE = SAMPLING_OPTIONS_END,
	OPTION_TOKEN_FILE,
	OPTION_SAME_USER,
	OPTION_MAX_SAMPLES,
	OPTION_WAIT,
};

static const struct option_row rows[] = {
	{'p', "pid", "PID", "profile this running process; may be repeated", OPTION_PID},
	{'n', "name", "NAME", "profile all processes of this name, those started later, too",
	 OPTION_NAME},
	{OPTION_WAIT, "wait", NULL, "with -n: also while there is no such process"},
	SAMPLING_ROW_TID,
	{'l', "listen", "ADDRESS",
	 "HOST:PORT, port 0 for a free one, or unix:PATH (default " DEFAULT_ADDRESS ")"},
	{OPTION_ALLOW_REMOTE, "allow-remote", NULL,
	 "listen on addresses that other machines can reach"},
	{OPTION_TOKEN_FILE, "token-file", "FILE", "answer only who knows the token in this file",
	 OPTION_FILE},
	{OPTION_SAME_USER, "same-user", NULL, "answer only programs of the same user, and root's"},
	{OPTION_MAX_SAMPLES, "max-samples", "N",
	 "merge the smallest stacks into [other] beyond so many in one answer"},
	SAMPLING_ROW_FREQUENCY,
	SAMPLING_ROWS_HOW,
	{'v', "verbose", NULL, "print what happens; twice: also internal errors"},
};

const struct option_table serve_options = {
	.usage = "cprof serve [OPTIONS] -p PID [-p PID...] | -n NAME\n"
		 "       cprof serve [OPTIONS] -- COMMAND [ARGUMENTS]",
	.about = "Serves the profiles of processes over HTTP, at /debug/pprof/ as Go programs do, "
		 "to go tool\npprof and to scrapers. A process is looked at only while somebody "
		 "asks.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.see = "cprof-serve(1)",
};

static bool parse_address(const char *text, struct serve_address *ret_address)
{
	int r = serve_address_parse(text, ret_address);

	switch (r) {
	case 0:
		return true;
	case SERVE_ADDRESS_MALFORMED:
		fprintf(stderr,
			"cprof: -l wants HOST:PORT, e.g. 127.0.0.1:6060 or [::1]:0, or unix:PATH, "
			"not '%s'.\n",
			text);
		return false;
	case SERVE_ADDRESS_TOO_LONG:
		fprintf(stderr, "cprof: the path of a Unix socket has 107 characters at most.\n");
		return false;
	default:
		fprintf(stderr, "cprof: there is no host '%s'.\n", ret_address->host);
		return false;
	}
}

/* Its first line. */
static bool read_token(struct serve_command *command, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat file;
	ssize_t n = fd < 0 ? -1 : read(fd, command->token, sizeof(command->token) - 1);

	if (n < 0) {
		fprintf(stderr, "cprof: cannot read the token in %s: %s\n", path, strerror(errno));
		return false;
	}
	command->token[n] = '\0';
	command->token[strcspn(command->token, "\r\n")] = '\0';
	if (!command->token[0] || strlen(command->token) == sizeof(command->token) - 1) {
		fprintf(stderr,
			"cprof: %s wants a token of 1 to %zu characters in its first line.\n", path,
			sizeof(command->token) - 2);
		return false;
	}
	if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_mode & (S_IROTH | S_IRGRP))
		fprintf(stderr, "cprof: others can read %s; 'chmod 600 %s' mends that.\n", path,
			path);
	command->serve.token = command->token;
	return true;
}

/* The first is also the one of a command that serves one. */
static bool parse_pid(struct serve_command *command, const char *text)
{
	struct sampler_options *sampler = &command->sampling.session.sampler;
	pid_t pid, *slot;

	if (!target_parse_pid(text, "-p", &pid))
		return false;
	sampler->pid = sampler->pid ?: pid;
	for (size_t i = 0; i < command->pids.n; i++) {
		if (command->pids.items[i] == pid)
			return true;
	}
	slot = vec_push(&command->pids);
	if (slot)
		*slot = pid;
	return slot != NULL;
}

static bool check_many(struct serve_command *command)
{
	command->serve.is_many = command->pids.n > 1 || command->sampling.name;
	if (command->serve.stays && !command->sampling.name) {
		fprintf(stderr, "cprof: --wait goes with -n NAME only: what else would come?\n");
		return false;
	}
	if (command->serve.is_many && command->sampling.tids.n) {
		fprintf(stderr, "cprof: --tid names threads of one process; it goes with one -p "
				"PID only.\n");
		return false;
	}
	return true;
}

static bool parse_one(struct serve_command *command, int option, const char *text)
{
	uint64_t number;

	switch (option) {
	case 'p':
		return parse_pid(command, text);
	case OPTION_WAIT:
		command->serve.stays = true;
		return true;
	case 'n':
		command->sampling.name = text;
		return true;
	case 'l':
		return parse_address(text, &command->serve.address);
	case OPTION_ALLOW_REMOTE:
		command->allow_remote = true;
		return true;
	case OPTION_TOKEN_FILE:
		return read_token(command, text);
	case OPTION_SAME_USER:
		command->serve.same_user = true;
		return true;
	case OPTION_MAX_SAMPLES:
		if (parse_u64(text, 1, UINT32_MAX, &number) < 0) {
			fprintf(stderr,
				"cprof: --max-samples wants a number from 1 on, not '%s'.\n", text);
			return false;
		}
		command->serve.max_samples = (uint32_t)number;
		return true;
	case 'v':
		command->verbose++;
		return true;
	default:
		return sampling_parse(&command->sampling, option, text);
	}
}

static bool check_address(const struct serve_command *command)
{
	if (serve_address_is_local(&command->serve.address))
		return true;
	if (!command->allow_remote) {
		fprintf(stderr,
			"cprof: other machines can reach %s, and would see the names of the "
			"program's functions,\nfiles and threads; --allow-remote allows that.\n",
			command->serve.address.host);
		return false;
	}
	fprintf(stderr, "cprof: whoever reaches %s can profile the process%s.\n",
		command->serve.address.host,
		command->serve.token ? " with the token, which is sent unencrypted"
				     : "; --token-file asks for a token");
	return true;
}

int serve_options_parse(struct serve_command *command, int argc, char **argv)
{
	struct sampler_options *sampler = &command->sampling.session.sampler;
	const char *text;
	int option;

	sampling_init(&command->sampling, argc, argv);
	(void)serve_address_parse(DEFAULT_ADDRESS, &command->serve.address);
	while ((option = options_next(&serve_options, argc, argv, &text)) != OPTIONS_END) {
		if (option == OPTIONS_HELP)
			return OPTIONS_HELP;
		if (option == OPTIONS_BAD || !parse_one(command, option, text))
			return CMD_USAGE;
	}
	if (!sampling_check(&command->sampling, argc, argv, "-n NAME") || !check_many(command) ||
	    !check_address(command))
		return CMD_USAGE;
	sampler->types = SERVE_TYPES;
	sampler->on_demand = true;
	command->serve.hz = sampler->hz;
	return CMD_OK;
}

void serve_options_deinit(struct serve_command *command)
{
	vec_deinit(&command->pids);
	sampling_deinit(&command->sampling);
}
