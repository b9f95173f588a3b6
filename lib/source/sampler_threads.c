/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who used CPU time: the thread table of a process.
 *
 * The process CPU clock is one cheap call and tells whether the threads known to be busy explain
 * the progress; only when they do not are the others looked at, a slice at a time. Both the clock
 * and schedstat are sums of se.sum_exec_runtime (kernel/sched/cputime.c, fs/proc/base.c, Linux
 * 6.18), which a running thread brings up to date at each scheduler tick. The clock is read first:
 * what it is ahead by is another thread's.
 *
 * Nothing here that is done at every tick goes through the whole table: ten thousand threads are
 * megabytes.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "source/sampler_priv.h"

/* CPU time that nobody known accounts for, before the idle threads are looked at. For wall time
 * it is who woke up at all that matters. */
#define GAP_LIMIT (100 * NSEC_PER_USEC)
#define GAP_LIMIT_WALL (2 * NSEC_PER_USEC)
/* Looking at them gets one part of so many of the time; so many at once at least. */
#define IDLE_SHARE 50
#define IDLE_SHARE_WALL 25
#define LOOKS_AT_ONCE 16
/* The process clock costs the kernel a walk over all threads, 1 ms for 10,000 of them. It gets one
 * part of so many of the time, but is no rarer than that, however long the walk took on a busy
 * machine. */
#define COST_SHARE 400
#define MAX_CLOCK_EVERY (NSEC_PER_SEC / 5)

struct sampler_thread *sampler_threads_find(struct sampler_target *target, pid_t tid)
{
	struct sampler_threads *threads = &target->threads;
	size_t low = 0, high = threads->items.n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (threads->items.items[middle].tid < tid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < threads->items.n && threads->items.items[low].tid == tid)
		return &threads->items.items[low];
	return NULL;
}

bool sampler_threads_have_gap(const struct sampler *s, const struct sampler_target *target)
{
	uint64_t limit = sampler_wants(s, SAMPLER_WAITS) ? GAP_LIMIT_WALL : GAP_LIMIT;

	return target->cpu_ns - target->cpu_start_ns >
	       target->threads.known_ns + target->threads.settled_ns + limit;
}

static void look_at_idle(struct sampler *s, struct sampler_target *target, uint64_t until,
			 uint64_t now)
{
	struct sampler_threads *threads = &target->threads;
	size_t n = 0;
	int64_t gap;

	while (n < threads->items.n) {
		struct sampler_thread *thread;

		if (threads->cursor >= threads->items.n)
			threads->cursor = 0;
		thread = &threads->items.items[threads->cursor++];
		if (!thread->is_busy)
			sampler_thread_look(s, target, thread, now);
		if (++n % LOOKS_AT_ONCE == 0 && clock_now_ns() > until)
			break;
	}
	/* All have been looked at: what is left belongs to threads that are gone. */
	threads->looked += n;
	if (threads->looked < threads->items.n)
		return;
	threads->looked = 0;
	gap = (int64_t)(target->cpu_ns - target->cpu_start_ns - threads->known_ns -
			threads->settled_ns);
	if (gap > 0)
		threads->settled_ns += (uint64_t)gap;
}

static int read_clock(struct sampler_target *target)
{
	struct sampler_threads *threads = &target->threads;
	uint64_t now = clock_now_ns();
	int r;

	if (now - threads->clock_read_at <
	    MIN(threads->clock_cost_ns * COST_SHARE, MAX_CLOCK_EVERY))
		return 0;
	r = process_cpu_time(target->process, &target->cpu_ns);
	threads->clock_read_at = now;
	threads->clock_cost_ns = clock_now_ns() - now;
	return r;
}

static void unlist_idle(struct sampler *s, struct sampler_threads *threads, uint64_t now)
{
	size_t kept = 0;

	for (size_t i = 0; i < threads->busy.n; i++) {
		struct sampler_thread *thread = &threads->items.items[threads->busy.items[i]];

		thread->is_busy = sampler_thread_is_busy(thread, now);
		if (thread->is_busy)
			threads->busy.items[kept++] = threads->busy.items[i];
		else
			sampler_thread_rests(s, threads, thread);
	}
	threads->busy.n = kept;
}

int sampler_threads_list(struct sampler_threads *threads)
{
	int r = vec_reserve(&threads->busy, threads->items.n);

	if (r >= 0)
		r = vec_reserve(&threads->unsettled, threads->items.n);
	if (r >= 0)
		r = vec_reserve(&threads->lockers, threads->items.n);
	if (r < 0)
		return err_trace(r);
	threads->busy.n = threads->unsettled.n = threads->lockers.n = 0;
	for (size_t i = 0; i < threads->items.n; i++) {
		const struct sampler_thread *thread = &threads->items.items[i];

		if (thread->is_busy)
			*vec_push(&threads->busy) = (uint32_t)i;
		if (thread->is_unsettled)
			*vec_push(&threads->unsettled) = (uint32_t)i;
		if (thread->is_locker)
			*vec_push(&threads->lockers) = (uint32_t)i;
	}
	return 0;
}

void sampler_threads_note_moved(struct sampler_threads *threads, struct sampler_thread *thread)
{
	uint32_t index = (uint32_t)(thread - threads->items.items);

	/* There is room for all; a scan makes the lists anew behind it. */
	if (!thread->is_busy && threads->busy.n < threads->busy.cap)
		*vec_push(&threads->busy) = index;
	if (!thread->is_unsettled && threads->unsettled.n < threads->unsettled.cap)
		*vec_push(&threads->unsettled) = index;
	thread->is_busy = thread->is_unsettled = true;
}

int sampler_threads_look(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	struct sampler_threads *threads = &target->threads;
	uint64_t share = sampler_wants(s, SAMPLER_WAITS) ? IDLE_SHARE_WALL : IDLE_SHARE;
	int r = read_clock(target);

	if (r < 0)
		return r;
	unlist_idle(s, threads, now);
	/* It grows by those that are found to be busy. */
	for (size_t i = 0, n = threads->busy.n; i < n; i++)
		sampler_thread_look(s, target, &threads->items.items[threads->busy.items[i]], now);
	if (s->options.n_tids || sampler_threads_have_gap(s, target))
		look_at_idle(s, target, now + (now - s->last_tick_at) / share, now);
	else
		threads->looked = 0;
	return 0;
}

void sampler_threads_look_all(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	for (size_t i = 0; i < target->threads.items.n; i++)
		sampler_thread_look(s, target, &target->threads.items.items[i], now);
}

void sampler_threads_settle_wall(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	for (size_t i = 0; i < target->threads.items.n; i++)
		sampler_wall_settle(s, target, &target->threads.items.items[i], now);
}
