/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who used CPU time: the thread table of a process.
 *
 * The process CPU clock is one cheap call and tells whether the threads known to be busy explain
 * the progress; only when they do not are the others looked at, a slice at a time. Both the clock
 * and schedstat are sums of se.sum_exec_runtime (kernel/sched/cputime.c, fs/proc/base.c, Linux
 * 6.18), which a running thread brings up to date at each scheduler tick.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "source/sampler_priv.h"

/* CPU time that nobody known accounts for, before the idle threads are looked at. */
#define GAP_LIMIT (100 * NSEC_PER_USEC)
/* How many idle threads are looked at in one tick: to explain a gap; always, for wall time. */
#define SLICE 256
#define WALL_SLICE 64
/* The thread list is read again after this time at the latest. */
#define SCAN_EVERY (100 * NSEC_PER_MSEC)
/* … and not more often than this, for processes that make threads all the time. */
#define SCAN_GAP (2 * NSEC_PER_MSEC)
/* How long a process that has made threads is expected to go on with it. */
#define CALM_AFTER (500 * NSEC_PER_MSEC)
/* Both the list and the process clock cost the kernel a walk over all threads, 10 and 1 ms for
 * 10,000 of them. Each gets one part of so many of the time … */
#define COST_SHARE 100
/* … but is no rarer than that, however long the walk took on a busy machine. */
#define MAX_SCAN_EVERY NSEC_PER_SEC
#define MAX_CLOCK_EVERY (NSEC_PER_SEC / 5)

/* A slot is used again, or those of a program that makes threads all the time would never end. What
 * the new thread puts into the queue lies behind all that the old one put there. */
static uint32_t take_slot(struct sampler *s)
{
	return s->free_slots.n ? s->free_slots.items[--s->free_slots.n] : s->next_slot++;
}

static void forget_thread(struct sampler *s, struct sampler_thread *thread)
{
	uint32_t *slot = vec_push(&s->free_slots);

	/* Out of memory: one slot less. */
	if (slot)
		*slot = thread->slot;
	sampler_thread_close(s, thread);
}

void sampler_threads_deinit(struct sampler *s, struct sampler_target *target)
{
	for (size_t i = 0; i < target->threads.items.n; i++) {
		sampler_thread_count_stops(s, target, &target->threads.items.items[i]);
		forget_thread(s, &target->threads.items.items[i]);
	}
	vec_deinit(&target->threads.items);
}

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

static int add_thread(struct sampler *s, struct sampler_target *target, pid_t tid, uint64_t now,
		      bool first)
{
	struct sampler_thread *thread = vec_push(&target->threads.items);

	if (!thread)
		return err_trace(-ENOMEM);
	*thread = (struct sampler_thread){.tid = tid,
					  .sched_fd = -1,
					  .stat_fd = -1,
					  .syscall_fd = -1,
					  .slot = take_slot(s),
					  .wait.charged_at = now,
					  .present = true};
	atomic_store(&s->shared->tops[thread->slot % SAMPLER_TOPS], SAMPLER_TOP_UNKNOWN);
	sampler_thread_look(s, target, thread, now);
	if (first) {
		thread->charged_ns = thread->run_ns;
		thread->moved_at = 0;
	}
	s->stats.threads_seen++;
	target->threads.changed_at = now;
	target->maps_stale = true; /* a new stack */
	return 0;
}

static bool wanted(const struct sampler *s, pid_t tid)
{
	for (unsigned i = 0; i < s->options.n_tids; i++) {
		if (s->options.tids[i] == tid)
			return true;
	}
	return s->options.n_tids == 0;
}

