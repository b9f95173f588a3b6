/* SPDX-License-Identifier: Apache-2.0 */
/* cprof serve: the profiles of processes over HTTP, asked for or pushed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cmd.h"
#include "dump_words.h"
#include "memory_limit.h"
#include "module/module.h"
#include "options.h"
#include "serve/serve.h"
#include "serve_options.h"
#include "serve_processes.h"
#include "session/session_dump.h"
#include "target.h"

static void on_log(void *user, enum log_level level, const char *text)
{
	const struct serve_command *command = user;

	if (level <= LOG_WARNING || (int)level < LOG_NOTICE + (int)command->verbose)
		fprintf(stderr, "cprof: %s\n", text);
}

static int write_threads(const struct dump *dump, struct sink *sink)
{
	return dump_print(dump, false, sink);
}

/* Blocked here, before any thread is there, they are so in all. */
static int block_signals(void)
{
	sigset_t signals;
	int fd;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	return fd;
}

/* Opens the address. False after saying why that cannot be. */
static bool listen_at(const struct serve_options *options, struct serve **ret_serve)
{
	int r = serve_new(options, ret_serve);

	if (r < 0)
		fprintf(stderr, "cprof: cannot listen: %s%s\n", strerror(-r),
			r == -EADDRINUSE ? ". -l names another address, with port 0 a free one"
					 : "");
	return r >= 0;
}

static void say_where(const struct serve_processes *processes, const char *name)
{
	const struct serve_command *command = processes->command;
	unsigned n = serve_count(processes->serve);

	if (!command->serve.is_many)
		fprintf(stderr, "cprof: serving %s (process %d) at ", name,
			serve_first_pid(processes->serve));
	else if (n)
		fprintf(stderr, "cprof: serving %u process%s at ", n, n > 1 ? "es" : "");
	else
		fprintf(stderr, "cprof: waiting for a process named '%s' at ",
			command->sampling.name);
	fprintf(stderr, "%s\n", serve_url(processes->serve));
}

static bool start(struct serve_processes *processes)
{
	const struct serve_command *command = processes->command;
	char name[64] = "";
	int r;

	if (!command->serve.is_many)
		sampling_target_name(&command->sampling, name);
	memory_limit_guard(NULL, 0);
	if (!serve_processes_begin(processes))
		return false;
	r = serve_start(processes->serve);
	if (r < 0) {
		fprintf(stderr, "cprof: cannot answer: %s\n", strerror(-r));
		return false;
	}
	say_where(processes, name);
	if (command->push.url)
		fprintf(stderr, "cprof: pushing to %s\n", command->push.url);
	if (!command->serve.is_many && command->sampling.session.sampler.pid)
		target_hint(command->sampling.session.sampler.pid);
	return true;
}

static int run(struct serve_command *command)
{
	_cleanup_close_ int signal_fd = block_signals();
	struct serve_processes processes = {};
	struct serve *serve = NULL;
	int r = CMD_FAILED;

	if (signal_fd < 0 || module_sigbus_guard() < 0) {
		fprintf(stderr, "cprof: cannot set up signals: %s\n", strerror(errno));
		return CMD_FAILED;
	}
	command->sampling.session.sampler.suspend_fd = -1;
	command->serve.write_threads = write_threads;
	if (command->serve.is_many) {
		command->serve.on_look = serve_processes_look;
		command->serve.on_end = serve_processes_ended;
		command->serve.user = &processes;
	}
	if (!listen_at(&command->serve, &serve))
		return CMD_FAILED;
	serve_processes_init(&processes, command, serve);
	if (start(&processes)) {
		r = serve_run(serve, signal_fd);
		if (r < 0)
			fprintf(stderr, "cprof: the recording ended early: %s\n", strerror(-r));
		r = r < 0 ? CMD_PARTIAL : CMD_OK;
	}
	serve_stop(serve);
	/* As in cmd_record.c. */
	if (serve_is_stuck(serve)) {
		fflush(NULL);
		_exit(CMD_PARTIAL);
	}
	serve_free(serve);
	serve_processes_deinit(&processes);
	return r;
}

int cmd_serve(int argc, char **argv)
{
	struct serve_command command = {};
	int r = serve_options_parse(&command, argc, argv);

	if (r == OPTIONS_HELP) {
		r = CMD_OK;
	} else if (r == CMD_OK) {
		log_set_hook(on_log, &command);
		r = run(&command);
		log_set_hook(NULL, NULL);
	}
	serve_options_deinit(&command);
	return r;
}
