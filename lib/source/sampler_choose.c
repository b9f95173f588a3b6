/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which threads to stop: those on a CPU now.
 *
 * The kernel does not tell who is on a CPU: every runnable thread has state R. But schedstat moves
 * within one scheduler tick for a thread that runs, and its third field counts how often it was put
 * on a CPU; so of the runnable threads that share a CPU, the one put there last is on it. Stopping
 * a thread that waits for a CPU instead would answer late, and prefer threads that are woken often.
 */
#include <sched.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"

/* Beyond the scheduler tick, for the tick's own lateness. */
#define MARGIN NSEC_PER_MSEC
/* How many threads are asked for their state in one tick. */
#define MAX_CANDIDATES 64
/* Stops under way at once, per CPU: a mistaken choice answers late. */
#define HELD_PER_CPU 4
/* CPU time that a new process may use before its execve. */
#define EXEC_WITHIN (10 * NSEC_PER_MSEC)

/* False when another thread is in that lane. */
static bool enter_lane(struct sampler *s, struct sampler_target *target, size_t index, int cpu)
{
	const struct sampler_thread *thread = &target->threads.items.items[index];
	struct sampler_lane *lane;

	if (cpu < 0 || (unsigned)cpu >= s->n_cpus)
		return true;
	lane = &s->lanes[cpu];
	if (!lane->target || thread->arrived_at > lane->arrived_at) {
		bool alone = !lane->target;

		*lane = (struct sampler_lane){thread->arrived_at, target, index, 1};
		return alone;
	}
	/* Several came since the last look: each with equal chance. */
	if (thread->arrived_at == lane->arrived_at && sampler_random(s) % ++lane->ties == 0) {
		lane->target = target;
		lane->thread = index;
	}
	return false;
}

/* A set-user-ID program gets no other user while its caller is a tracee, unless the tracer has
 * CAP_SYS_PTRACE (security/commoncap.c cap_bprm_creds_from_file), and a thread on its way through
 * execve stops behind it only. Most of those have just been forked for it. What such a process used
 * is charged to its first sample, so only its first milliseconds have no stack. */
static bool may_be_in_exec(const struct sampler *s, const struct sampler_target *target,
			   const struct sampler_thread *thread)
{
	return !s->privileged && target != s->targets.items[0] && thread->forked &&
	       thread->tid == target->pid && thread->run_ns < EXEC_WITHIN;
}

struct candidates {
	uint64_t now, since; /* those that moved since then */
	bool cheap;          /* as of sampler_thread_runs() */
	bool collided;       /* two on one CPU */
	unsigned seen, running;
};

static void fill_from(struct sampler *s, struct sampler_target *target, struct candidates *found)
{
	const struct sampler_threads *threads = &target->threads;
	size_t n = threads->busy.n, start = n ? sampler_random(s) % n : 0;

	for (size_t i = 0; i < n && found->seen < MAX_CANDIDATES; i++) {
		size_t index = threads->busy.items[(start + i) % n];
		struct sampler_thread *thread = &threads->items.items[index];
		int cpu;

		if (!thread->moved_at || thread->moved_at < found->since)
			continue;
		found->seen++;
		/* Anything but R is blocked, stopped, or in a wait that a stop must not disturb. */
		if (!sampler_thread_runs(s, target, thread, found->now, found->cheap, &cpu))
			continue;
		found->running++;
		if (may_be_in_exec(s, target, thread))
			continue;
		found->collided |= !enter_lane(s, target, index, cpu);
	}
}

static void fill_from_all(struct sampler *s, struct candidates *found)
{
	size_t n = s->targets.n, start = sampler_random(s) % n;

	for (unsigned cpu = 0; cpu < s->n_cpus; cpu++)
		s->lanes[cpu].target = NULL;
	for (size_t i = 0; i < n; i++)
		fill_from(s, s->targets.items[(start + i) % n], found);
}

static void fill_lanes(struct sampler *s, uint64_t now)
{
	struct candidates cheap = {now, now - s->sched_tick_ns - MARGIN, true}, found = cheap;

	if (!s->crowded)
		fill_from_all(s, &found);
	if (s->crowded || found.collided) {
		found = cheap;
		found.cheap = false;
		fill_from_all(s, &found);
	}
	s->crowded = found.running > s->n_cpus;
}

/* A thread that is ending is refused like a forbidden one, with EPERM (kernel/ptrace.c
 * ptrace_attach: exit_state). It stays Z or X, or is gone: no later look can find it alive. */
static bool has_ended(struct sampler *s, struct sampler_target *target,
		      struct sampler_thread *thread)
{
	int cpu;
	char state = sampler_thread_state(s, target, thread, &cpu);

	return state == 0 || state == 'Z' || state == 'X';
}

bool sampler_choose_stop(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread)
{
	uint8_t bytes[16];
	bool same;
	int r;

	/* The stop will read memory: with nothing of that in the caches it takes ten times as long,
	 * so it is done once before. What it reads serves as a last look for an execve. */
	(void)process_read_stopped(thread->tid, &target->mark, target->mark.addr, bytes,
				   sizeof(bytes), &same);
	tracee_wake_hold(&s->wake, true);
	r = tracee_stop(s->set, target->pid, thread->tid);
	if (r == TRACEE_DENIED) {
		if (has_ended(s, target, thread))
			s->stats.lost++;
		else
			s->stats.denied++;
	}
	/* Before anything that could block: the watchdog reads it. */
	atomic_store(&s->shared->held, tracee_held(s->set));
	return r == TRACEE_OK;
}

unsigned sampler_choose_and_stop(struct sampler *s, uint64_t now, bool *ret_here)
{
	unsigned stopped = 0, here = (unsigned)sched_getcpu();

	*ret_here = false;
	fill_lanes(s, now);
	/* Ours comes last: a thread on it cannot stop before we sleep. */
	for (unsigned i = 1; i <= s->n_cpus; i++) {
		unsigned cpu = (here + i) % s->n_cpus;
		const struct sampler_lane *lane = &s->lanes[cpu];
		struct sampler_thread *thread;

		if (!lane->target)
			continue;
		thread = &lane->target->threads.items.items[lane->thread];
		if (sampler_wants(s, SAMPLER_WAITS))
			sampler_wall_runs(s, lane->target, thread);
		if (tracee_held(s->set) >= HELD_PER_CPU * s->n_cpus)
			break;
		if (thread->rest_until > now || !sampler_choose_stop(s, lane->target, thread))
			continue;
		*ret_here = cpu == here;
		stopped += cpu != here;
	}
	return stopped;
}

bool sampler_choose_prepares(const struct sampler *s)
{
	return s->crowded;
}
