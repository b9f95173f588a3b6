/* SPDX-License-Identifier: Apache-2.0 */
#include "source/sampler.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map64.h"
#include "source/sampler_priv.h"
#include "source/source_priv.h"

/* Polling for a stop costs a CPU but saves the wake-up: half the pause. See lib/README.md. Shorter
 * when a thread waits for our CPU meanwhile. */
#define POLL_FOR (60 * NSEC_PER_USEC)
#define POLL_HERE_FOR (20 * NSEC_PER_USEC)
/* Descriptors: of threads in all; of a process, of them four here and two at the consumer. */
#define MAX_THREAD_FDS 2048
#define FDS_PER_TARGET 6
#define MAX_TARGETS 16384
/* While nothing is sampled, this often nothing is done. */
#define PAUSE_LOOK (3600 * NSEC_PER_SEC)

uint64_t sampler_random(struct sampler *s)
{
	/* splitmix64, public domain. */
	return hash64(s->random += 0x9e3779b97f4a7c15ULL);
}

static int begin(struct sampler *s)
{
	int r = sampler_wait_init(s);

	if (r < 0)
		return err_trace(r);
	r = tracee_set_new(&s->set);
	if (r < 0)
		return err_trace(r);
	if (s->options.argv) {
		r = tracee_spawn(s->set, s->options.argv, &s->options.pid);
		if (r < 0)
			return err_trace(r);
	}
	r = sampler_target_add(s, s->options.pid, true);
	return r < 0 ? err_trace(r) : 0;
}

/* A third of the descriptors is for threads, a third for processes, the rest for all else. */
static void share_out_fds(struct sampler *s)
{
	struct rlimit limit;
	rlim_t third = 64;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		/* A command has been started by now, with what was there before. */
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
		third = limit.rlim_cur / 3 / MAX(1U, s->options.fd_sharers);
	}
	s->max_fds = (unsigned)MIN(third, (rlim_t)MAX_THREAD_FDS);
	s->max_targets = 1 + (unsigned)MIN(third / FDS_PER_TARGET, (rlim_t)MAX_TARGETS);
}

static bool is_privileged(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};

	return syscall(SYS_capget, &header, sets) == 0 &&
	       sets[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective & CAP_TO_MASK(CAP_SYS_PTRACE);
}

/* The coarse clocks advance with the scheduler tick: their resolution is 1/HZ. */
static uint64_t sched_tick(void)
{
	struct timespec resolution;

	clock_getres(CLOCK_MONOTONIC_COARSE, &resolution);
	return timespec_ns(resolution);
}

int sampler_new(const struct sampler_options *options, struct queue *queue,
		struct sampler_shared *shared, struct sampler **ret_sampler)
{
	struct sampler *s = calloc(1, sizeof(*s));
	long cpus;
	int r;

