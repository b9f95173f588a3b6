/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session_heap.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "session/consumer.h"
#include "session/heap_profile.h"

#define QUEUE_SMALL (4UL << 20)
#define QUEUE_LARGE (32UL << 20)
/* How often the agent's samples are fetched: it has room for 160 of them. */
#define TAKE_EVERY_MS 4
#define TAKE_SOON_MS 1
#define NAP_MS 100
#define CONSUMER_NICE -10

struct heap_session {
	const struct session_heap_options *options;
	struct process *process; /* the reader's */
	struct queue *queue;
	struct consumer *consumer;
	struct sampler_shared *shared;
	struct heap_profile *heap;
	struct allocs_live live;
	struct session_heap_stats stats;
	int wake_fd;
	_Atomic bool done;
	/* The reader's, until it is done. */
	int result;
	uint64_t begun_at, begun_wall;
};

static void read_allocs(struct heap_session *s, struct allocs *allocs)
{
	struct pollfd fd = {.fd = s->options->stop_fd, .events = POLLIN};
	uint64_t duration = s->options->duration_ns;

	do {
		int taken = allocs_take(allocs);

		if (taken < 0)
			break;
		if (taken > 0)
			(void)eventfd_write(s->wake_fd, 1);
		if (poll(&fd, 1, taken ? TAKE_SOON_MS : TAKE_EVERY_MS) > 0)
			break;
	} while (!duration || clock_now_ns() - s->begun_at < duration);
}

static void *reader_main(void *arg)
{
	struct heap_session *s = arg;
	struct allocs *allocs = NULL;

	s->result = allocs_new(s->process, s->queue, s->options->rate, &allocs);
	if (s->result == 0)
		s->result = allocs_start(allocs);
	s->begun_at = clock_now_ns();
	s->begun_wall = clock_wall_ns();
	if (s->result == 0)
		read_allocs(s, allocs);
	s->stats.elapsed_ns = clock_now_ns() - s->begun_at;
	allocs_free(allocs, &s->live, &s->stats.allocs);
	atomic_store(&s->done, true);
	(void)eventfd_write(s->wake_fd, 1);
	return NULL;
}

/* Until the reader has ended and the queue is empty. */
static int consume(struct heap_session *s)
{
	struct pollfd fd = {.fd = s->wake_fd, .events = POLLIN};
	const struct snapshot *snapshot;
	size_t size;
	bool done;
	int r = 0;

	do {
		done = atomic_load(&s->done);
		while ((snapshot = queue_peek(s->queue, &size))) {
			uint32_t stack;
			int taken = consumer_take_stack(s->consumer, snapshot, &stack);

			if (taken >= 0)
				taken = heap_profile_add(s->heap, snapshot->alloc_id,
							 snapshot->alloc_size, stack);
			r = taken < 0 ? taken : r;
			queue_pop(s->queue);
		}
		if (!done && poll(&fd, 1, NAP_MS) > 0) {
			eventfd_t ignored;

			(void)eventfd_read(s->wake_fd, &ignored);
		}
	} while (!done);
	return r;
}

static int take_live(struct heap_session *s)
{
	uint32_t lost = 0;
	int r = 0;

	if (s->live.items.n)
		r = consumer_named_stack(s->consumer, "[stack lost]", &lost);
	for (size_t i = 0; i < s->live.items.n && r >= 0; i++)
		r = heap_profile_add_live(s->heap, &s->live.items.items[i], lost);
	s->stats.in_use = s->live.items.n;
	return r;
}

