/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread: what it used, what it does.
 *
 * schedstat is se.sum_exec_runtime, the time that it waited for a CPU, and the number of times it
 * was put on one (fs/proc/base.c, kernel/sched/stats.h, Linux 6.18). A running thread's time is
 * brought up to date at each scheduler tick and when it leaves its CPU, the time it waited when it
 * gets one.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "source/sampler_priv.h"

/* Up to so many threads the files of idle ones stay open, too: each costs the kernel 4 KiB. */
#define KEEP_OPEN 1024
/* A thread that moved within this time is looked at on every tick. */
#define BUSY_FOR NSEC_PER_SEC
/* `stat` is the dearest file of all: 12 µs where `syscall` takes 2, with nothing in the caches.
 * Name and CPU are as of that long ago. */
#define STAT_EVERY (100 * NSEC_PER_MSEC)
/* How long a thread rests whose transfer was cut short: the first time, and at most. */
#define MIN_REST (100 * NSEC_PER_MSEC)
#define MAX_REST NSEC_PER_SEC
/* Of /proc/PID/task/TID/status: 1.5 kB, more where there are thousands of CPUs. */
#define STATUS_SIZE 16384
/* include/linux/sched.h */
#define PF_FORKNOEXEC 0x40

static void close_one(struct sampler *s, int *fd)
{
	if (*fd < 0)
		return;
	close(*fd);
	*fd = -1;
	s->open_fds--;
}

void sampler_thread_close(struct sampler *s, struct sampler_thread *thread)
{
	close_one(s, &thread->sched_fd);
	close_one(s, &thread->stat_fd);
	close_one(s, &thread->syscall_fd);
}

void sampler_thread_rests(struct sampler *s, const struct sampler_threads *threads,
			  struct sampler_thread *thread)
{
	close_one(s, &thread->stat_fd);
	close_one(s, &thread->syscall_fd);
	if (threads->items.n > KEEP_OPEN)
		close_one(s, &thread->sched_fd);
}

/* Reads task/TID/NAME, through *fd when it is open. Leaves it open when keep. */
static ssize_t read_task_file(struct sampler *s, struct sampler_target *target, pid_t tid,
			      const char *name, int *fd, bool keep, char *text, size_t size)
{
	char path[64];
	ssize_t n;

	if (*fd < 0) {
		snprintf(path, sizeof(path), "task/%d/%s", tid, name);
		*fd = openat(process_dirfd(target->process), path, O_RDONLY | O_CLOEXEC);
		if (*fd < 0)
			return -1;
		s->open_fds++;
	}
	n = pread(*fd, text, size - 1, 0);
	if (n >= 0)
		text[n] = '\0';
	if (!keep || n < 0)
		close_one(s, fd);
	return n;
}

bool sampler_thread_is_busy(const struct sampler_thread *thread, uint64_t now)
{
	return thread->moved_at && thread->moved_at + BUSY_FOR > now;
}

bool sampler_thread_look(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread, uint64_t now)
{
	enum {
		RUN,
		DELAY,
		SLICES,
		N_FIELDS
	};
	uint64_t fields[N_FIELDS];
	bool keep = (thread->is_busy || thread->sched_fd >= 0 ||
		     target->threads.items.n <= KEEP_OPEN) &&
		    s->open_fds < s->max_fds;
	char text[128];

	if (read_task_file(s, target, thread->tid, "schedstat", &thread->sched_fd, keep, text,
			   sizeof(text)) <= 0) {
		/* It has ended; by an execve, perhaps. */
		target->probed_at = 0;
		return false;
	}
	if (parse_fields(text, fields, N_FIELDS) != N_FIELDS)
		return false;
	if (fields[RUN] != thread->run_ns || fields[SLICES] != thread->slices) {
		thread->moved_at = now;
		sampler_threads_note_moved(&target->threads, thread);
	}
	if (fields[SLICES] != thread->slices)
		thread->arrived_at = now;
	target->threads.known_ns += fields[RUN] - thread->run_ns;
	thread->run_ns = fields[RUN];
	thread->delay_ns = fields[DELAY];
	thread->slices = fields[SLICES];
	return true;
}

char sampler_thread_state(struct sampler *s, struct sampler_target *target,
			  struct sampler_thread *thread, int *ret_cpu)
{
	bool keep = thread->sched_fd >= 0 && s->open_fds < s->max_fds;
	struct process_stat stat;
	char text[1024];

	if (read_task_file(s, target, thread->tid, "stat", &thread->stat_fd, keep, text,
			   sizeof(text)) <= 0)
		return 0;
	if (process_stat_parse(text, &stat) < 0)
		return 0;
	memcpy(thread->name, stat.name, sizeof(thread->name));
	thread->forked = stat.flags & PF_FORKNOEXEC;
	thread->cpu = *ret_cpu = stat.processor;
	return stat.state;
}

bool sampler_thread_switches(struct sampler *s, struct sampler_target *target,
			     const struct sampler_thread *thread, uint64_t *ret_switches)
{
	char text[STATUS_SIZE];
	int64_t number = -1;
	int fd = -1;

	if (read_task_file(s, target, thread->tid, "status", &fd, false, text, sizeof(text)) > 0)
		number = process_status_number(text, "voluntary_ctxt_switches", 10);
	if (number < 0)
		return false;
	*ret_switches = (uint64_t)number;
	return true;
}

bool sampler_thread_runs(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread, uint64_t now, bool cheap, int *ret_cpu)
{
	char text[256];

	if (cheap && thread->stat_at + STAT_EVERY > now &&
	    read_task_file(s, target, thread->tid, "syscall", &thread->syscall_fd,
			   s->open_fds < s->max_fds, text, sizeof(text)) > 0) {
		*ret_cpu = thread->cpu;
		return strncmp(text, "running", 7) == 0;
	}
	thread->stat_at = now;
	return sampler_thread_state(s, target, thread, ret_cpu) == 'R';
}

/*
 * A stop that meets a transfer ends it early, and nothing mends that; so those threads are met less
 * often. Whether a thread rests follows from what it did before, not from what it does, and what it
 * uses meanwhile is charged to its next sample.
 */
void sampler_thread_rest(struct sampler *s, struct sampler_thread *thread, bool cut_short)
{
	uint64_t now;

	if (!cut_short) {
		thread->rest_ns /= 2;
		return;
	}
	now = clock_now_ns();
	thread->rest_ns = MAX(2 * thread->rest_ns, MIN_REST);
	thread->rest_ns = MIN(thread->rest_ns, MAX_REST);
	/* At random within half and one and a half of it, so as not to keep step. */
	thread->rest_until = now + thread->rest_ns / 2 + sampler_random(s) % thread->rest_ns;
}

void sampler_thread_count_stops(struct sampler *s, const struct sampler_target *target,
				const struct sampler_thread *thread)
{
	struct sampler_stats *stats = &s->stats;
	uint32_t at = stats->n_busiest;

	if (!thread->stops)
		return;
	stats->threads_stopped++;
	while (at > 0 && stats->busiest[at - 1].stops < thread->stops)
		at--;
	if (at == SAMPLER_BUSIEST)
		return;
	if (stats->n_busiest < SAMPLER_BUSIEST)
		stats->n_busiest++;
	memmove(stats->busiest + at + 1, stats->busiest + at,
		(stats->n_busiest - 1 - at) * sizeof(stats->busiest[0]));
	stats->busiest[at] = (struct sampler_busy){
		.pid = target->pid, .tid = thread->tid, .stops = thread->stops};
	memcpy(stats->busiest[at].name, thread->name, sizeof(thread->name));
}