static int by_tid(const void *a, const void *b)
{
	const struct sampler_thread *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

static void count_threads(struct sampler *s)
{
	uint32_t n = 0;

	for (size_t i = 0; i < s->targets.n; i++)
		n += (uint32_t)s->targets.items[i]->threads.items.n;
	s->stats.threads_max = MAX(s->stats.threads_max, n);
	atomic_store(&s->shared->threads, n);
}

/* Threads that are gone leave the table. */
static void drop_ended(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	struct sampler_threads *threads = &target->threads;
	size_t kept = 0;

	for (size_t i = 0; i < threads->items.n; i++) {
		struct sampler_thread *thread = &threads->items.items[i];

		if (thread->present) {
			threads->items.items[kept++] = *thread;
			continue;
		}
		if (s->options.type == SAMPLER_WALL)
			sampler_wall_settle(s, target, thread, now);
		sampler_thread_count_stops(s, target, thread);
		forget_thread(s, thread);
		threads->changed_at = now;
	}
	threads->items.n = kept;
}

static int scan(struct sampler *s, struct sampler_target *target, uint64_t now, bool first)
{
	_cleanup_(process_tasks_deinit) struct process_tasks tasks = {};
	struct sampler_threads *threads = &target->threads;
	size_t known = threads->items.n;
	int r = process_tasks_read(target->process, &tasks);

	if (r < 0)
		return r;
	for (size_t i = 0; i < known; i++)
		threads->items.items[i].present = false;
	for (size_t i = 0; i < tasks.tids.n; i++) {
		struct sampler_thread *thread;

		if (!wanted(s, tasks.tids.items[i]))
			continue;
		thread = sampler_threads_find(target, tasks.tids.items[i]);
		if (thread)
			thread->present = true;
	}
	drop_ended(s, target, now);
	known = threads->items.n;
	for (size_t i = 0; i < tasks.tids.n; i++) {
		struct sampler_thread key = {.tid = tasks.tids.items[i]};

		if (!wanted(s, key.tid) ||
		    (known && bsearch(&key, threads->items.items, known, sizeof(key), by_tid)))
			continue;
		r = add_thread(s, target, key.tid, now, first);
		if (r < 0)
			return r;
	}
	qsort(threads->items.items, threads->items.n, sizeof(*threads->items.items), by_tid);
	if (first) {
		/* From here on known_ns is what was used since. */
		threads->known_ns = 0;
		threads->settled_ns = target->cpu_ns - target->cpu_start_ns;
	}
	threads->scanned_at = now;
	count_threads(s);
	return 0;
}

bool sampler_threads_are_calm(const struct sampler_target *target, uint64_t now)
{
	return target->threads.changed_at + CALM_AFTER < now;
}

bool sampler_threads_have_gap(const struct sampler_target *target)
{
	return target->cpu_ns - target->cpu_start_ns >
	       target->threads.known_ns + target->threads.settled_ns + GAP_LIMIT;
}

int sampler_threads_refresh(struct sampler *s, struct sampler_target *target, uint64_t now,
			    bool first)
{
	struct sampler_threads *threads = &target->threads;
	uint64_t every, start;
	struct stat st;
	int r;

	if (!first && threads->scanned_at + SCAN_GAP > now)
		return 0;
	/* A new thread is nobody's business before it uses CPU time. */
	if (!first && s->options.type == SAMPLER_CPU && threads->scanned_at + SCAN_EVERY > now &&
	    sampler_threads_are_calm(target, now) && !sampler_threads_have_gap(target))
		return 0;
	/* The directory's link count is 2 + threads (fs/proc/base.c proc_task_getattr). A death
	 * and a birth in between keep it, and show as CPU time without an owner. */
	if (fstat(target->task_fd, &st) < 0)
		return err_errno();
	every = MIN(threads->scan_cost_ns * COST_SHARE, MAX_SCAN_EVERY);
	if (!first && st.st_nlink == threads->links &&
	    threads->scanned_at + MAX(every, SCAN_EVERY) > now && !sampler_threads_have_gap(target))
		return 0;
	threads->links = st.st_nlink;
	start = clock_now_ns();
	r = scan(s, target, now, first);
	threads->scan_cost_ns = clock_now_ns() - start;
	return r;
}

static void look_at_idle(struct sampler *s, struct sampler_target *target, size_t slice,
			 uint64_t now)
{
	struct sampler_threads *threads = &target->threads;
	size_t n = MIN(slice, threads->items.n);
	int64_t gap;

	for (size_t i = 0; i < n; i++) {
		struct sampler_thread *thread;

		if (threads->cursor >= threads->items.n)
			threads->cursor = 0;
		thread = &threads->items.items[threads->cursor++];
		if (!sampler_thread_is_busy(thread, now))
			sampler_thread_look(s, target, thread, now);
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

int sampler_threads_look(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	struct sampler_threads *threads = &target->threads;
	bool wall = s->options.type == SAMPLER_WALL;
	int r = read_clock(target);

	if (r < 0)
		return r;
	for (size_t i = 0; i < threads->items.n; i++) {
		struct sampler_thread *thread = &threads->items.items[i];

		if (sampler_thread_is_busy(thread, now))
			sampler_thread_look(s, target, thread, now);
		else
			sampler_thread_close(s, thread);
	}
	if (s->options.n_tids || sampler_threads_have_gap(target))
		look_at_idle(s, target, SLICE, now);
	else if (wall)
		look_at_idle(s, target, WALL_SLICE, now);
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

void sampler_threads_exec(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	sampler_threads_deinit(s, target);
	if (scan(s, target, now, true) < 0)
		log_line(LOG_DEBUG, "no thread list behind an execve");
}
