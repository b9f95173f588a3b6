/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor: interrupt, wait and detach of a thread, and nothing else.
 *
 *	bare_stop PID STOPS HZ
 *
 * With the priority of the sampler and its way of waiting: polls for a moment, then sleeps. A
 *thread stands still at the earliest since the last look that found no stop, or after a sleep since
 *the signal that ended it, as in sampler_budget.c. Prints p50 and p99 of that, and then those since
 *it was asked to stop, in nanoseconds.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/hist.h"
#include "base/parse.h"
#include "tracee/tracee.h"

#define POLL_NS (100 * NSEC_PER_USEC)

static int sched_fd;

/* Time that this thread spent runnable without a CPU. */
static uint64_t own_delay(void)
{
	unsigned long long delay = 0;
	char text[128];
	ssize_t n = pread(sched_fd, text, sizeof(text) - 1, 0);

	text[MAX(n, 0)] = 0;
	(void)sscanf(text, "%*u %llu", &delay);
	return delay;
}

/* Waits for the stop of the one thread that was asked; since when it stands still, 0 if it ended.
 */
static uint64_t wait_for_stop(struct tracee_set *set, const sigset_t *signals, pid_t *ret_tid)
{
	static const struct timespec second = {.tv_sec = 1};
	uint64_t start = clock_now_ns(), clear = 0, looked, delay;
	struct tracee_event event;

	for (;;) {
		looked = clock_now_ns();
		if (tracee_next(set, &event))
			break;
		clear = looked;
		if (clear < start + POLL_NS)
			continue;
		if (clear > start + 5 * NSEC_PER_SEC)
			return 0;
		delay = own_delay();
		if (sigtimedwait(signals, NULL, &second) > 0)
			clear = clock_now_ns() - (own_delay() - delay);
		if (tracee_next(set, &event))
			break;
	}
	*ret_tid = event.tid;
	return event.kind == TRACEE_STOPPED ? MAX(clear, event.asked_ns) : 0;
}

int main(int argc, char **argv)
{
	static const struct sched_param realtime = {.sched_priority = 1};
	static struct hist still, whole;
	struct tracee_set *set;
	uint64_t pid, stops, hz;
	sigset_t signals;

	if (argc != 4 || parse_u64(argv[1], 1, 4194304, &pid) < 0 ||
	    parse_u64(argv[2], 1, 1000000, &stops) < 0 || parse_u64(argv[3], 1, 10000, &hz) < 0)
		return 64;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (sched_setscheduler(0, SCHED_RR, &realtime) != 0)
		(void)setpriority(PRIO_PROCESS, 0, -20);
	prctl(PR_SET_TIMERSLACK, 1UL);
	sched_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	if (tracee_set_new(&set) < 0)
		return 2;
	for (uint64_t i = 0; i < stops; i++) {
		uint64_t since, asked;
		pid_t tid;

		usleep((useconds_t)(1000000 / hz));
		asked = clock_now_ns();
		if (tracee_stop(set, (pid_t)pid, (pid_t)pid) != TRACEE_OK)
			return 2;
		since = wait_for_stop(set, &signals, &tid);
		if (!since)
			return 2;
		tracee_release(set, tid);
		hist_add(&still, clock_now_ns() - since);
		hist_add(&whole, clock_now_ns() - asked);
	}
	tracee_set_free(set);
	printf("%lu %lu %lu %lu\n", (unsigned long)hist_quantile(&still, 0.5),
	       (unsigned long)hist_quantile(&still, 0.99),
	       (unsigned long)hist_quantile(&whole, 0.5),
	       (unsigned long)hist_quantile(&whole, 0.99));
	return 0;
}
