/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/session_priv.h"

/* What usually waits for the consumer, and room for some of the largest snapshots beside what is
 * kept free for those without a stack. */
#define QUEUE_SMALL (1UL << 20)
#define QUEUE_LARGE (16UL * SNAPSHOT_MAX_STACK)
/* How long the consumer sleeps when the queue is empty and nobody wakes it. */
#define CONSUMER_NAP_MS 100
#define CONSUMER_NICE -10
/* How often it is looked whether a change of types can still come. */
#define TYPES_LOOK_MS 100
#define PROGRESS_EVERY (200 * NSEC_PER_MSEC)
/* No progress of the tracer while it holds a thread: first kicked, then given up. */
#define STUCK_KICK (NSEC_PER_SEC / 2)
#define STUCK_GIVE_UP (2 * NSEC_PER_SEC)

static void set_stage(struct session *s, enum session_stage stage)
{
	pthread_mutex_lock(&s->lock);
	if (s->stage < stage)
		s->stage = stage;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Waits for a stage, or until `until` (CLOCK_MONOTONIC; 0 = for ever). True when it is reached. */
static bool wait_stage(struct session *s, enum session_stage stage, uint64_t until)
{
	struct timespec deadline = ns_timespec(until);
	bool reached;

	pthread_mutex_lock(&s->lock);
	while (s->stage < stage) {
		if (!until)
			pthread_cond_wait(&s->changed, &s->lock);
		else if (pthread_cond_timedwait(&s->changed, &s->lock, &deadline) == ETIMEDOUT)
			break;
	}
	reached = s->stage >= stage;
	pthread_mutex_unlock(&s->lock);
	return reached;
}

static void *tracer_main(void *arg)
{
	struct session *s = arg;
	int r = sampler_new(&s->options.sampler, s->queue, &s->shared, &s->sampler);

	s->tracer_result = r;
	set_stage(s, SESSION_READY);
	if (r == 0) {
		wait_stage(s, SESSION_GO, 0);
		if (!s->cancelled)
			s->tracer_result = sampler_run(s->sampler);
		else
			sampler_cancel(s->sampler);
	}
	set_stage(s, SESSION_DONE);
	atomic_store(&s->done, true);
	(void)eventfd_write(s->wake_fd, 1);
	return NULL;
}

static void *consumer_main(void *arg)
{
	struct session *s = arg;
	struct pollfd fd = {.fd = s->wake_fd, .events = POLLIN};
	const struct snapshot *snapshot;
	uint64_t upto;
	bool done;
	size_t size;

	/* Else it starves beside a target with many busy threads, and samples are dropped. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), CONSUMER_NICE);
	do {
		/* Asked before the queue is emptied: what comes before the end is then seen. */
		done = atomic_load(&s->done) || atomic_load(&s->gave_up);
		upto = clock_now_ns();
		while ((snapshot = queue_peek(s->queue, &size))) {
			uint64_t taken_at = snapshot->time_ns;
			int r = consumer_take(s->consumer, snapshot);

			if (r < 0)
				s->consumer_result = r;
			queue_pop(s->queue);
			session_peek_serve(s, taken_at);
		}
		session_peek_serve(s, upto);
		consumer_ask(s->consumer);
		if (!done && poll(&fd, 1, CONSUMER_NAP_MS) > 0) {
			eventfd_t ignored;

			(void)eventfd_read(s->wake_fd, &ignored);
		}
	} while (!done);
	return NULL;
}

static int start_tracer(struct session *s)
{
	int r = pthread_create(&s->tracer_thread, NULL, tracer_main, s);

	if (r)
		return err_trace(-r);
	s->tracer_started = true;
	wait_stage(s, SESSION_READY, 0);
	return s->tracer_result;
}

static int start_consumer(struct session *s)
{
	struct consumer_options options = {
		.types = s->options.sampler.types,
		.inlines = s->options.inlines,
		.children = s->options.sampler.children,
	};

	return consumer_new(sampler_pid(s->sampler), &options, &s->shared, s->profile,
			    &s->consumer);
}

int session_new(const struct session_options *options, struct session **ret_session)
{
	struct session *s = calloc(1, sizeof(*s));
	pthread_condattr_t monotonic;
	int r;

	if (!s)
		return err_trace(-ENOMEM);
	s->options = *options;
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->types_turn, NULL);
	session_peek_init(s);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = s->wake_fd < 0 ? err_errno() : 0;
	s->types_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->types_done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r >= 0 && (s->types_fd < 0 || s->types_done_fd < 0))
		r = err_errno();
	s->options.sampler.wake_fd = s->wake_fd;
	s->options.sampler.types_fd = options->sampler.on_demand ? s->types_fd : -1;
	s->options.sampler.types_done_fd = s->types_done_fd;
	if (r >= 0)
		r = queue_new(QUEUE_SMALL, QUEUE_LARGE, &s->queue);
	if (r >= 0)
		r = session_types_profile(options->sampler.types, options->sampler.hz, &s->profile);
	if (r >= 0)
		r = start_tracer(s);
	if (r >= 0)
		r = start_consumer(s);
	if (r < 0) {
		session_free(s);
		return err_trace(r);
	}
	*ret_session = s;
	return 0;
}

