/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that has the agent: brings it in, fetches its samples, takes it out; and again when
 * the process has become another program.
 */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "session/session_heap_priv.h"
#include "snapshot/snapshot.h"

/* How often the agent's samples are fetched: it has room for 160 of them. */
#define TAKE_EVERY_MS 4
#define TAKE_SOON_MS 1
/* After so many times without any, less often: then few come, and to wake is what costs. */
#define TAKE_RARELY_MS 16
#define RARE 64
/* A program that begins loads its libraries; what does not seem to end is taken as it is. */
#define LOADING_LOOK_MS 1
#define SHARED_LOOK_MS 200
#define LOADING_LIMIT (10 * NSEC_PER_SEC)

struct reader {
	struct session_heap *heap;
	struct allocs *allocs;
	struct allocs_image image;
	struct allocs_live live;
	struct allocs_live before; /* lost and profiles, of images that have ended */
	uint64_t closed[AGENT_MAX_PROFILES];
	struct allocs_stats past; /* of these */
};

static void set_result(struct session_heap *h, int result, enum heap_stage stage)
{
	pthread_mutex_lock(&h->lock);
	h->result = result;
	h->stage = stage;
	h->stats.why = result;
	h->stats.images = result == INJECT_OK;
	h->stats.begun_at = clock_now_ns();
	h->stats.begun_wall = clock_wall_ns();
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

/* Those of this image and of the ones before. */
static void add_stats(const struct allocs_stats *past, struct allocs_stats *stats)
{
	stats->samples += past->samples;
	stats->no_stack += past->no_stack;
	stats->not_live += past->not_live;
	stats->dropped += past->dropped;
}

static void note_stats(struct reader *r)
{
	struct allocs_stats stats;

	allocs_get_stats(r->allocs, &stats);
	add_stats(&r->past, &stats);
	pthread_mutex_lock(&r->heap->lock);
	r->heap->stats.allocs = stats;
	pthread_mutex_unlock(&r->heap->lock);
}

/* What lives as it is to be told. */
static void settle(struct reader *r, bool has_ended)
{
	for (unsigned i = 0; i < AGENT_N_LOST; i++) {
		r->live.lost[i].count += r->before.lost[i].count;
		r->live.lost[i].bytes += r->before.lost[i].bytes;
	}
	for (unsigned i = 0; i < AGENT_MAX_PROFILES; i++) {
		struct agent_profile *to = &r->live.profiles[i];
		const struct agent_profile *from = &r->before.profiles[i];

		to->counted += from->counted;
		to->added += from->added;
		to->twice += from->twice;
		to->unknown += from->unknown;
		to->not_live += from->not_live;
		to->no_stack += from->no_stack;
	}
	/* Of a process that has ended, all are closed. */
	if (!has_ended)
		session_custom_drop_closed(r->heap, &r->live, r->closed);
}

/* With the lock held: what lives is the consumer's from now on. */
static void hand_over(struct reader *r)
{
	struct session_heap *h = r->heap;
	struct allocs_live live = h->live;

	h->live = r->live;
	r->live = live;
	h->stats.in_use = h->live.items.n;
	memcpy(h->stats.profiles, h->live.profiles, sizeof(h->stats.profiles));
	memcpy(h->stats.closed, r->closed, sizeof(h->stats.closed));
	if (h->peek == HEAP_PEEK_READER)
		h->peek = HEAP_PEEK_CONSUMER;
	(void)eventfd_write(h->wake_fd, 1);
}

/* Of a target that has ended it is what there was last; between two images nothing lives. */
static void answer(struct reader *r)
{
	struct session_heap *h = r->heap;
	bool asked, has_ended;

	pthread_mutex_lock(&h->lock);
	asked = h->peek == HEAP_PEEK_READER;
	pthread_mutex_unlock(&h->lock);
	if (!asked)
		return;
	if (r->allocs) {
		/* Of a target that has ended it is what there was last. */
		has_ended = allocs_look(r->allocs, &r->live) < 0;
		settle(r, has_ended);
	} else {
		r->live.items.n = 0;
		memcpy(r->live.lost, r->before.lost, sizeof(r->live.lost));
		memcpy(r->live.profiles, r->before.profiles, sizeof(r->live.profiles));
	}
	pthread_mutex_lock(&h->lock);
	hand_over(r);
	pthread_mutex_unlock(&h->lock);
}

/* Answers, too. True when it is to stop. */
static bool nap(struct reader *r, int ms)
{
	struct pollfd fds[] = {{.fd = r->heap->stop_fd, .events = POLLIN},
			       {.fd = r->heap->ask_fd, .events = POLLIN}};
	eventfd_t ignored;

	answer(r);
	(void)poll(fds, ARRAY_SIZE(fds), ms);
	if (fds[1].revents)
		(void)eventfd_read(r->heap->ask_fd, &ignored);
	return fds[0].revents != 0;
}

/* True when it is to stop; false: the image has ended. */
static bool read_image(struct reader *r)
{
	unsigned n_empty = 0;
	bool stops = false;
	int taken;

	do {
		taken = allocs_take(r->allocs);
		note_stats(r);
		if (taken > 0)
			(void)eventfd_write(r->heap->wake_fd, 1);
		if (taken < 0)
			break;
		n_empty = taken ? 0 : n_empty + 1;
		stops = nap(r, taken            ? TAKE_SOON_MS
			       : n_empty < RARE ? TAKE_EVERY_MS
						: TAKE_RARELY_MS);
	} while (!stops);
	return stops;
}

/* The process has another image, or none. */
static void end_image(struct reader *r)
{
	struct allocs_stats stats;
	struct snapshot *ends;

	r->allocs = allocs_free(r->allocs, &r->live, &stats);
	settle(r, stats.target_ended);
	add_stats(&r->past, &stats);
	r->past = stats;
	memcpy(r->before.lost, r->live.lost, sizeof(r->before.lost));
	memcpy(r->before.profiles, r->live.profiles, sizeof(r->before.profiles));
	pthread_mutex_lock(&r->heap->lock);
	r->heap->stats.allocs = stats;
	pthread_mutex_unlock(&r->heap->lock);
	ends = queue_reserve(r->heap->queue, sizeof(*ends));
	if (!ends)
		return;
	*ends = (struct snapshot){.kind = SNAPSHOT_IMAGE_ENDS,
				  .pid = r->heap->options.pid,
				  .generation = r->image.generation,
				  .time_ns = clock_now_ns()};
	queue_commit(r->heap->queue, snapshot_size(ends));
}

static bool has_ended(const struct session_heap *h)
{
	struct process_stat stat;

	return process_stat_read(h->process, &stat) < 0 || stat.state == 'Z' || stat.state == 'X';
}

/* Returns INJECT_GONE when the process has ended, or it is to stop.
 *
 * @param ret_mark	of the image that it is
 */
static int await_loaded(struct reader *r, struct process_mark *ret_mark)
{
	uint64_t limit = clock_now_ns() + LOADING_LIMIT;

	while (!has_ended(r->heap)) {
		process_mark_read(r->heap->process, ret_mark);
		if (!inject_is_loading(r->heap->process) || clock_now_ns() > limit)
			return INJECT_OK;
		if (nap(r, LOADING_LOOK_MS))
			break;
	}
	return INJECT_GONE;
}

/* What was gone became another program, or its threads are somebody's for now. */
static bool is_worth_another_try(struct reader *r, int result)
{
	if (result == INJECT_SHARED)
		return !nap(r, SHARED_LOOK_MS) && !has_ended(r->heap);
	return result == INJECT_GONE && !nap(r, LOADING_LOOK_MS) && !has_ended(r->heap);
}

static bool is_image(struct session_heap *h, const struct process_mark *mark)
{
	struct process_mark now;

	process_mark_read(h->process, &now);
	return now.addr == mark->addr && memcmp(now.bytes, mark->bytes, sizeof(now.bytes)) == 0;
}

/* Who waits need not wait for what may last. */
static void note_shared(struct session_heap *h)
{
	pthread_mutex_lock(&h->lock);
	h->is_shared = true;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
}

static int bring_in(struct reader *r)
{
	struct session_heap *h = r->heap;
	const struct inject_options options = {.rate = h->options.rate,
					       .customs = h->calls.items,
					       .n_customs = (unsigned)h->calls.n};
	struct process_mark mark;
	int result = await_loaded(r, &mark);

	if (result == INJECT_OK)
		result = allocs_new(h->process, h->queue, &options, r->image, &r->allocs);
	if (result == INJECT_OK)
		result = allocs_start(r->allocs);
	if (result != INJECT_OK && r->allocs)
		r->allocs = allocs_free(r->allocs, &r->live, &(struct allocs_stats){});
	if (result == INJECT_SHARED)
		note_shared(h);
	/* What was found may be of two programs, the second one not loaded yet. */
	if (result > 0 && result != INJECT_SHARED && !is_image(h, &mark))
		result = INJECT_GONE;
	return result;
}

/* Those of programs that follow each other quickly do not have the agent. Returns whether one has
 * it. */
static bool follow(struct reader *r)
{
	int result;

	do {
		r->image.generation++;
		r->image.first_id = r->past.samples;
		result = bring_in(r);
	} while (is_worth_another_try(r, result));
	if (result == INJECT_OK) {
		pthread_mutex_lock(&r->heap->lock);
		r->heap->stats.images++;
		pthread_mutex_unlock(&r->heap->lock);
	}
	return result == INJECT_OK;
}

/* The consumer may still be at what lived before. */
static void hand_over_last(struct reader *r)
{
	struct session_heap *h = r->heap;

	pthread_mutex_lock(&h->lock);
	while (h->peek == HEAP_PEEK_CONSUMER)
		pthread_cond_wait(&h->changed, &h->lock);
	hand_over(r);
	h->stage = HEAP_OVER;
	h->stats.has_ended = true;
	h->stats.elapsed_ns = clock_now_ns() - h->stats.begun_at;
	pthread_cond_broadcast(&h->changed);
	pthread_mutex_unlock(&h->lock);
	(void)eventfd_write(h->end_fd, 1);
	vec_deinit(&r->live.items);
}

void *session_heap_read(void *arg)
{
	struct session_heap *h = arg;
	struct reader r = {.heap = h};
	int result;
	bool stops;

	(void)pthread_setname_np(pthread_self(), "cprof-heap");
	do {
		result = bring_in(&r);
	} while (is_worth_another_try(&r, result));
	set_result(h, result, result == INJECT_OK ? HEAP_IN : HEAP_OVER);
	if (result == INJECT_OK) {
		do {
			stops = read_image(&r);
			end_image(&r);
		} while (!stops && follow(&r));
	}
	hand_over_last(&r);
	return NULL;
}
