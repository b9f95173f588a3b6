/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads: the reader has the agent (session_heap_reader.c), the consumer makes stacks of what
 * it brings. A peek goes through both, so that a sample that lives has its stack: the reader reads
 * what lives, then puts what has come into the queue; the consumer empties that, then copies.
 */
#include "session/session_heap.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/custom_profile.h"
#include "session/session_heap_priv.h"

#define QUEUE_SMALL (4UL << 20)
#define QUEUE_LARGE (32UL << 20)
#define NAP_MS 100
/* Beside a target with many busy threads it would take seconds. */
#define CONSUMER_NICE -10
/* For names of what came last. */
#define NAMES_WITHIN (2 * NSEC_PER_SEC)
#define UNASKED_LOOK_MS 2

DEFINE_CLEANUP(struct profile *, profile_free)

static int add(struct session_heap *h, const struct snapshot *snapshot, uint32_t stack)
{
	const struct heap_profile_entry entry = {.id = snapshot->alloc_id,
						 .counted = snapshot->counted,
						 .profile = snapshot->custom,
						 .skip = snapshot->skip};

	return snapshot->custom
		       ? heap_profile_add_entry(h->heap, &entry, stack)
		       : heap_profile_add(h->heap, snapshot->alloc_id, snapshot->alloc_size, stack);
}

static int take_all(struct session_heap *h)
{
	const struct snapshot *snapshot;
	size_t size;
	int r = 0;

	while ((snapshot = queue_peek(h->queue, &size))) {
		uint32_t stack;
		int taken;

		if (snapshot->kind == SNAPSHOT_STACK) {
			taken = consumer_take_stack(h->consumer, snapshot, &stack);
			if (taken >= 0)
				taken = add(h, snapshot, stack);
		} else {
			taken = consumer_take(h->consumer, snapshot);
		}
		r = taken < 0 ? taken : r;
		queue_pop(h->queue);
	}
	return r;
}

/* which: 0 the heap, else 1 + number of a custom profile. */
static int copy(struct session_heap *h, unsigned which, struct profile **ret_profile)
{
	uint32_t lost;
	int r = consumer_named_stack(h->consumer, "[stack lost]", &lost);

	if (r < 0)
		return err_trace(r);
	return which ? heap_profile_copy_custom(h->heap, which, &h->live, lost, ret_profile)
		     : heap_profile_copy(h->heap, &h->live, lost, ret_profile);
}

static void note_traces(struct session_heap *h)
{
	struct session_stats stats = {};

	consumer_stats(h->consumer, &stats);
	pthread_mutex_lock(&h->lock);
	memcpy(h->stats.traces, stats.traces, sizeof(stats.traces));
	pthread_mutex_unlock(&h->lock);
}

/* The queue is empty of what came before `live` was read. */
static void serve_peek(struct session_heap *h)
{
	struct profile *made = NULL;
	int r = 0;

	if (heap_profile_is_full(h->heap))
		r = heap_profile_forget(h->heap, &h->live);
	if (!h->peek_forgets && r >= 0)
		r = copy(h, h->peek_which, &made);
	note_traces(h);
	pthread_mutex_lock(&h->lock);
	h->made = made;
	h->made_result = r;
	h->peek = h->peek_forgets ? HEAP_PEEK_NONE : HEAP_PEEK_MADE;
	h->peek_forgets = false;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

/* With the lock held, and no peek under way. */
static void begin_peek(struct session_heap *h, unsigned which, bool forgets)
{
	h->peek_which = which;
	h->peek_forgets = forgets;
	h->peek = h->stage == HEAP_OVER ? HEAP_PEEK_CONSUMER : HEAP_PEEK_READER;
	(void)eventfd_write(h->stage == HEAP_OVER ? h->wake_fd : h->ask_fd, 1);
}

static void *consume(void *arg)
{
	struct session_heap *h = arg;
	struct pollfd fd = {.fd = h->wake_fd, .events = POLLIN};
	bool peeks, ends;

	(void)pthread_setname_np(pthread_self(), "cprof-allocs");
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), CONSUMER_NICE);
	do {
		int r;

		pthread_mutex_lock(&h->lock);
		peeks = h->peek == HEAP_PEEK_CONSUMER;
		ends = h->ending;
		pthread_mutex_unlock(&h->lock);
		r = take_all(h);
		h->consumer_result = r < 0 ? r : h->consumer_result;
		if (peeks)
			serve_peek(h);
		consumer_ask(h->consumer);
		pthread_mutex_lock(&h->lock);
		h->stats.stacks = heap_profile_count(h->heap);
		if (heap_profile_is_full(h->heap) && h->peek == HEAP_PEEK_NONE &&
		    h->stage == HEAP_IN)
			begin_peek(h, 0, true);
		pthread_mutex_unlock(&h->lock);
		if (!ends && poll(&fd, 1, NAP_MS) > 0) {
			eventfd_t ignored;

			(void)eventfd_read(h->wake_fd, &ignored);
		}
	} while (!ends);
	return NULL;
}