struct session *session_free(struct session *s)
{
	if (!s)
		return NULL;
	/* A tracer that was given up still uses the session: it goes with the process. */
	if (atomic_load(&s->gave_up))
		return NULL;
	if (s->tracer_started) {
		s->cancelled = true;
		set_stage(s, SESSION_GO);
		pthread_join(s->tracer_thread, NULL);
	}
	sampler_free(s->sampler);
	consumer_free(s->consumer);
	session_peek_deinit(s);
	profile_free(s->profile);
	profile_free(s->part);
	queue_free(s->queue);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
	if (s->types_fd >= 0)
		close(s->types_fd);
	if (s->types_done_fd >= 0)
		close(s->types_done_fd);
	pthread_mutex_destroy(&s->types_turn);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

pid_t session_pid(const struct session *s)
{
	return sampler_pid(s->sampler);
}

void session_abandon(struct session *s)
{
	atomic_store(&s->abandoned, true);
}

int session_set_types(struct session *s, unsigned types)
{
	struct pollfd fd = {.fd = s->types_done_fd, .events = POLLIN};
	eventfd_t ignored;
	bool done = false;

	pthread_mutex_lock(&s->types_turn);
	(void)eventfd_read(s->types_done_fd, &ignored);
	sampler_set_types(&s->shared, s->types_fd, types);
	while (atomic_load(&s->shared.types) != types && !done) {
		/* Asked before: the last change comes before the end. */
		done = atomic_load(&s->done) || atomic_load(&s->gave_up);
		if (!done)
			(void)poll(&fd, 1, TYPES_LOOK_MS);
	}
	done = atomic_load(&s->shared.types) != types;
	pthread_mutex_unlock(&s->types_turn);
	return done ? -ESRCH : 0;
}

void session_progress(const struct session *s, struct session_progress *ret_progress)
{
	uint64_t begun_at = atomic_load(&s->begun_at);

	*ret_progress = (struct session_progress){
		.elapsed_ns = begun_at ? clock_now_ns() - begun_at : 0,
		.samples = atomic_load(&s->shared.samples),
		.dropped = atomic_load(&s->shared.dropped),
		.threads = atomic_load(&s->shared.threads),
		.pause_ns = atomic_load(&s->shared.pause_ns),
	};
	for (unsigned i = 0; i < SAMPLER_PAUSES; i++)
		ret_progress->pauses[i] = atomic_load(&s->shared.pauses[i]);
	for (unsigned i = 0; i < TRACE_ENDS; i++)
		ret_progress->traces[i] = atomic_load(&s->shared.traces[i]);
}

/* Reports progress and looks after the tracer until it is done. */
static void watch(struct session *s)
{
	uint64_t moved_at = clock_now_ns(), progress = 0;
	/* At a low rate nothing moves between ticks. */
	uint64_t slack = 4 * (NSEC_PER_SEC / s->options.sampler.hz);
	bool kicked = false;

	while (!wait_stage(s, SESSION_DONE, clock_now_ns() + PROGRESS_EVERY)) {
		uint64_t now = clock_now_ns(), seen = atomic_load(&s->shared.progress);
		struct session_progress report;

		session_progress(s, &report);
		if (s->options.on_progress)
			s->options.on_progress(s->options.user, &report);
		if (seen != progress || !atomic_load(&s->shared.held)) {
			progress = seen;
			moved_at = now;
			kicked = false;
		} else if (now - moved_at > STUCK_GIVE_UP + slack) {
			atomic_store(&s->gave_up, true);
			return;
		} else if (now - moved_at > STUCK_KICK + slack && !kicked) {
			kicked = true;
			sampler_kick(s->sampler);
		}
	}
}

int session_run(struct session *s)
{
	uint64_t begun = clock_wall_ns(), start = clock_now_ns(), lasted;
	int r;

	s->piece.begun_wall = begun;
	s->piece.begun_at = start;
	atomic_store(&s->begun_at, start);
	session_peek_pass(s, SESSION_CONSUMER);
	r = pthread_create(&s->consumer_thread, NULL, consumer_main, s);
	if (r) {
		session_peek_pass(s, SESSION_NOBODY);
		return err_trace(-r);
	}
	set_stage(s, SESSION_GO);
	watch(s);
	lasted = clock_now_ns() - start;
	(void)eventfd_write(s->wake_fd, 1);
	pthread_join(s->consumer_thread, NULL);
	session_peek_pass(s, SESSION_FINISHING);
	s->stats.watchdog = atomic_load(&s->gave_up);
	if (!s->stats.watchdog) {
		pthread_join(s->tracer_thread, NULL);
		s->tracer_started = false;
	}
	/* A tracer that was given up may still write to its own. */
	if (s->stats.watchdog)
		s->stats.sampler.samples = atomic_load(&s->shared.samples);
	else
		s->stats.sampler = *sampler_stats(s->sampler);
	/* Values are of the time that the sampler ran, which threads of ours may have come late to.
	 */
	if (s->stats.sampler.elapsed_ns) {
		begun += lasted - MIN(lasted, s->stats.sampler.elapsed_ns);
		lasted = s->stats.sampler.elapsed_ns;
	}
	if (s->piece.number) {
		begun = s->piece.begun_wall;
		lasted = clock_now_ns() - s->piece.begun_at;
	}
	profile_set_time(s->profile, (int64_t)begun, (int64_t)lasted);
	r = atomic_load(&s->abandoned) ? 0 : consumer_symbolize(s->consumer);
	consumer_stats(s->consumer, &s->stats);
	if (r >= 0)
		r = session_comment(s);
	session_peek_pass(s, SESSION_NOBODY);
	if (r >= 0)
		r = s->consumer_result;
	return err_trace(r < 0 ? r : s->tracer_result);
}

int session_profile(struct session *s, enum sampler_type type, const struct profile **ret_profile)
{
	const struct sampler_options *sampler = &s->options.sampler;
	int r;

	if (sampler->types == (unsigned)type) {
		*ret_profile = s->profile;
		return 0;
	}
	s->part = profile_free(s->part);
	r = session_project(s, s->profile, type, &s->part);
	if (r < 0)
		return err_trace(r);
	*ret_profile = s->part;
	return 0;
}

const struct session_stats *session_stats(const struct session *s)
{
	return &s->stats;
}
