/* SPDX-License-Identifier: Apache-2.0 */
#include "source/sampler.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
/* How long stops under way are waited for at the end. */
#define AWAIT_FOR (200 * NSEC_PER_MSEC)

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
bool sampler_image_is_gone(const struct sampler *s)
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
	/* libunwind's caches are of the old image. */
	if (s->unwinder) {
		s->unwinder = tracee_unwinder_free(s->unwinder);
		(void)tracee_unwinder_new(&s->unwinder);
	}
	sampler_threads_exec(s, now);
}

uint64_t sampler_random(struct sampler *s)
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

/* The coarse clocks advance with the scheduler tick: their resolution is 1/HZ. */
static uint64_t sched_tick(void)
{
	struct timespec resolution;

	clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
	return timespec_ns(resolution);
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
	cpus = sysconf(_SC_NPROCESSORS_CONF);
	s->n_cpus = cpus > 0 ? (unsigned)cpus : 1;
	s->sched_tick_ns = sched_tick();
	s->lanes = calloc(s->n_cpus, sizeof(*s->lanes));
	r = s->lanes ? begin(s) : -ENOMEM;
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
	free(s->lanes);
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

/* For the stops under way at the end: one that nobody handles leaves its EINTR in the target. Most
 * arrive at once; a thread that waits for a CPU needs its turn. */
static void await_stops(struct sampler *s)
{
	struct pollfd fd = {.fd = s->signal_fd, .events = POLLIN};
	uint64_t end = clock_now_ns() + AWAIT_FOR;

	drain(s);
	while (tracee_held(s->set) && clock_now_ns() < end) {
		/* SIGCHLD is one for many: never rely on it alone. */
		(void)poll(&fd, 1, 1);
		drain(s);
	}
}

static int tick(struct sampler *s, uint64_t now)
{
	struct tracee_event event;
	uint64_t end;
	int r;

	s->stats.ticks++;
	s->stats.late += tracee_held(s->set);
	while (tracee_prune(s->set, &event))
		sampler_on_event(s, &event);
	if (sampler_image_is_gone(s))
		on_exec(s, now);
	r = sampler_threads_look(s, now);
	if (r < 0)
		return r;
	r = sampler_threads_refresh(s, now, false);
	if (r < 0)
		return r;
	sampler_maps_refresh(s, now);
	if (!sampler_choose_and_stop(s, now))
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
	uint64_t period = NSEC_PER_SEC / s->options.hz, base = start, now, next;
	uint64_t end = s->options.duration_ns ? start + s->options.duration_ns : UINT64_MAX;
	int r;

	while (base < end) {
		/* Anywhere inside the period, so that it cannot lock step with the target. */
		next = MIN(base + sampler_random(s) % period, end);
		if (sampler_choose_prepares(s) && next > clock_now_ns() + s->sched_tick_ns) {
			if (wait_until(s, next - s->sched_tick_ns))
				return 0;
			(void)sampler_threads_look(s, clock_now_ns());
		}
		do {
			if (wait_until(s, next))
				return 0;
			now = clock_now_ns();
			atomic_fetch_add_explicit(&s->shared->progress, 1, memory_order_relaxed);
		} while (now < next);
		if (now >= end)
			break;
		r = tick(s, now);
		if (r == -ESRCH) {
			s->stats.target_ended = true;
			return 0;
		}
		if (r < 0)
			return r;
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
	/* What has not stopped after that is released with this thread. */
	await_stops(s);
	settle(s);
	s->stats.elapsed_ns = clock_now_ns() - start;
	s->set = tracee_set_free(s->set);
	return err_trace(r);
}