static int new_eventfd(int *ret_fd)
{
	*ret_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *ret_fd < 0 ? err_errno() : 0;
}

int session_heap_new(const struct session_heap_options *options, struct session_heap **ret_heap)
{
	const struct consumer_options consumer = {.inlines = options->inlines};
	struct session_heap *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return err_trace(-ENOMEM);
	h->options = *options;
	h->stop_fd = h->ask_fd = h->wake_fd = h->end_fd = -1;
	pthread_mutex_init(&h->turn, NULL);
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->changed, NULL);
	h->shared = calloc(1, sizeof(*h->shared));
	r = h->shared ? session_custom_calls(h) : -ENOMEM;
	if (r >= 0)
		r = new_eventfd(&h->stop_fd);
	if (r >= 0)
		r = new_eventfd(&h->ask_fd);
	if (r >= 0)
		r = new_eventfd(&h->wake_fd);
	if (r >= 0)
		r = new_eventfd(&h->end_fd);
	if (r >= 0)
		r = queue_new(QUEUE_SMALL, QUEUE_LARGE, &h->queue);
	if (r >= 0)
		r = process_open(options->pid, &h->process);
	if (r >= 0)
		r = heap_profile_new(options->rate, options->allocs, &h->heap);
	if (r >= 0)
		r = consumer_new(options->pid, &consumer, h->shared, heap_profile_get(h->heap),
				 &h->consumer);
	if (r < 0) {
		session_heap_free(h);
		return err_trace(r);
	}
	*ret_heap = h;
	return 0;
}

static void stop(struct session_heap *h)
{
	if (h->has_reader) {
		(void)eventfd_write(h->stop_fd, 1);
		pthread_join(h->reader_thread, NULL);
	}
	if (h->has_consumer) {
		pthread_mutex_lock(&h->lock);
		h->ending = true;
		pthread_mutex_unlock(&h->lock);
		(void)eventfd_write(h->wake_fd, 1);
		pthread_join(h->consumer_thread, NULL);
	}
	h->has_reader = h->has_consumer = false;
}

struct session_heap *session_heap_free(struct session_heap *h)
{
	if (!h)
		return NULL;
	stop(h);
	consumer_free(h->consumer);
	heap_profile_free(h->heap);
	process_close(h->process);
	queue_free(h->queue);
	profile_free(h->copy);
	profile_free(h->made);
	vec_deinit(&h->live.items);
	vec_deinit(&h->calls);
	free(h->shared);
	close_cleanup(&h->stop_fd);
	close_cleanup(&h->ask_fd);
	close_cleanup(&h->wake_fd);
	close_cleanup(&h->end_fd);
	pthread_cond_destroy(&h->changed);
	pthread_mutex_destroy(&h->lock);
	pthread_mutex_destroy(&h->turn);
	free(h);
	return NULL;
}

int session_heap_start(struct session_heap *h)
{
	int r = -pthread_create(&h->consumer_thread, NULL, consume, h);

	h->has_consumer = r == 0;
	if (r == 0)
		r = -pthread_create(&h->reader_thread, NULL, session_heap_read, h);
	h->has_reader = r == 0;
	return err_trace(r);
}

void session_heap_stop(struct session_heap *h)
{
	if (h)
		(void)eventfd_write(h->stop_fd, 1);
}

int session_heap_await(struct session_heap *h)
{
	int r;

	pthread_mutex_lock(&h->lock);
	while (h->stage == HEAP_STARTING && !h->is_shared)
		pthread_cond_wait(&h->changed, &h->lock);
	r = h->stage == HEAP_STARTING ? INJECT_SHARED : h->result;
	pthread_mutex_unlock(&h->lock);
	return r;
}

int session_heap_end_fd(const struct session_heap *h)
{
	return h->end_fd;
}

void session_heap_get_stats(struct session_heap *h, struct session_heap_stats *ret_stats)
{
	pthread_mutex_lock(&h->lock);
	*ret_stats = h->stats;
	pthread_mutex_unlock(&h->lock);
	if (!ret_stats->has_ended && ret_stats->begun_at)
		ret_stats->elapsed_ns = clock_now_ns() - ret_stats->begun_at;
}

