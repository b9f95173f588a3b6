/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sampler that has to queue behind its target measures the queue, and holds the thread that has
 * just stopped meanwhile. Nice alone does not help: since Linux 6.12 a thread that wakes may have
 * to let the running one finish its slice (kernel/sched/fair.c RUN_TO_PARITY), unless its own slice
 * is the shorter one (PREEMPT_SHORT), which anybody may ask for.
 */
#include <linux/sched.h>
#include <linux/sched/types.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "source/source_priv.h"

/* The shortest slice that the kernel grants. */
#define SLICE_NS (100 * NSEC_PER_USEC)

bool source_raise_priority(void)
{
	struct sched_attr attr = {.size = sizeof(attr),
				  .sched_policy = SCHED_RR,
				  .sched_flags = SCHED_FLAG_RESET_ON_FORK,
				  .sched_priority = 1};
	bool realtime = syscall(SYS_sched_setattr, 0, &attr, 0) == 0;
	int nice = -20;

	if (!realtime) {
		while (nice < 0 && setpriority(PRIO_PROCESS, (id_t)gettid(), nice) < 0)
			nice += 5;
		attr.sched_policy = SCHED_NORMAL;
		attr.sched_priority = 0;
		attr.sched_nice = getpriority(PRIO_PROCESS, (id_t)gettid());
		attr.sched_runtime = SLICE_NS;
		(void)syscall(SYS_sched_setattr, 0, &attr, 0);
	}
	/* The default slack of 50 µs would be the largest part of a tick's error. */
	prctl(PR_SET_TIMERSLACK, 1UL);
	return realtime;
}
