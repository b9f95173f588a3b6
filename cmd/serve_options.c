/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_options.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cmd.h"
#include "heap_options.h"
#include "options.h"
#include "secret_file.h"
#include "session/session_heap.h"
#include "target.h"

#define DEFAULT_ADDRESS "127.0.0.1:6060"
#define DEFAULT_INTERVAL (15 * NSEC_PER_SEC)
#define SHORTEST_INTERVAL NSEC_PER_SEC
#define LONGEST_INTERVAL                                                                           \
	(1800 * NSEC_PER_SEC) /* Pyroscope takes nothing that began an hour ago                    \
			       */
#define PUSH_TYPES "cpu, wall, block, mutex, threadcreate, heap"
#define DEFAULT_WINDOW "2m"
#define DEFAULT_WINDOW_NS (120 * NSEC_PER_SEC)
#define MAX_WINDOW_NS (3600 * NSEC_PER_SEC)
/* Not the births of threads, for which all of them would stay traced. */
#define CONTINUOUS_TYPES (SAMPLER_CPU | SAMPLER_WALL | SAMPLER_BLOCK | SAMPLER_MUTEX)

enum {
	OPTION_ALLOW_REMOTE = SAMPLING_OPTIONS_END,
	OPTION_TOKEN_FILE,
	OPTION_SAME_USER,
	OPTION_MAX_SAMPLES,
	OPTION_INTERVAL,
	OPTION_PUSH_TYPES,
	OPTION_CONTINUOUS,
	OPTION_WINDOW,
	OPTION_WAIT,
	OPTION_HEAP,
	OPTION_HEAP_RATE,
	OPTION_CUSTOM,
	OPTION_PROBES,
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
	 "merge the smallest stacks into [other] beyond so many in one answer or push"},
	{OPTION_CONTINUOUS, "continuous", NULL,
	 "sample all the time, not only while somebody asks"},
	{SAMPLING_TYPE, "type", "TYPE[,TYPE...]",
	 "with --continuous: what (default cpu,wall,block,mutex)",
	 "cpu wall block mutex threadcreate"},
	{OPTION_WINDOW, "window", "TIME",
	 "with --continuous: how far back past=1 reaches (default " DEFAULT_WINDOW ")"},
	{OPTION_HEAP, "heap", NULL,
	 "also heap and allocs: puts code that counts allocations into the process"},
	{OPTION_HEAP_RATE, "heap-rate", "BYTES",
	 "with --heap: mean bytes between two samples; 1: all (default 524288)"},
	{OPTION_CUSTOM, "custom", "PROFILE",
	 "also a custom profile, likewise: fd, mmap, thread, dlopen, a name of cprof/probe.h, or\n"
	 "'NAME: add=FUNC[:ret|:argN], remove=FUNC[:argN][, size=argN]'; may be repeated"},
	{OPTION_PROBES, "probes", NULL,
	 "also those of cprof/probe.h that the processes have, likewise"},
	PUSH_ROWS,
	{OPTION_PUSH_TYPES, "push-types", "TYPE[,TYPE...]",
	 "what to push: cpu (default), wall, block, mutex, threadcreate, heap",
	 "cpu wall block mutex threadcreate heap"},
	{OPTION_INTERVAL, "interval", "TIME", "push a profile for each such time (default 15s)"},
	SAMPLING_ROW_FREQUENCY,
	SAMPLING_ROWS_HOW,
	{'v', "verbose", NULL, "print what happens; twice: also internal errors"},
};

const struct option_table serve_options = {
	.usage = "cprof serve [OPTIONS] -p PID [-p PID...] | -n NAME\n"
		 "       cprof serve [OPTIONS] -- COMMAND [ARGUMENTS]",
	.about = "Serves the profiles of processes over HTTP, at /debug/pprof/ as Go programs do, "
		 "to go tool\npprof and to scrapers, and pushes them to a Pyroscope server. A "
		 "process is looked at only\nwhile somebody asks, or all the time with "
		 "--continuous or --push.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.see = "cprof-serve(1)",
};

/* A declaration, or a name. */
static bool parse_custom(struct custom_options *custom, const char *text)
{
	if (!strchr(text, ':'))
		return custom_options_want(custom, text);
	return custom_options_declare(custom, text) &&
	       custom_options_want(custom, custom->declared.items[custom->declared.n - 1]->name);
}

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

static bool parse_token(struct serve_command *command, const char *path)
{
	if (!secret_file_read(path, "token", command->token, sizeof(command->token)))
		return false;
	command->serve.token = command->token;
	return true;
}

static bool parse_push_types(struct serve_command *command, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	while (copy && (part = strsep(&rest, ","))) {
		const struct session_type *type = session_type_find(part);

		if (strcmp(part, "heap") == 0) {
			command->serve.push.heap = true;
			continue;
		}
		if (!type || !(type->type & SERVE_TYPES)) {
			fprintf(stderr,
				"cprof: there is no type '%s' to push; known: " PUSH_TYPES ".\n",
				part);
			return false;
		}
		command->serve.push.types |= type->type;
	}
	return copy != NULL;
}