	if (!s)
		return err_trace(-ENOMEM);
	s->options = *options;
	s->types = options->on_demand ? 0 : options->types;
	atomic_store(&shared->types_wanted, s->types);
	atomic_store(&shared->types, s->types);
	s->arch = arch_native();
	s->queue = queue;
	s->shared = shared;
	s->events_fd = s->newest_fd = s->spare_fd = s->own_sched_fd = -1;
	s->wake.signal_fd = s->wake.told_fd = -1;
	s->random = clock_now_ns();
	s->privileged = is_privileged();
	cpus = sysconf(_SC_NPROCESSORS_CONF);
	s->n_cpus = cpus > 0 ? (unsigned)cpus : 1;
	s->sched_tick_ns = sched_tick();
	s->lanes = calloc(s->n_cpus, sizeof(*s->lanes));
	r = s->lanes ? begin(s) : -ENOMEM;
	/* Behind the command's start, which must not inherit it; on a busy machine the first tick
	 * is not to wait. */
	if (r >= 0) {
		s->stats.realtime = source_raise_priority();
		errno = 0;
		s->stats.nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	}
	share_out_fds(s);
	if (r >= 0 && options->engine == SAMPLER_LIBUNWIND) {
		s->trace = malloc(sizeof(*s->trace));
		r = s->trace ? 0 : -ENOMEM;
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
	free(s->trace);
	free(s->lanes);
	for (size_t i = 0; i < s->targets.n; i++)
		sampler_target_free(s, s->targets.items[i]);
	vec_deinit(&s->targets);
	vec_deinit(&s->free_slots);
	vec_deinit(&s->held);
	vec_deinit(&s->suspects);
	map64_deinit(&s->futexes);
	sampler_wait_deinit(s);
	if (s->newest_fd >= 0)
		close(s->newest_fd);
	if (s->spare_fd >= 0)
		close(s->spare_fd);
	if (s->own_sched_fd >= 0)
		close(s->own_sched_fd);
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

/* Returns 0, -ESRCH when the first process has ended, -ENOMEM. */
static int look(struct sampler *s, uint64_t now)
{
	int r;

	for (size_t i = s->targets.n; i-- > 0;) {
		r = sampler_target_look(s, s->targets.items[i], now);
		/* A child that became another user's is not ours to look at any more. */
		if (i > 0 && (r == -EACCES || r == -EPERM))
			s->stats.children_refused++;
		if (i > 0 && (r == -ESRCH || r == -EACCES || r == -EPERM))
			sampler_target_ended(s, i);
		else if (r == -ESRCH || r == -ENOMEM)
			return r;
		else if (r < 0)
			/* No descriptor left, for instance: another time. */
			log_line(LOG_DEBUG, "process %d: %s", s->targets.items[i]->pid,
				 strerror(-r));
	}
	if (s->options.children)
		sampler_children_find(s, now, false);
	return 0;
}

static int tick(struct sampler *s, uint64_t now)
{
	struct tracee_event event;
	unsigned awaited;
	uint64_t end;
	bool here;
	int r;

	s->stats.ticks++;
	s->stats.late += tracee_held(s->set);
	while (tracee_prune(s->set, &event))
		sampler_on_event(s, &event);
	r = look(s, now);
	if (r < 0)
		return r;
	sampler_budget_check(s, now);
	if (sampler_wants(s, SAMPLER_CREATE))
		sampler_create_tick(s);
	for (size_t i = 0; i < s->targets.n && sampler_wants(s, SAMPLER_WAITS); i++)
		sampler_wall_tick(s, s->targets.items[i], now);
	if (sampler_wants(s, SAMPLER_WALL))
		sampler_wall_put(s, now);
	if (sampler_wants(s, SAMPLER_CPU) && atomic_exchange(&s->shared->exited_wanted, false)) {
		for (size_t i = 0; i < s->targets.n; i++)
			sampler_target_charge_exited(s, s->targets.items[i], now);
	}
	s->last_tick_at = now;
	here = false;
	awaited = 0;
	if (sampler_wants(s, SAMPLER_THREADS))
		awaited = sampler_each_tick(s, now);
	else if (sampler_wants(s, SAMPLER_RUNS))
		awaited = sampler_choose_and_stop(s, now, &here);
	if (sampler_wants(s, SAMPLER_MUTEX))
		awaited += sampler_lock_stop(s, now);
	if (here && sampler_step_aside(s, now)) {
		here = false;
		awaited++;
	}
	if (!awaited)
		return 0;
	now = clock_now_ns();
	end = now + (here ? POLL_HERE_FOR : POLL_FOR);
	while (awaited && tracee_held(s->set) && now < end) {
		if (tracee_next(s->set, &event)) {
			sampler_on_event(s, &event);
			awaited--;
		} else {
			sampler_budget_clear(s, now);
		}
		now = clock_now_ns();
	}
	/* It would end the sleep that begins now. */
	if (tracee_is_idle(s->set))
		tracee_wake_take(&s->wake);
	return 0;
}

/* Children that ended are in their parents' accounts once these have waited for them. */
static void settle_children(struct sampler *s)
{
	uint64_t reaped = 0, known = s->reaped_start_ns + s->children_settled_ns;

	for (size_t i = 0; i < s->targets.n; i++) {
		if (!s->targets.items[i]->ended)
			sampler_target_reaped(s->targets.items[i]);
		reaped += s->targets.items[i]->children_ns;
	}
	if (reaped <= known)
		return;
	s->stats.never_met_ns = reaped - known;
	s->stats.cpu_ns += reaped - known;
	sampler_put_pseudo(s, s->targets.items[0], SNAPSHOT_NEVER_MET, NULL, reaped - known);
}

/* What is left to account for when the recording ends. */
static void settle(struct sampler *s)
{
	s->settling_since = clock_now_ns();
	if (s->options.children && sampler_wants(s, SAMPLER_CPU) && !s->options.on_demand)
		settle_children(s);
	for (size_t i = 0; i < s->targets.n; i++)
		sampler_target_settle(s, s->targets.items[i]);
}

/* What was before the recording is not its business. Returns 0, -ESRCH, -ENOMEM. */
static int first_look(struct sampler *s, uint64_t now)
{
	struct sampler_target *first = s->targets.items[0];
	int r = process_cpu_time(first->process, &first->cpu_start_ns);

	if (r < 0)
		return r;
	first->cpu_ns = first->cpu_start_ns;
	r = sampler_threads_refresh(s, first, now, true);
	if (r < 0)
		return r;
	if (s->options.children)
		sampler_children_find(s, now, true);
	sampler_maps_refresh(first, now);
	sampler_budget_init(s, now);
	return 0;
}

/* Returns 0, -ESRCH when the first process has ended, -ENOMEM. */
static int loop(struct sampler *s, uint64_t start)
{
	uint64_t base = start, period, now, next;
	uint64_t end = s->options.duration_ns ? start + s->options.duration_ns : UINT64_MAX;
	int r;

	while (base < end) {
		uint64_t paused_at = clock_now_ns();

		r = sampler_types_follow(s);
		if (r < 0)
			return r;
		if (!s->types) {
			if (sampler_wait_until(s, paused_at + PAUSE_LOOK))
				return 0;
			base = clock_now_ns();
			continue;
		}
		period = s->budget.period_ns;
		/* Anywhere inside the period, so that it cannot lock step with the target. */
		next = MIN(base + sampler_random(s) % period, end);
		if (sampler_choose_prepares(s) && next > clock_now_ns() + s->sched_tick_ns) {
			if (sampler_wait_until(s, next - s->sched_tick_ns))
				return 0;
			for (size_t i = 0; i < s->targets.n; i++)
				(void)sampler_threads_look(s, s->targets.items[i], clock_now_ns());
		}
		do {
			if (sampler_wait_until(s, next))
				return 0;
			now = clock_now_ns();
			atomic_fetch_add_explicit(&s->shared->progress, 1, memory_order_relaxed);
		} while (now < next);
		if (now >= end)
			break;
		r = tick(s, now);
		if (r < 0)
			return r;
		if (sampler_wants(s, SAMPLER_THREADS) && sampler_each_is_done(s))
			return 0;
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

	s->own_sched_fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	start = s->last_tick_at = clock_now_ns();
	r = first_look(s, start);
	tracee_spawn_release(s->set);
	if (r == 0)
		r = loop(s, start);
	if (r == -ESRCH) {
		sampler_target_ended(s, 0);
		r = 0;
	}
	/* What has not stopped after that is released with this thread. */
	sampler_await_stops(s);
	sampler_create_end(s);
	settle(s);
	s->stats.elapsed_ns = clock_now_ns() - start;
	for (size_t i = 0; i < s->targets.n; i++)
		sampler_threads_deinit(s, s->targets.items[i]);
	s->set = tracee_set_free(s->set);
	return err_trace(r);
}
