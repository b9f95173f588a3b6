/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_cleanup.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cmd.h"
#include "inject/inject.h"
#include "module/module.h"
#include "process/process.h"
#include "session/session_heap.h"
#include "target.h"

DEFINE_CLEANUP(struct process *, process_close)

static int take_out(pid_t pid, struct inject_stats *ret_stats)
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	int r = module_sigbus_guard();

	if (r == 0)
		r = process_open(pid, &process);
	if (r == 0)
		r = inject_cleanup(process, ret_stats);
	/* Nothing leads to an allocator: an agent cannot have been there. */
	return r == INJECT_NO_SLOTS || r == INJECT_OWN_ALLOCATOR ? INJECT_OK : r;
}

static int explain(pid_t pid, int why)
{
	char text[512];

	if (why < 0) {
		fprintf(stderr, "cprof: cannot clean up process %d: %s\n", (int)pid,
			strerror(-why));
		return CMD_FAILED;
	}
	session_heap_explain(pid, why, text, sizeof(text));
	fprintf(stderr, "cprof: %s\n", text);
	return CMD_FAILED;
}

static int say(pid_t pid, const struct inject_stats *stats)
{
	char stop[32], unmap[32];

	if (!stats->took_over) {
		printf("process %d: there is nothing to take out\n", (int)pid);
		return CMD_OK;
	}
	printf("process %d: its import tables are as before; its threads stood still for %s, and "
	       "one "
	       "for %s to unmap the agent's memory\n",
	       (int)pid, format_duration(stats->stop_ns, stop),
	       format_duration(stats->unmap_ns, unmap));
	if (stats->left_wire)
		puts("a thread may be inside the agent: its 8 MiB stay mapped, unused");
	if (stats->n_left)
		printf("%" PRIu32
		       " import slots were changed by somebody else, and are left as they are\n",
		       stats->n_left);
	return stats->left_wire || stats->n_left ? CMD_PARTIAL : CMD_OK;
}

int doctor_clean_up(pid_t pid)
{
	struct inject_stats stats = {};
	sigset_t child;
	int r;

	/* The tracer waits for it. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	if (!target_check(pid) || !target_claim(pid))
		return CMD_FAILED;
	r = take_out(pid, &stats);
	return r == INJECT_OK ? say(pid, &stats) : explain(pid, r);
}
