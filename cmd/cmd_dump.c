/* SPDX-License-Identifier: Apache-2.0 */
/* cprof dump: what all threads of a process do, at this moment. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sink.h"
#include "cmd.h"
#include "dump_words.h"
#include "module/module.h"
#include "options.h"
#include "session/session_dump.h"
#include "session/session_target.h"
#include "target.h"

DEFINE_CLEANUP(struct dump *, dump_free)

enum {
	OPTION_TID = 256,
	OPTION_JSON,
	OPTION_DEADLOCK,
	OPTION_NO_FOLD,
	OPTION_NO_INLINES,
};

static const struct option_row rows[] = {
	{'p', "pid", "PID", "look at this process", OPTION_PID},
	{'n', "name", "NAME", "look at the one process of this name", OPTION_NAME},
	{OPTION_TID, "tid", "TID", "only this thread of it"},
	{OPTION_DEADLOCK, "deadlock", NULL, "only the deadlocks; exit status 3 if there are any"},
	{OPTION_JSON, "json", NULL, "write JSON"},
	{OPTION_NO_FOLD, "no-fold", NULL, "repeat stacks that several threads have"},
	{OPTION_NO_INLINES, "no-inlines", NULL, "leave inlined calls out"},
};

const struct option_table dump_options = {
	.usage = "cprof dump [OPTIONS] -p PID | -n NAME",
	.about =
		"Prints what all threads of a process do: state, what each waits for, the lock and "
		"its owner,\nand the stack with files and lines. Threads that wait are not "
		"stopped.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.see = "cprof-dump(1)",
};

struct request {
	const char *name;
	pid_t pid;
	struct dump_options options;
	bool json, deadlock, fold;
};

/* Who is traced may still be looked at: only threads that run cannot be stopped then. */
static bool check(pid_t pid)
{
	int64_t other;
	int r = session_target_check(pid, &other);

	if (r == SESSION_TARGET_OK || r == SESSION_TARGET_TRACED || r == SESSION_TARGET_SAMPLED)
		return true;
	if (r < 0) {
		fprintf(stderr, "cprof: cannot look at process %d: %s\n", (int)pid, strerror(-r));
		return false;
	}
	fputs("cprof: ", stderr);
	target_explain(stderr, pid, r, other);
	return false;
}

static void explain_failure(const struct request *request, int error)
{
	if (error == -ESRCH && request->options.tid)
		fprintf(stderr,
			"cprof: process %d has no thread %d. 'cprof dump -p %d' lists them.\n",
			(int)request->pid, (int)request->options.tid, (int)request->pid);
	else if (error == -ESRCH)
		fprintf(stderr, "cprof: process %d has ended. 'ps -e' lists those there are.\n",
			(int)request->pid);
	else
		fprintf(stderr, "cprof: cannot read the threads of process %d: %s\n",
			(int)request->pid, strerror(-error));
}

/* What the dump lacks, as far as it is not said beside the threads. */
static void explain_gaps(const struct dump *dump)
{
	uint32_t without = 0;

	for (size_t i = 0; i < dump->threads.n; i++)
		without += dump->threads.items[i].stack == DUMP_NONE &&
			   dump->threads.items[i].how != CENSUS_ENDED;
	if (dump->census.ended)
		fprintf(stderr,
			"cprof: process %d has ended meanwhile; this is what was read before\n",
			(int)dump->pid);
	if (dump->census.exec)
		fprintf(stderr,
			"cprof: process %d called execve meanwhile; the stacks may be of either "
			"program. Run it again.\n",
			(int)dump->pid);
	if (dump->census.stuck)
		fprintf(stderr,
			"cprof: a page of its memory did not come (userfaultfd, a network file "
			"system?); the rest was given up\n");
	if (dump->census.n_threads > CENSUS_MAX_THREADS)
		fprintf(stderr, "cprof: %" PRIu32 " of %" PRIu32 " threads were not looked at\n",
			dump->census.n_threads - CENSUS_MAX_THREADS, dump->census.n_threads);
	if (without)
		fprintf(stderr, "cprof: no stack of %" PRIu32 " thread%s\n", without,
			without == 1 ? "" : "s");
	if (dump->census.left_eintr)
		fprintf(stderr, "cprof: %" PRIu32 " system calls of the target ended with EINTR\n",
			dump->census.left_eintr);
}

static int print(const struct request *request, const struct dump *dump)
{
	_cleanup_(sink_memory_deinit) struct sink_memory text;
	struct sink_fd out;
	int r;

	sink_memory_init(&text);
	sink_fd_init(&out, STDOUT_FILENO);
	if (request->json)
		r = dump_print_json(dump, request->fold, &text.sink);
	else if (request->deadlock)
		r = dump_print_deadlocks(dump, &text.sink);
	else
		r = dump_print(dump, request->fold, &text.sink);
	if (r == 0)
		r = sink_write(&out.sink, text.bytes, text.size);
	if (r < 0)
		fprintf(stderr, "cprof: cannot write the dump: %s\n", strerror(-r));
	return r;
}

static int run(const struct request *request)
{
	_cleanup_(dump_free_cleanup) struct dump *dump = NULL;
	sigset_t child;
	int r;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	r = module_sigbus_guard();
	if (r < 0) {
		fprintf(stderr, "cprof: cannot set up signals: %s\n", strerror(-r));
		return CMD_FAILED;
	}
	r = dump_new(request->pid, &request->options, &dump);
	if (r < 0) {
		explain_failure(request, r);
		return CMD_FAILED;
	}
	r = print(request, dump);
	explain_gaps(dump);
	if (r < 0)
		r = CMD_FAILED;
	else if (request->deadlock && dump_count_deadlocks(dump))
		r = CMD_DEADLOCK;
	else
		r = dump_is_partial(dump) ? CMD_PARTIAL : CMD_OK;
	/* A thread of ours is stuck for good: the kernel lets go of the target with this process.
	 */
	if (dump->census.stuck) {
		fflush(NULL);
		_exit(r);
	}
	return r;
}

int cmd_dump(int argc, char **argv)
{
	struct request request = {.fold = true, .options.inlines = true};
	const char *arg;
	int id;

	while ((id = options_next(&dump_options, argc, argv, &arg)) != OPTIONS_END) {
		switch (id) {
		case 'p':
			if (!target_parse_pid(arg, "-p", &request.pid))
				return CMD_USAGE;
			break;
		case 'n':
			request.name = arg;
			break;
		case OPTION_TID:
			if (!target_parse_pid(arg, "--tid", &request.options.tid))
				return CMD_USAGE;
			break;
		case OPTION_JSON:
			request.json = true;
			break;
		case OPTION_DEADLOCK:
			request.deadlock = true;
			break;
		case OPTION_NO_FOLD:
			request.fold = false;
			break;
		case OPTION_NO_INLINES:
			request.options.inlines = false;
			break;
		case OPTIONS_HELP:
			return CMD_OK;
		default:
			return CMD_USAGE;
		}
	}
	if (optind != argc || !request.pid == !request.name) {
		fputs("cprof: give one of -p PID and -n NAME. See cprof dump --help.\n", stderr);
		return CMD_USAGE;
	}
	if (request.deadlock && request.options.tid) {
		fputs("cprof: --deadlock looks at all threads: leave --tid out.\n", stderr);
		return CMD_USAGE;
	}
	if (request.name && !target_find(request.name, &request.pid))
		return CMD_FAILED;
	return check(request.pid) ? run(&request) : CMD_FAILED;
}
