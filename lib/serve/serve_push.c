/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve_push.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/heap_delta.h"

#define MAX_TYPES 8

DEFINE_CLEANUP(struct profile *, profile_free)

/* A type, and where its next profile begins. */
struct series {
	const struct session_type *type; /* NULL: that of the heap */
	struct profile *before;          /* of it: what was counted up to there */
	struct serve_reader reader;
	uint64_t start_wall, start;
	bool is_in;
};

struct serve_push {
	struct serve_hub *hub;
	struct session_heap *heap;
	struct push *to;
	uint64_t interval_ns;
	struct series series[MAX_TYPES];
	unsigned n_series;
	pthread_t thread;
	bool has_thread, has_finished;
};

static bool is_over(const struct serve_push *push)
{
	struct pollfd fd = {.fd = serve_hub_fd(push->hub), .events = POLLIN};

	return poll(&fd, 1, 0) > 0;
}

/* One that does not have the agent has no such profiles, which was said. */
static void begin_heap(struct serve_push *push, struct series *series)
{
	series->start_wall = clock_wall_ns();
	series->start = clock_now_ns();
	series->is_in = session_heap_peek(push->heap, &series->before) == 0;
}

/* Of allocations what came meanwhile; in use is what is. */
static int take_heap(struct serve_push *push, struct series *series, struct profile **ret_profile)
{
	struct profile *now = NULL;
	int r = session_heap_peek(push->heap, &now);

	/* It has not begun. */
	if (r > 0)
		return -EAGAIN;
	if (r >= 0)
		r = heap_delta(now, series->before, ret_profile);
	if (r < 0) {
		profile_free(now);
		return err_trace(r);
	}
	profile_free(series->before);
	series->before = now;
	return 0;
}

static void begin(struct serve_push *push, struct series *series)
{
	enum sampler_type type;

	if (!series->type) {
		begin_heap(push, series);
		return;
	}
	type = series->type->type;
	if (serve_hub_enter(push->hub, type) != 0)
		return;
	series->start_wall = clock_wall_ns();
	series->start = clock_now_ns();
	series->is_in = true;
	if (serve_reader_begin(&series->reader, serve_hub_pieces(push->hub), type) >= 0)
		return;
	log_line(LOG_WARNING, "no profiles of type %s are pushed: out of memory",
		 series->type->name);
	serve_reader_end(&series->reader);
	serve_hub_leave(push->hub, type);
	series->is_in = false;
}

static void take(struct serve_push *push, struct series *series)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	uint64_t wall = clock_wall_ns(), now = clock_now_ns();
	const char *name = series->type ? series->type->name : "heap";
	int r = series->type ? serve_reader_take(&series->reader, &profile)
			     : take_heap(push, series, &profile);

	/* What is not taken now is in the next one. */
	if (r >= 0) {
		profile_set_time(profile, (int64_t)series->start_wall,
				 (int64_t)(now - series->start));
		series->start_wall = wall;
		series->start = now;
		r = push_add(push->to, name, profile);
	}
	if (r < 0)
		log_line(LOG_WARNING, "a profile of type %s was not made: out of memory", name);
}

static void end(struct serve_push *push, struct series *series)
{
	if (series->type)
		serve_hub_leave(push->hub, series->type->type);
	take(push, series);
	if (series->type)
		serve_reader_end(&series->reader);
	series->before = profile_free(series->before);
}

/* Pieces are kept until all have read them. */
static void follow_until(struct serve_push *push, uint64_t next)
{
	uint64_t now = clock_now_ns();

	for (; now < next && !is_over(push); now = clock_now_ns()) {
		serve_hub_wait(push->hub, MIN(next - now, SERVE_PIECE_NS), -1);
		for (unsigned i = 0; i < push->n_series; i++) {
			if (push->series[i].is_in && push->series[i].type)
				(void)serve_reader_follow(&push->series[i].reader);
		}
	}
}

static void *push_main(void *arg)
{
	struct serve_push *push = arg;
	uint64_t next = clock_now_ns();

	for (unsigned i = 0; i < push->n_series; i++)
		begin(push, &push->series[i]);
	while (!is_over(push)) {
		/* One that is missed is not made up for: what it would hold is in the next one. */
		next = MAX(next + push->interval_ns, clock_now_ns());
		follow_until(push, next);
		for (unsigned i = 0; i < push->n_series && !is_over(push); i++) {
			if (push->series[i].is_in)
				take(push, &push->series[i]);
		}
	}
	for (unsigned i = 0; i < push->n_series; i++) {
		if (push->series[i].is_in)
			end(push, &push->series[i]);
	}
	return NULL;
}

int serve_push_new(struct serve_hub *hub, struct session_heap *heap, struct push *to,
		   const struct serve_push_options *options, struct serve_push **ret_push)
{
	struct serve_push *push = calloc(1, sizeof(*push));
	const struct session_type *type;
	int r;

	if (!push)
		return err_trace(-ENOMEM);
	push->hub = hub;
	push->heap = heap;
	push->to = to;
	push->interval_ns = options->interval_ns;
	for (unsigned i = 0; (type = session_type_get(i)) && push->n_series < MAX_TYPES - 1; i++) {
		if (options->types & type->type)
			push->series[push->n_series++].type = type;
	}
	if (heap && options->heap)
		push->n_series++;
	r = -pthread_create(&push->thread, NULL, push_main, push);
	if (r < 0) {
		serve_push_free(push);
		return err_trace(r);
	}
	push->has_thread = true;
	(void)pthread_setname_np(push->thread, "cprof-pieces");
	*ret_push = push;
	return 0;
}

static void join(struct serve_push *push)
{
	if (push->has_thread)
		pthread_join(push->thread, NULL);
	push->has_thread = false;
}

void serve_push_finish(struct serve_push *push, uint64_t until)
{
	uint64_t now;

	if (!push || push->has_finished)
		return;
	push->has_finished = true;
	join(push);
	now = clock_now_ns();
	(void)push_finish(push->to, until - MIN(now, until), -1);
}

struct serve_push *serve_push_free(struct serve_push *push)
{
	if (!push)
		return NULL;
	join(push);
	free(push);
	return NULL;
}

static int write_one(struct sink *sink, const char *name, const char *type, const char *about,
		     uint64_t number)
{
	return sink_printf(sink, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, about, name,
			   type, name, number);
}

void serve_push_count(struct serve_push *push, struct push_stats *stats)
{
	struct push_stats own;

	push_get_stats(push->to, &own);
	stats->pushed += own.pushed;
	stats->bytes += own.bytes;
	stats->failed += own.failed;
	stats->dropped += own.dropped;
	stats->retries += own.retries;
	stats->queued += own.queued;
}

int serve_push_write(const struct push_stats *stats, struct sink *sink)
{
	int r = write_one(sink, "cprof_pushed_total", "counter", "Profiles that the server took.",
			  stats->pushed);

	if (r >= 0)
		r = write_one(sink, "cprof_pushed_bytes_total", "counter", "Bytes of these.",
			      stats->bytes);
	if (r >= 0)
		r = write_one(sink, "cprof_push_failed_total", "counter",
			      "Profiles that the server refused.", stats->failed);
	if (r >= 0)
		r = write_one(sink, "cprof_push_dropped_total", "counter",
			      "Profiles for which there was no room, or no time at the end.",
			      stats->dropped);
	if (r >= 0)
		r = write_one(sink, "cprof_push_retries_total", "counter",
			      "Tries that failed and were repeated.", stats->retries);
	return r < 0 ? r
		     : write_one(sink, "cprof_push_queued", "gauge",
				 "Profiles that wait to be sent.", stats->queued);
}
