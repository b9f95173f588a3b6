/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which threads there are.
 *
 * Listing them costs the kernel a walk over all, 1 ms for each thousand. The link count of the
 * directory tells most changes; CPU time that nobody accounts for tells the others, a death and a
 * birth at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "source/sampler_priv.h"

/* The link count is read again after this time at the latest, and the list itself after that. */
#define LINKS_EVERY (100 * NSEC_PER_MSEC)
#define SCAN_EVERY NSEC_PER_SEC
/* … and not more often than this, for processes that make threads all the time. */
#define SCAN_GAP (2 * NSEC_PER_MSEC)
/* Without a new link count, listing gets one part of so many of the time. */
#define COST_SHARE 400
/* How long a process that has made threads is expected to go on with it. */
#define CALM_AFTER (500 * NSEC_PER_MSEC)

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
	vec_deinit(&target->threads.busy);
	vec_deinit(&target->threads.unsettled);
	vec_deinit(&target->threads.lockers);
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
					  .wait.block.known = !first,
					  .present = true,
					  .is_unsettled = true};
	atomic_store(&s->shared->tops[thread->slot % SAMPLER_TOPS], SAMPLER_TOP_UNKNOWN);
	if (sampler_wants(s, SAMPLER_CREATE))
		sampler_create_follow(s, target, tid);
	sampler_thread_look(s, target, thread, now);
	sampler_wall_begin(thread, now);
	if (first) {
		thread->charged_ns = thread->run_ns;
		thread->moved_at = 0;
		thread->is_busy = false;
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
		if (sampler_wants(s, SAMPLER_WAITS))
			sampler_wall_settle(s, target, thread, now);
		sampler_thread_count_stops(s, target, thread);
		forget_thread(s, thread);
		threads->changed_at = now;
	}
	threads->items.n = kept;
}

/* Ids wrap around: new ones are usually, not always, the largest. */
static void sort(struct sampler_threads *threads)
{
	const struct sampler_thread *items = threads->items.items;

	for (size_t i = 1; i < threads->items.n; i++) {
		if (items[i - 1].tid < items[i].tid)
			continue;
		qsort(threads->items.items, threads->items.n, sizeof(*items), by_tid);
		return;
	}
}

/* Both lists ascend. Notes which known threads are there, and keeps in `tasks` those that are new.
 */
static void compare(const struct sampler *s, struct sampler_threads *threads,
		    struct process_tasks *tasks)
{
	struct sampler_thread *known = threads->items.items;
	size_t n_new = 0, k = 0;

	for (size_t i = 0; i < tasks->tids.n; i++) {
		pid_t tid = tasks->tids.items[i];

		for (; k < threads->items.n && known[k].tid < tid; k++)
			known[k].present = false;
		if (k < threads->items.n && known[k].tid == tid)
			known[k++].present = true;
		else if (wanted(s, tid))
			tasks->tids.items[n_new++] = tid;
	}
	for (; k < threads->items.n; k++)
		known[k].present = false;
	tasks->tids.n = n_new;
}

static int scan(struct sampler *s, struct sampler_target *target, uint64_t now, bool first)
{
	_cleanup_(process_tasks_deinit) struct process_tasks tasks = {};
	struct sampler_threads *threads = &target->threads;
	int r = process_tasks_read(target->process, &tasks);

	if (r < 0)
		return r;
	compare(s, threads, &tasks);
	drop_ended(s, target, now);
	for (size_t i = 0; i < tasks.tids.n && r >= 0; i++)
		r = add_thread(s, target, tasks.tids.items[i], now, first);
	sort(threads);
	if (r >= 0)
		r = sampler_threads_list(threads);
	if (r < 0)
		return r;
	if (first) {
		/* From here on known_ns is what was used since. */
		threads->known_ns = 0;
		threads->settled_ns = target->cpu_ns - target->cpu_start_ns;
	}
	threads->scanned_at = now;
	count_threads(s);
	return 0;
}

struct sampler_thread *sampler_threads_meet(struct sampler *s, struct sampler_target *target,
					    pid_t tid, uint64_t now)
{
	struct sampler_thread *thread = sampler_threads_find(target, tid);

	if (thread || add_thread(s, target, tid, now, false) < 0)
		return thread;
	sort(&target->threads);
	if (sampler_threads_list(&target->threads) < 0)
		return NULL;
	return sampler_threads_find(target, tid);
}

bool sampler_threads_are_calm(const struct sampler_target *target, uint64_t now)
{
	return target->threads.changed_at + CALM_AFTER < now;
}

int sampler_threads_refresh(struct sampler *s, struct sampler_target *target, uint64_t now,
			    bool first)
{
	struct sampler_threads *threads = &target->threads;
	bool gap = sampler_threads_have_gap(s, target);
	uint64_t every, start;
	struct stat st;
	int r;

	if (!first && threads->scanned_at + SCAN_GAP > now)
		return 0;
	/* A new thread is nobody's business before it uses CPU time. */
	if (!first && s->types == SAMPLER_CPU && threads->links_at + LINKS_EVERY > now &&
	    sampler_threads_are_calm(target, now) && !gap)
		return 0;
	/* It is 2 + threads (fs/proc/base.c proc_task_getattr). */
	if (fstat(target->task_fd, &st) < 0)
		return err_errno();
	threads->links_at = now;
	every = MIN(threads->scan_cost_ns * COST_SHARE, SCAN_EVERY);
	if (!first && st.st_nlink == threads->links &&
	    threads->scanned_at + (gap ? every : SCAN_EVERY) > now)
		return 0;
	threads->links = st.st_nlink;
	start = clock_now_ns();
	r = scan(s, target, now, first);
	threads->scan_cost_ns = clock_now_ns() - start;
	return r;
}

static void forget_past(struct sampler_thread *thread, uint64_t now)
{
	thread->charged_ns = thread->run_ns;
	thread->moved_at = 0;
	thread->is_busy = thread->is_locker = false;
	thread->is_unsettled = true;
	thread->wait = (struct sampler_wait){};
	sampler_wall_begin(thread, now);
}

int sampler_threads_begin(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	struct sampler_threads *threads = &target->threads;
	int r = sampler_threads_refresh(s, target, now, true);

	if (r < 0)
		return r;
	for (size_t i = 0; i < threads->items.n; i++) {
		sampler_thread_look(s, target, &threads->items.items[i], now);
		forget_past(&threads->items.items[i], now);
	}
	threads->known_ns = 0;
	threads->settled_ns = target->cpu_ns - target->cpu_start_ns;
	return sampler_threads_list(threads);
}

void sampler_threads_exec(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	struct sampler_thread *leader;

	sampler_threads_deinit(s, target);
	if (scan(s, target, now, true) < 0)
		log_line(LOG_DEBUG, "no thread list behind an execve");
	/* It has just run, to call execve; the next one may come before the next tick. */
	leader = sampler_threads_find(target, target->pid);
	if (leader) {
		leader->moved_at = now;
		sampler_threads_note_moved(&target->threads, leader);
	}
}