static int add(struct profile *profile, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int add(struct profile *profile, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return profile_comment_add(profile, text);
}

static int comment(struct heap_session *s, struct profile *profile)
{
	const struct allocs_stats *a = &s->stats.allocs;
	time_t seconds = (time_t)(s->begun_wall / NSEC_PER_SEC);
	char since[32] = "?", start[32], stop[32], remove[32];
	struct tm tm;
	int r = add(profile, "cprof " CPROF_VERSION);

	if (gmtime_r(&seconds, &tm))
		strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (r >= 0 && s->options->command_line)
		r = add(profile, "command: %s", s->options->command_line);
	if (r >= 0)
		r = add(profile,
			"counted since %s: in use is what was allocated since then and not freed",
			since);
	if (r >= 0)
		r = add(profile,
			"agent: %" PRIu32 " import slots in %" PRIu32
			" modules; threads stood still for %s to bring it in, %s and %s to take it "
			"out",
			a->inject.n_slots, a->inject.n_modules,
			format_duration(a->inject.start_ns, start),
			format_duration(a->inject.stop_ns, stop),
			format_duration(a->inject.remove_ns, remove));
	if (r >= 0)
		r = add(profile,
			"losses: of %" PRIu64 " samples %" PRIu64 " without a stack, %" PRIu64
			" not followed until they are freed",
			a->samples, a->no_stack + a->dropped, a->not_live);
	if (r >= 0 && a->target_ended)
		r = add(profile, "the target ended, or became another program: in use is what was "
				 "up to a second before");
	return r;
}

static int finish(struct heap_session *s, struct profile **ret_profile)
{
	struct session_stats stats = {};
	struct profile *profile;
	int r = take_live(s);

	if (r >= 0)
		r = consumer_symbolize(s->consumer);
	if (r >= 0)
		r = comment(s, heap_profile_get(s->heap));
	if (r < 0)
		return err_trace(r);
	consumer_stats(s->consumer, &stats);
	memcpy(s->stats.traces, stats.traces, sizeof(stats.traces));
	profile_set_time(heap_profile_get(s->heap), (int64_t)s->begun_wall,
			 (int64_t)s->stats.elapsed_ns);
	r = heap_profile_finish(s->heap, &profile);
	if (r < 0)
		return err_trace(r);
	*ret_profile = profile;
	return 0;
}

static int prepare(struct heap_session *s)
{
	const struct consumer_options options = {.inlines = s->options->inlines};
	int r;

	s->shared = calloc(1, sizeof(*s->shared));
	s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = s->wake_fd < 0 ? err_errno() : s->shared ? 0 : -ENOMEM;
	if (r >= 0)
		r = queue_new(QUEUE_SMALL, QUEUE_LARGE, &s->queue);
	if (r >= 0)
		r = process_open(s->options->pid, &s->process);
	if (r >= 0)
		r = heap_profile_new(s->options->rate, s->options->allocs, &s->heap);
	if (r >= 0)
		r = consumer_new(s->options->pid, &options, s->shared, heap_profile_get(s->heap),
				 &s->consumer);
	return err_trace(r);
}

static void release(struct heap_session *s)
{
	consumer_free(s->consumer);
	heap_profile_free(s->heap);
	process_close(s->process);
	queue_free(s->queue);
	vec_deinit(&s->live.items);
	free(s->shared);
	if (s->wake_fd >= 0)
		close(s->wake_fd);
}

int session_heap_run(const struct session_heap_options *options,
		     struct session_heap_stats *ret_stats, struct profile **ret_profile)
{
	struct heap_session s = {.options = options, .wake_fd = -1};
	int nice = getpriority(PRIO_PROCESS, (id_t)gettid()), r;
	pthread_t reader;

	/* Beside a target with many busy threads it would take seconds. */
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), CONSUMER_NICE);
	r = prepare(&s);

	if (r >= 0)
		r = -pthread_create(&reader, NULL, reader_main, &s);
	if (r >= 0) {
		r = consume(&s);
		pthread_join(reader, NULL);
		if (s.result != 0)
			r = s.result;
		else if (r >= 0)
			r = finish(&s, ret_profile);
		*ret_stats = s.stats;
	}
	release(&s);
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), nice);
	return r < 0 ? err_trace(r) : r;
}
