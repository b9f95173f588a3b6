/* SPDX-License-Identifier: Apache-2.0 */
/* cprof serve: the profiles of a process over HTTP, asked for or pushed. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
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
#include "session/session_dump.h"
#include "target.h"

DEFINE_CLEANUP(struct dump *, dump_free)

static void on_log(void *user, enum log_level level, const char *text)
{
	const struct serve_command *command = user;

	if (level <= LOG_WARNING || (int)level < LOG_NOTICE + (int)command->verbose)
		fprintf(stderr, "cprof: %s\n", text);
}

static int write_threads(pid_t pid, struct sink *sink)
{
	const struct dump_options options = {.inlines = true};
	_cleanup_(dump_free_cleanup) struct dump *dump = NULL;
	int r = dump_new(pid, &options, &dump);

	return r < 0 ? r : dump_print(dump, false, sink);
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

static bool start(struct serve_command *command, struct session **ret_session,
		  struct serve **ret_serve)
{
	const struct sampler_options *sampler = &command->sampling.session.sampler;
	char name[64];
	int r;

	if (!sampling_find(&command->sampling))
		return false;
	sampling_target_name(&command->sampling, name);
	if (sampler->pid && !target_claim(sampler->pid))
		return false;
	memory_limit_guard(NULL, 0);
	if (!sampling_start(&command->sampling, ret_session))
		return false;
	if (!push_options_start(&command->push, name, session_pid(*ret_session),
				command->serve.max_samples, &command->serve.push.push))
		return false;
	r = serve_new(&command->serve, *ret_session, ret_serve);
	if (r < 0) {
		fprintf(stderr, "cprof: cannot listen: %s%s\n", strerror(-r),
			r == -EADDRINUSE ? ". -l names another address, with port 0 a free one"
					 : "");
		return false;
	}
	fprintf(stderr, "cprof: serving %s (process %d) at %s\n", name, session_pid(*ret_session),
		serve_url(*ret_serve));
	if (command->serve.push.push)
		fprintf(stderr, "cprof: pushing to %s\n", command->push.url);
	if (sampler->pid)
		target_hint(sampler->pid);
	return true;
}

static int run(struct serve_command *command)
{
	_cleanup_close_ int signal_fd = block_signals();
	_cleanup_close_ int stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct session *session = NULL;
	struct serve *serve = NULL;
	int r = CMD_FAILED;

	if (signal_fd < 0 || stop_fd < 0 || module_sigbus_guard() < 0) {
		fprintf(stderr, "cprof: cannot set up signals: %s\n", strerror(errno));
		return CMD_FAILED;
	}
	command->serve.stop_fd = command->sampling.session.sampler.stop_fd = stop_fd;
	command->sampling.session.sampler.suspend_fd = -1;
	command->serve.write_threads = write_threads;
	if (start(command, &session, &serve)) {
		r = serve_run(serve, signal_fd);
		if (r < 0)
			fprintf(stderr, "cprof: the recording ended early: %s\n", strerror(-r));
		r = r < 0 ? CMD_PARTIAL : CMD_OK;
	}
	serve_free(serve);
	push_free(command->serve.push.push);
	/* As in cmd_record.c. */
	if (session && session_stats(session)->watchdog) {
		fflush(NULL);
		_exit(CMD_PARTIAL);
	}
	session_free(session);
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
