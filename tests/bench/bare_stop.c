/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: interrupt, wait and detach of a thread, and nothing else.
 *
 *	bare_stop PID STOPS      prints p50 and p99 in nanoseconds
 *
 * Polls for the stop like the sampler; pauses 2 ms between stops.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hist.h"
#include "base/parse.h"
#include "tracee/tracee.h"

int main(int argc, char **argv)
{
	static struct hist hist;
	struct tracee_event event;
	struct tracee_set *set;
	uint64_t pid, stops;
	sigset_t signals;

	if (argc != 3 || parse_u64(argv[1], 1, 4194304, &pid) < 0 ||
	    parse_u64(argv[2], 1, 1000000, &stops) < 0)
		return 64;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)setpriority(PRIO_PROCESS, 0, -20);
	if (tracee_set_new(&set) < 0)
		return 2;
	for (uint64_t i = 0; i < stops; i++) {
		usleep(2000);
		if (tracee_stop(set, (pid_t)pid, (pid_t)pid) != TRACEE_OK ||
		    !tracee_poll(set, NSEC_PER_SEC, &event) || event.kind != TRACEE_STOPPED)
			return 2;
		tracee_release(set, event.tid);
		hist_add(&hist, clock_now_ns() - event.asked_ns);
	}
	tracee_set_free(set);
	printf("%lu %lu\n", (unsigned long)hist_quantile(&hist, 0.5),
	       (unsigned long)hist_quantile(&hist, 0.99));
	return 0;
}
