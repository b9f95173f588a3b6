/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who used CPU time: the thread table.
 *
 * The process CPU clock is one cheap call and tells whether the threads known to be busy explain
 * the progress; only when they do not are the others looked at, a slice at a time. Both the clock
 * and schedstat are sums of se.sum_exec_runtime (kernel/sched/cputime.c, fs/proc/base.c, Linux
 * 6.18), which a running thread brings up to date at each scheduler tick.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "source/sampler_priv.h"

/* A thread that moved within this time is looked at on every tick. */
#define BUSY_FOR NSEC_PER_SEC
/* CPU time that nobody known accounts for, before the idle threads are looked at. */
#define GAP_LIMIT (100 * NSEC_PER_USEC)
/* How many idle threads are looked at in one tick. */
#define SLICE 256
/* The thread list is read again after this time at the latest. */
#define SCAN_EVERY (100 * NSEC_PER_MSEC)
/* … and not more often than this, for processes that make threads all the time. */
#define SCAN_GAP (2 * NSEC_PER_MSEC)

static void close_fds(struct sampler_threads *threads, struct sampler_thread *thread)
{
	if (thread->sched_fd >= 0) {
		close(thread->sched_fd);
		threads->open_fds--;
	}
	if (thread->stat_fd >= 0) {
		close(thread->stat_fd);
		threads->open_fds--;
	}
	thread->sched_fd = thread->stat_fd = -1;
}

void sampler_threads_deinit(struct sampler_threads *threads)
{
	for (size_t i = 0; i < threads->items.n; i++)
		close_fds(threads, &threads->items.items[i]);
	vec_deinit(&threads->items);
}

/* Reads task/TID/NAME, through *fd when it is open. Leaves it open when keep. */
static ssize_t read_task_file(struct sampler *s, pid_t tid, const char *name, int *fd, bool keep,
			      char *text, size_t size)
{
	char path[64];
	ssize_t n;

	if (*fd < 0) {
		snprintf(path, sizeof(path), "task/%d/%s", tid, name);
		*fd = openat(process_dirfd(s->process), path, O_RDONLY | O_CLOEXEC);
		if (*fd < 0)
			return -1;
		s->threads.open_fds++;
	}
	n = pread(*fd, text, size - 1, 0);
	if (n >= 0)
		text[n] = '\0';
	if (!keep || n < 0) {
		close(*fd);
		*fd = -1;
		s->threads.open_fds--;
	}
	return n;
}

static bool keep_open(const struct sampler *s, const struct sampler_thread *thread, uint64_t now)
{
	return thread->moved_at + BUSY_FOR > now && s->threads.open_fds < s->threads.max_fds;
}

bool sampler_thread_look(struct sampler *s, struct sampler_thread *thread, uint64_t now)
{
	unsigned long long run, wait, slices;
	char text[128];

	if (read_task_file(s, thread->tid, "schedstat", &thread->sched_fd,
			   keep_open(s, thread, now), text, sizeof(text)) <= 0)
		return false;
	if (sscanf(text, "%llu %llu %llu", &run, &wait, &slices) != 3)
		return false;
	if (run != thread->run_ns || slices != thread->slices)
		thread->moved_at = now;
	if (slices != thread->slices)
		thread->arrived_at = now;
	s->threads.known_ns += run - thread->run_ns;
	thread->run_ns = run;
	thread->slices = slices;
	return true;
}

char sampler_thread_state(struct sampler *s, struct sampler_thread *thread, int *ret_cpu)
{
	struct process_stat stat;
	char text[1024];

	if (read_task_file(s, thread->tid, "stat", &thread->stat_fd, true, text, sizeof(text)) <= 0)
		return 0;
	if (process_stat_parse(text, &stat) < 0)
		return 0;
	snprintf(thread->name, sizeof(thread->name), "%s", stat.name);
	*ret_cpu = stat.processor;
	return stat.state;
}

struct sampler_thread *sampler_threads_find(struct sampler *s, pid_t tid)
{
	size_t low = 0, high = s->threads.items.n;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->threads.items.items[middle].tid < tid)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < s->threads.items.n && s->threads.items.items[low].tid == tid)
		return &s->threads.items.items[low];
	return NULL;
}