static bool parse_window(struct serve_command *command, const char *text)
{
	if (!sampling_parse_time(text, "--window", &command->serve.window_ns))
		return false;
	if (command->serve.window_ns <= MAX_WINDOW_NS)
		return true;
	fprintf(stderr, "cprof: --window wants an hour at most, not '%s'.\n", text);
	return false;
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
		return parse_token(command, text);
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
	case OPTION_INTERVAL:
		command->has_interval = true;
		return sampling_parse_time(text, "--interval", &command->serve.push.interval_ns);
	case OPTION_PUSH_TYPES:
		return parse_push_types(command, text);
	case OPTION_CONTINUOUS:
		command->continuous = true;
		return true;
	case OPTION_HEAP:
		command->heap = true;
		return true;
	case OPTION_HEAP_RATE:
		return heap_options_parse_rate(text, &command->serve.heap_rate);
	case OPTION_CUSTOM:
		return parse_custom(&command->custom, text);
	case OPTION_PROBES:
		command->probes = true;
		return true;
	case OPTION_WINDOW:
		return parse_window(command, text);
	case 'v':
		command->verbose++;
		return true;
	default:
		if (option >= PUSH_OPTION_URL)
			return push_options_parse(&command->push, option, text);
		return sampling_parse(&command->sampling, option, text);
	}
}

static bool resolve_customs(struct serve_command *command)
{
	struct custom_options *custom = &command->custom;

	if (command->probes && !command->pids.n) {
		fputs("cprof: --probes wants -p PID; name them with --custom NAME.\n", stderr);
		return false;
	}
	for (size_t i = 0; i < command->pids.n && command->probes; i++) {
		if (!custom_options_want_probes(custom, command->pids.items[i]))
			return false;
	}
	/* Of a process that is not here yet any name may be one of its probes. */
	custom->takes_all = !command->pids.n;
	if (!custom_options_check(custom) ||
	    !custom_options_resolve(custom, command->pids.n ? command->pids.items[0] : 0))
		return false;
	for (unsigned i = 0; i < custom->n_wanted; i++) {
		if (!serve_has_name(custom->wanted[i]->name))
			continue;
		fprintf(stderr, "cprof: %s is something else that is served; choose a name.\n",
			custom->wanted[i]->name);
		return false;
	}
	command->serve.customs = custom->wanted;
	command->serve.n_customs = custom->n_wanted;
	return true;
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

static bool check_push(struct serve_command *command)
{
	struct serve_push_options *push = &command->serve.push;

	if (!push_options_check(&command->push))
		return false;
	if (!command->push.url && (command->has_interval || push->types || push->heap)) {
		fprintf(stderr, "cprof: %s goes with --push URL only.\n",
			command->has_interval ? "--interval" : "--push-types");
		return false;
	}
	if (push->interval_ns < SHORTEST_INTERVAL || push->interval_ns > LONGEST_INTERVAL) {
		fprintf(stderr, "cprof: --interval wants a time from 1s to 30m.\n");
		return false;
	}
	if (push->heap && !command->heap) {
		fprintf(stderr, "cprof: --push-types heap goes with --heap only.\n");
		return false;
	}
	push->types = push->types || push->heap ? push->types : SAMPLER_CPU;
	return true;
}

static bool check_continuous(struct serve_command *command)
{
	unsigned types = command->sampling.session.sampler.types;

	if (!command->continuous && (types || command->serve.window_ns)) {
		fprintf(stderr, "cprof: %s says what --continuous samples, which is missing.\n",
			types ? "--type" : "--window");
		return false;
	}
	if (types & ~(unsigned)SERVE_TYPES) {
		fprintf(stderr, "cprof: 'threads' is of one moment, and not for --continuous; "
				"/debug/pprof/threads has it.\n");
		return false;
	}
	if (command->continuous) {
		command->serve.continuous = types ?: CONTINUOUS_TYPES;
		command->serve.window_ns = command->serve.window_ns ?: DEFAULT_WINDOW_NS;
	}
	return true;
}

static bool check_heap(struct serve_command *command)
{
	const struct session_options *session = &command->sampling.session;

	if (!command->heap && command->serve.heap_rate) {
		fprintf(stderr, "cprof: --heap-rate goes with --heap only.\n");
		return false;
	}
	if ((command->heap || command->serve.n_customs) && session->sampler.argv &&
	    (command->serve.continuous & SAMPLER_CREATE)) {
		fprintf(stderr, "cprof: a command's threads are traced all the time for "
				"threadcreate, so that its heap cannot be counted; leave out one "
				"of them, or use -p PID.\n");
		return false;
	}
	if (command->heap && !command->serve.heap_rate)
		command->serve.heap_rate = SESSION_HEAP_RATE;
	command->serve.inlines = session->inlines;
	command->serve.command_line = session->command_line;
	return true;
}

int serve_options_parse(struct serve_command *command, int argc, char **argv)
{
	struct sampler_options *sampler = &command->sampling.session.sampler;
	const char *text;
	int option;

	sampling_init(&command->sampling, argc, argv);
	(void)serve_address_parse(DEFAULT_ADDRESS, &command->serve.address);
	command->serve.push.interval_ns = DEFAULT_INTERVAL;
	while ((option = options_next(&serve_options, argc, argv, &text)) != OPTIONS_END) {
		if (option == OPTIONS_HELP)
			return OPTIONS_HELP;
		if (option == OPTIONS_BAD || !parse_one(command, option, text))
			return CMD_USAGE;
	}
	if (!sampling_check(&command->sampling, argc, argv, "-n NAME") || !check_many(command) ||
	    !check_continuous(command) || !resolve_customs(command) || !check_heap(command) ||
	    !check_address(command) || !check_push(command))
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
	push_options_deinit(&command->push);
	custom_options_deinit(&command->custom);
}
