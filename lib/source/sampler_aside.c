/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Out of the target's way.
 *
 * A real-time thread wakes on the CPU that it had before, whoever is running there
 * (kernel/sched/rt.c select_task_rq_rt, Linux 6.18). A thread of the target on that CPU would stand
 * still for the whole of every tick while another CPU may be free: so the tracer moves.
 */
#include <sched.h>

#include "base/clock.h"
#include "source/sampler_priv.h"

/* Each move costs what a few ticks do. */
#define ASIDE_EVERY (50 * NSEC_PER_MSEC)

bool sampler_step_aside(struct sampler *s, uint64_t now)
{
	unsigned here = (unsigned)sched_getcpu();
	cpu_set_t allowed, there;

	if (!s->stats.realtime || s->aside_at + ASIDE_EVERY > now)
		return false;
	s->aside_at = now;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return false;
	for (unsigned i = 1; i < s->n_cpus; i++) {
		unsigned cpu = (here + i) % s->n_cpus;

		if (s->lanes[cpu].target || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
			continue;
		CPU_ZERO(&there);
		CPU_SET(cpu, &there);
		if (sched_setaffinity(0, sizeof(there), &there) < 0)
			return false;
		/* It stays there by itself. */
		(void)sched_setaffinity(0, sizeof(allowed), &allowed);
		return true;
	}
	return false;
}
