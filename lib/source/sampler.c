/* SPDX-License-Identifier: Apache-2.0 */
#include "source/sampler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map64.h"
#include "source/sampler_priv.h"

/* Polling for a stop costs a CPU but saves the wake-up: half the pause. See lib/README.md. */
#define POLL_FOR (60 * NSEC_PER_USEC)
/* A thread on a CPU shows it in schedstat within one scheduler tick: 4 ms at HZ = 250, 10 ms at
 * HZ = 100. */
#define RUNNING_WITHIN (10 * NSEC_PER_MSEC)
/* Stops under way at once, per CPU: threads that wait for a CPU answer late. */
#define HELD_PER_CPU 4

static void raise_priority(struct sampler *s)
{
	/* A sampler that has to queue behind its target measures the queue. */
	for (int nice = -20; nice < 0; nice += 5) {
		if (setpriority(PRIO_PROCESS, (id_t)gettid(), nice) == 0)
			break;
	}
	errno = 0;
	s->stats.nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	/* The default slack of 50 µs would be the largest part of a tick's error. */
	prctl(PR_SET_TIMERSLACK, 1UL);
}

static int open_image(struct sampler *s)
{
	int fd = openat(process_dirfd(s->process), "mem", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno();
	if (s->mem_fd >= 0)
		close(s->mem_fd);
	s->mem_fd = fd;
	return 0;
}

/* The descriptor of /proc/PID/mem belongs to the memory it was opened on. Once the last thread has
 * left that memory by execve, reads give 0 (fs/proc/base.c mem_rw); before, address 0 gives EIO. */
static bool image_is_gone(const struct sampler *s)
{
	char byte;

	return pread(s->mem_fd, &byte, 1, 0) == 0;
}

static void on_exec(struct sampler *s, uint64_t now)
{
	if (open_image(s) < 0)
		return; /* it has ended: the pidfd tells */
	s->generation++;
	s->stats.execs++;
	s->maps_stale = true;
	s->maps_read_at = 0;
	sampler_threads_exec(s, now);
}

static uint64_t next_random(struct sampler *s)
{
	/* splitmix64, public domain. */
	return hash64(s->random += 0x9e3779b97f4a7c15ULL);
}

static int begin(struct sampler *s)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	s->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		return err_trace(err_errno());
	r = tracee_set_new(s->options.pid, &s->set);
	if (r < 0)
		return err_trace(r);
	if (s->options.argv) {
		r = tracee_spawn(s->set, s->options.argv, &s->options.pid);
		if (r < 0)
			return err_trace(r);
	}
	r = process_open(s->options.pid, &s->process);
	if (r < 0)
		return err_trace(r);
	s->task_fd = openat(process_dirfd(s->process), "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->task_fd < 0)
		return err_trace(err_errno());
	return open_image(s);
}

static unsigned fd_budget(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 64;
	/* Leaves room for the modules' files. */
	return (unsigned)MIN(limit.rlim_cur / 2, (rlim_t)2048);
}

int sampler_new(const struct sampler_options *options, struct ring *ring,
		struct sampler_shared *shared, struct sampler **ret_sampler)
{
	struct sampler *s = calloc(1, sizeof(*s));
	long cpus;
	int r;

	if (!s)
		return err_trace(-ENOMEM);
	s->options = *options;
	s->arch = arch_native();
	s->ring = ring;
	s->shared = shared;
	s->signal_fd = s->task_fd = s->mem_fd = -1;
	s->maps_stale = true;
	s->random = clock_now_ns();
	s->threads.max_fds = fd_budget();
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	s->n_cpus = cpus > 0 ? (unsigned)cpus : 1;
	r = begin(s);
	if (r >= 0 && options->engine == SAMPLER_LIBUNWIND) {
		s->trace = malloc(sizeof(*s->trace));
		r = s->trace ? tracee_unwinder_new(&s->unwinder) : -ENOMEM;
	}
	if (r < 0) {
		sampler_free(s);
		return r;
	}
	*ret_sampler = s;
	return 0;
}

struct sampler *sampler_free(struct sampler *s)
{
	if (!s)
		return NULL;
	tracee_set_free(s->set);
	tracee_unwinder_free(s->unwinder);
	free(s->trace);
	sampler_threads_deinit(&s->threads);
	process_maps_deinit(&s->maps);
	process_close(s->process);
	if (s->mem_fd >= 0)
		close(s->mem_fd);
	if (s->task_fd >= 0)
		close(s->task_fd);
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	free(s);
	return NULL;
}

pid_t sampler_pid(const struct sampler *sampler)
{
	return sampler->options.pid;
}

const struct sampler_stats *sampler_stats(const struct sampler *sampler)
{
	return &sampler->stats;
}

void sampler_kick(struct sampler *sampler)
{
	tracee_set_kick(sampler->set);
}

/* Stops one of the threads that are likely to be on a CPU. Sets *ret_elsewhere when it last ran on
 * another CPU than ours. Returns false when it was not running after all. */
static bool stop_one(struct sampler *s, struct sampler_thread *thread, bool *ret_elsewhere)
{
	int cpu = 0;

	/* Anything but R is blocked, stopped, or in a wait that a stop must not disturb (D). */
	if (sampler_thread_state(s, thread, &cpu) != 'R')
		return false;
	switch (tracee_stop(s->set, thread->tid, thread->slot)) {
	case TRACEE_OK:
		*ret_elsewhere = cpu != sched_getcpu();
		return true;
	case TRACEE_DENIED:
		s->stats.denied++;
		break;
	case TRACEE_BUSY:
	case TRACEE_GONE:
		break;
	default:
		s->stats.lost++;
	}
	return false;
}

/* Chooses among the threads that moved lately, at random, without replacement. */
static bool stop_some(struct sampler *s, uint64_t now, uint64_t last_tick)
{
	struct sampler_thread *threads = s->threads.items.items;
	uint64_t lately = now - RUNNING_WITHIN, since = MIN(last_tick, lately);
	bool elsewhere, all_elsewhere = true;
	VEC(uint32_t) choices = {};
	unsigned stopped = 0;

	for (size_t i = 0; i < s->threads.items.n; i++) {
		uint32_t *choice;

		if (threads[i].moved_at < since || !threads[i].moved_at)
			continue;
		choice = vec_push(&choices);
		if (choice)
			*choice = (uint32_t)i;
	}
	while (choices.n && stopped < s->n_cpus && tracee_held(s->set) < HELD_PER_CPU * s->n_cpus) {
		size_t at = next_random(s) % choices.n;
		uint32_t choice = choices.items[at];

		choices.items[at] = choices.items[--choices.n];
		if (stop_one(s, &threads[choice], &elsewhere)) {
			stopped++;
			all_elsewhere = all_elsewhere && elsewhere;
		}
	}
	vec_deinit(&choices);
	return stopped && all_elsewhere;
}

static void drain(struct sampler *s)
{
	struct signalfd_siginfo ignored[8];
	struct tracee_event event;

	/* The descriptor first: what comes later makes it readable again. */
	while (read(s->signal_fd, ignored, sizeof(ignored)) > 0)
		;
	while (tracee_next(s->set, &event))
		sampler_on_event(s, &event);
}

static int tick(struct sampler *s, uint64_t now, uint64_t last_tick)
{
	struct tracee_event event;
	uint64_t end;
	int r;

	s->stats.ticks++;
	s->stats.late += tracee_held(s->set);
	while (tracee_prune(s->set, &event))
		sampler_on_event(s, &event);
	if (image_is_gone(s))
		on_exec(s, now);
	r = sampler_threads_look(s, now);
	if (r < 0)
		return r;
	r = sampler_threads_refresh(s, now, false);
	if (r < 0)
		return r;
	sampler_maps_refresh(s, now);
	if (!stop_some(s, now, last_tick))
		return 0;
	end = clock_now_ns() + POLL_FOR;
	while (tracee_held(s->set) && clock_now_ns() < end) {
		if (tracee_next(s->set, &event))
			sampler_on_event(s, &event);
	}
	return 0;
}

/* What is left to account for when the recording ends. */
static void settle(struct sampler *s)
{
	struct sampler_stats *stats = &s->stats;
	uint64_t cpu;

	if (process_cpu_time(s->process, &cpu) == 0)
		s->cpu_ns = cpu;
	sampler_threads_look_all(s, clock_now_ns());
	for (size_t i = 0; i < s->threads.items.n && !stats->target_ended; i++) {
		struct sampler_thread *thread = &s->threads.items.items[i];
		uint64_t rest = thread->run_ns - thread->charged_ns;

		if (!rest)
			continue;
		if (!thread->name[0]) {
			int ignored;

			sampler_thread_state(s, thread, &ignored);
		}
		sampler_put_pseudo(s, SNAPSHOT_NOT_SEEN, thread, rest);
		stats->not_seen_ns += rest;
	}
	stats->cpu_ns = s->cpu_ns - s->cpu_start_ns;
	if (s->options.n_tids) {
		stats->cpu_ns = stats->sampled_ns + stats->not_seen_ns;
	} else if (stats->cpu_ns > stats->sampled_ns + stats->not_seen_ns) {
		stats->exited_ns = stats->cpu_ns - stats->sampled_ns - stats->not_seen_ns;
		sampler_put_pseudo(s, SNAPSHOT_EXITED, NULL, stats->exited_ns);
	}
}

/* Sleeps until the next tick or an event, whichever is first. True when it is time to end. */
static bool wait_until(struct sampler *s, uint64_t when)
{
	struct pollfd fds[] = {{.fd = s->signal_fd, .events = POLLIN},
			       {.fd = process_pidfd(s->process), .events = POLLIN},
			       {.fd = s->options.stop_fd, .events = POLLIN}};
	uint64_t now = clock_now_ns(), cpu;
	struct timespec timeout = ns_timespec(when > now ? when - now : 0);

	if (ppoll(fds, ARRAY_SIZE(fds), &timeout, NULL) < 0)
		return false;
	if (fds[1].revents) {
		/* All threads have ended; while nobody has reaped it the clock still counts. */
		if (process_cpu_time(s->process, &cpu) == 0)
			s->cpu_ns = cpu;
		s->stats.target_ended = true;
	}
	if (fds[0].revents || fds[1].revents)
		drain(s);
	return fds[2].revents || s->stats.target_ended;
}

static int loop(struct sampler *s, uint64_t start)
{
	uint64_t period = NSEC_PER_SEC / s->options.hz, base = start, last = start, now, next;
	uint64_t end = s->options.duration_ns ? start + s->options.duration_ns : UINT64_MAX;
	int r;

	while (base < end) {
		/* Anywhere inside the period, so that it cannot lock step with the target. */
		next = MIN(base + next_random(s) % period, end);
		do {
			if (wait_until(s, next))
				return 0;
			now = clock_now_ns();
			atomic_fetch_add_explicit(&s->shared->progress, 1, memory_order_relaxed);
		} while (now < next);
		if (now >= end)
			break;
		r = tick(s, now, last);
		if (r == -ESRCH) {
			s->stats.target_ended = true;
			return 0;
		}
		if (r < 0)
			return r;
		last = now;
		base += period;
		/* Late: skip, never catch up in a burst. */
		if (base + period < now) {
			s->stats.missed_ticks += (now - base) / period;
			base = now;
		}
	}
	return 0;
}

void sampler_cancel(struct sampler *s)
{
	s->set = tracee_set_free(s->set);
}

int sampler_run(struct sampler *s)
{
	uint64_t start;
	int r;

	raise_priority(s);
	r = process_cpu_time(s->process, &s->cpu_start_ns);
	if (r < 0)
		return err_trace(r);
	s->cpu_ns = s->cpu_start_ns;
	start = clock_now_ns();
	r = sampler_threads_refresh(s, start, true);
	if (r < 0)
		return err_trace(r);
	sampler_maps_refresh(s, start);
	tracee_spawn_release(s->set);
	r = loop(s, start);
	/* What still runs towards its stop is released when it arrives, or with this thread. */
	drain(s);
	settle(s);
	s->stats.elapsed_ns = clock_now_ns() - start;
	s->set = tracee_set_free(s->set);
	return err_trace(r);
}