static int add_thread(struct sampler *s, pid_t tid, uint64_t now, bool first)
{
	struct sampler_thread *thread = vec_push(&s->threads.items);

	if (!thread)
		return err_trace(-ENOMEM);
	*thread = (struct sampler_thread){.tid = tid,
					  .sched_fd = -1,
					  .stat_fd = -1,
					  .slot = s->threads.next_slot++,
					  .present = true};
	atomic_store(&s->shared->tops[thread->slot % SAMPLER_TOPS], SAMPLER_TOP_UNKNOWN);
	sampler_thread_look(s, thread, now);
	if (first) {
		thread->charged_ns = thread->run_ns;
		thread->moved_at = 0;
	}
	s->stats.threads_seen++;
	s->maps_stale = true; /* a new stack */
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

static int scan(struct sampler *s, uint64_t now, bool first)
{
	_cleanup_(process_tasks_deinit) struct process_tasks tasks = {};
	struct sampler_threads *threads = &s->threads;
	size_t known = threads->items.n, kept = 0;
	int r = process_tasks_read(s->process, &tasks);

	if (r < 0)
		return r;
	for (size_t i = 0; i < known; i++)
		threads->items.items[i].present = false;
	for (size_t i = 0; i < tasks.tids.n; i++) {
		struct sampler_thread *thread;

		if (!wanted(s, tasks.tids.items[i]))
			continue;
		thread = sampler_threads_find(s, tasks.tids.items[i]);
		if (thread)
			thread->present = true;
	}
	for (size_t i = 0; i < known; i++) {
		if (threads->items.items[i].present)
			threads->items.items[kept++] = threads->items.items[i];
		else
			close_fds(threads, &threads->items.items[i]);
	}
	threads->items.n = known = kept;
	for (size_t i = 0; i < tasks.tids.n; i++) {
		struct sampler_thread key = {.tid = tasks.tids.items[i]};

		if (!wanted(s, key.tid) ||
		    (known && bsearch(&key, threads->items.items, known, sizeof(key), by_tid)))
			continue;
		r = add_thread(s, key.tid, now, first);
		if (r < 0)
			return r;
	}
	qsort(threads->items.items, threads->items.n, sizeof(*threads->items.items), by_tid);
	if (first) {
		/* From here on known_ns is what was used since. */
		threads->known_ns = 0;
		threads->settled_ns = s->cpu_ns - s->cpu_start_ns;
	}
	threads->scanned_at = now;
	s->stats.threads_max = MAX(s->stats.threads_max, (uint32_t)threads->items.n);
	atomic_store(&s->shared->threads, (uint32_t)threads->items.n);
	return 0;
}

/* CPU time that no thread known accounts for. */
static bool has_gap(const struct sampler *s)
{
	return s->cpu_ns - s->cpu_start_ns >
	       s->threads.known_ns + s->threads.settled_ns + GAP_LIMIT;
}

int sampler_threads_refresh(struct sampler *s, uint64_t now, bool first)
{
	struct sampler_threads *threads = &s->threads;
	struct stat st;

	if (!first && threads->scanned_at + SCAN_GAP > now)
		return 0;
	/* The directory's link count is 2 + threads (fs/proc/base.c proc_task_getattr). A death
	 * and a birth in between keep it, and show as CPU time without an owner. */
	if (fstat(s->task_fd, &st) < 0)
		return err_errno();
	if (!first && st.st_nlink == threads->links && threads->scanned_at + SCAN_EVERY > now &&
	    !has_gap(s))
		return 0;
	threads->links = st.st_nlink;
	return scan(s, now, first);
}

static void look_at_idle(struct sampler *s, uint64_t now)
{
	struct sampler_threads *threads = &s->threads;
	size_t n = MIN((size_t)SLICE, threads->items.n);
	int64_t gap;

	for (size_t i = 0; i < n; i++) {
		struct sampler_thread *thread;

		if (threads->cursor >= threads->items.n)
			threads->cursor = 0;
		thread = &threads->items.items[threads->cursor++];
		if (thread->moved_at + BUSY_FOR <= now || !thread->moved_at)
			sampler_thread_look(s, thread, now);
	}
	/* All have been looked at: what is left belongs to threads that are gone. */
	threads->looked += n;
	if (threads->looked < threads->items.n)
		return;
	threads->looked = 0;
	gap = (int64_t)(s->cpu_ns - s->cpu_start_ns - threads->known_ns - threads->settled_ns);
	if (gap > 0)
		threads->settled_ns += (uint64_t)gap;
}

int sampler_threads_look(struct sampler *s, uint64_t now)
{
	struct sampler_threads *threads = &s->threads;
	int r = process_cpu_time(s->process, &s->cpu_ns);

	if (r < 0)
		return r;
	for (size_t i = 0; i < threads->items.n; i++) {
		struct sampler_thread *thread = &threads->items.items[i];

		if (thread->moved_at && thread->moved_at + BUSY_FOR > now)
			sampler_thread_look(s, thread, now);
		else if (thread->sched_fd >= 0 || thread->stat_fd >= 0)
			close_fds(threads, thread);
	}
	if (s->options.n_tids || has_gap(s))
		look_at_idle(s, now);
	else
		threads->looked = 0;
	return 0;
}

void sampler_threads_look_all(struct sampler *s, uint64_t now)
{
	for (size_t i = 0; i < s->threads.items.n; i++)
		sampler_thread_look(s, &s->threads.items.items[i], now);
}

void sampler_threads_exec(struct sampler *s, uint64_t now)
{
	sampler_threads_deinit(&s->threads);
	if (scan(s, now, true) < 0)
		log_line(LOG_DEBUG, "no thread list behind an execve");
}