/* By whose turn it is. */
static int copy_now(struct session_heap *h, unsigned which, struct profile **ret_profile)
{
	int r;

	pthread_mutex_lock(&h->lock);
	while (h->peek != HEAP_PEEK_NONE)
		pthread_cond_wait(&h->changed, &h->lock);
	begin_peek(h, which, false);
	while (h->peek != HEAP_PEEK_MADE)
		pthread_cond_wait(&h->changed, &h->lock);
	h->peek = HEAP_PEEK_NONE;
	r = h->made_result;
	*ret_profile = take_ptr(h->made);
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	return r;
}

/* What the namer had no room for is asked for by the consumer. */
static void await_names(struct session_heap *h)
{
	uint64_t until = clock_now_ns() + NAMES_WITHIN;

	for (;;) {
		(void)consumer_await_names(h->consumer, until, true);
		if (!consumer_has_unasked(h->consumer) || clock_now_ns() >= until)
			return;
		(void)eventfd_write(h->wake_fd, 1);
		(void)poll(NULL, 0, UNASKED_LOOK_MS);
	}
}

/* Comments and times, as of now. */
static int complete(struct session_heap *h, unsigned which, struct profile *profile)
{
	struct session_heap_stats stats;

	session_heap_get_stats(h, &stats);
	profile_set_time(profile, (int64_t)stats.begun_wall, (int64_t)stats.elapsed_ns);
	return which ? session_custom_comment(profile, h, which - 1, &stats)
		     : session_heap_comment(profile, h->options.command_line, &stats);
}

/* Of a custom one: in the form that people get. *profile is replaced. */
static int shape(struct session_heap *h, unsigned which, struct profile **profile)
{
	struct profile *shaped;
	int r = which ? custom_profile_shape(h->options.customs[which - 1], *profile, &shaped) : 0;

	if (r < 0 || !which)
		return err_trace(r);
	profile_free(*profile);
	*profile = shaped;
	return 0;
}

static int peek(struct session_heap *h, unsigned which, uint64_t since)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int r;

	if (h->copy && h->copied == which && h->copied_at >= since)
		return 0;
	h->copy = profile_free(h->copy);
	h->copied_at = clock_now_ns();
	h->copied = which;
	r = copy_now(h, which, &profile);
	if (r >= 0)
		r = complete(h, which, profile);
	if (r < 0)
		return err_trace(r);
	await_names(h);
	r = consumer_name_copy(h->consumer, profile);
	if (r >= 0)
		r = shape(h, which, &profile);
	if (r >= 0)
		h->copy = take_ptr(profile);
	return err_trace(r);
}

static int peek_shared(struct session_heap *h, unsigned which, struct profile **ret_profile)
{
	uint64_t since = clock_now_ns();
	int r = session_heap_await(h);

	if (r != INJECT_OK)
		return r;
	atomic_fetch_add(&h->n_users, 1);
	pthread_mutex_lock(&h->turn);
	r = peek(h, which, since);
	if (r >= 0 && atomic_load(&h->n_users) > 1)
		r = profile_clone(h->copy, ret_profile);
	else if (r >= 0)
		*ret_profile = take_ptr(h->copy);
	if (atomic_fetch_sub(&h->n_users, 1) == 1)
		h->copy = profile_free(h->copy);
	pthread_mutex_unlock(&h->turn);
	return err_trace(r);
}

int session_heap_peek(struct session_heap *h, struct profile **ret_profile)
{
	return peek_shared(h, 0, ret_profile);
}

int session_heap_peek_custom(struct session_heap *h, unsigned custom, struct profile **ret_profile)
{
	return peek_shared(h, custom + 1, ret_profile);
}

static int finish(struct session_heap *h, unsigned which, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int r = copy(h, which, &profile);

	if (r >= 0)
		r = complete(h, which, profile);
	if (r >= 0)
		r = shape(h, which, &profile);
	if (r < 0)
		return err_trace(r);
	*ret_profile = take_ptr(profile);
	return 0;
}

int session_heap_finish(struct session_heap *h, struct session_heap_stats *ret_stats,
			struct profile **ret_profile)
{
	uint32_t lost;
	int r;

	stop(h);
	r = h->result != INJECT_OK ? h->result : h->consumer_result;
	if (r == 0)
		r = consumer_named_stack(h->consumer, "[stack lost]", &lost);
	if (r >= 0 && h->result == INJECT_OK)
		r = consumer_symbolize(h->consumer);
	note_traces(h);
	session_heap_get_stats(h, ret_stats);
	if (r != 0)
		return r < 0 ? err_trace(r) : r;
	return ret_profile ? finish(h, 0, ret_profile) : 0;
}

int session_heap_finish_custom(struct session_heap *h, unsigned custom,
			       struct profile **ret_profile)
{
	return finish(h, custom + 1, ret_profile);
}
