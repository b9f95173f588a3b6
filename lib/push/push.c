/* SPDX-License-Identifier: Apache-2.0 */
#include "push/push.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "push/push_priv.h"

/* How often profiles that were dropped are told. */
#define TELL_DROPPED_EVERY (300 * NSEC_PER_SEC)
/* A try that is given up ends within a second; see push_http_new(). */
#define FOREVER UINT64_MAX

struct push {
	char *url, *name;
	struct push_label labels[PUSH_MAX_LABELS]; /* their texts are ours */
	unsigned n_labels;
	uint32_t max_samples;
	void (*on_event)(void *user, const struct push_event *event);
	void *user;
	struct push_http *http; /* the thread's */
	bool has_thread;
	pthread_t thread;
	int done_fd;              /* readable when the thread has nothing more to do */
	_Atomic uint64_t give_up; /* CLOCK_MONOTONIC; FOREVER: never */

	pthread_mutex_t lock; /* over what follows */
	pthread_cond_t changed;
	struct push_queue queue;
	struct push_stats stats;
	bool is_finishing;
	uint64_t next_try, lost; /* lost: dropped and not told yet */

	/* The thread's. */
	unsigned failures, told_status;
	bool has_told;
	uint64_t dropped_told_at;
};

static bool is_over(void *user)
{
	struct push *push = user;

	return clock_now_ns() >= atomic_load(&push->give_up);
}

/* Until then, or until something changes. The lock is held. */
static void wait_until(struct push *push, uint64_t until)
{
	struct timespec at = ns_timespec(until);

	if (until == FOREVER)
		pthread_cond_wait(&push->changed, &push->lock);
	else
		pthread_cond_timedwait(&push->changed, &push->lock, &at);
}

/* The next one to be sent, when it is time; NULL: that was all. The lock is held. */
static struct push_item *await_item(struct push *push)
{
	for (;;) {
		uint64_t now = clock_now_ns(), limit = atomic_load(&push->give_up);

		if (now >= limit || (push->is_finishing && !push->queue.n))
			return NULL;
		/* No use in waiting for what there will be no time for. */
		if (push->is_finishing && push->next_try >= limit)
			return NULL;
		if (push->queue.n && now >= push->next_try)
			return push_queue_take(&push->queue);
		wait_until(push, push->queue.n ? push->next_try : FOREVER);
	}
}

static void tell(struct push *push, enum push_event_kind kind, const struct push_answer *answer,
		 uint64_t n)
{
	struct push_event event = {.kind = kind, .n = n, .text = ""};

	if (answer) {
		event.status = answer->status;
		event.distrusted = answer->distrusted;
		event.text = answer->text;
	}
	push->on_event(push->user, &event);
}

static uint32_t random_number(void)
{
	uint32_t number = 0;

	if (getrandom(&number, sizeof(number), GRND_NONBLOCK) != sizeof(number))
		number = (uint32_t)clock_now_ns();
	return number;
}

/* Files the outcome of a try; the lock is held. Returns what is to be told of it, or -1. */
static int settle(struct push *push, struct push_item *take_item, const struct push_answer *answer)
{
	bool was_told = push->has_told && push->told_status == answer->status;
	unsigned dropped;

	if (answer->verdict == PUSH_AGAIN) {
		push->stats.retries++;
		push->failures++;
		push->next_try =
			clock_now_ns() +
			push_retry_wait_ns(push->failures, random_number(), answer->retry_after_ns);
		dropped = push_queue_return(&push->queue, take_item);
		push->stats.dropped += dropped;
		push->lost += dropped;
		/* What is told once is that it fails at all. */
		return push->failures > 1 || is_over(push) ? -1 : PUSH_EVENT_FAILING;
	}
	push->failures = 0;
	push->next_try = 0;
	if (answer->verdict == PUSH_TAKEN) {
		push->stats.pushed++;
		push->stats.bytes += take_item->body.size;
	} else {
		push->stats.failed++;
	}
	push_item_free(take_item);
	if (answer->verdict == PUSH_TAKEN)
		return push->has_told ? PUSH_EVENT_RECOVERED : -1;
	return was_told ? -1 : PUSH_EVENT_REFUSED;
}

/* How many are to be told as dropped now; the lock is held. */
static uint64_t take_lost(struct push *push)
{
	uint64_t now = clock_now_ns(), n = push->lost;

	if (!n || (push->dropped_told_at && now < push->dropped_told_at + TELL_DROPPED_EVERY))
		return 0;
	push->dropped_told_at = now;
	push->lost = 0;
	return n;
}

static void send_one(struct push *push, struct push_item *take_item)
{
	struct push_answer answer;
	uint64_t lost;
	int event;

	pthread_mutex_unlock(&push->lock);
	push_http_send(push->http, take_item, &answer);
	pthread_mutex_lock(&push->lock);
	event = settle(push, take_item, &answer);
	lost = take_lost(push);
	pthread_mutex_unlock(&push->lock);
	if (event >= 0) {
		push->has_told = event != PUSH_EVENT_RECOVERED;
		push->told_status = answer.status;
		tell(push, (enum push_event_kind)event, &answer, 0);
	}
	if (lost)
		tell(push, PUSH_EVENT_DROPPED, NULL, lost);
	pthread_mutex_lock(&push->lock);
}

static void *push_main(void *arg)
{
	struct push *push = arg;
	struct push_item *item;

	pthread_mutex_lock(&push->lock);
	while ((item = await_item(push)))
		send_one(push, item);
	push->stats.dropped += push->queue.n;
	pthread_mutex_unlock(&push->lock);
	(void)eventfd_write(push->done_fd, 1);
	return NULL;
}

static bool copy_labels(struct push *push, const struct push_options *options)
{
	for (unsigned i = 0; i < MIN(options->n_labels, (unsigned)PUSH_MAX_LABELS); i++) {
		push->labels[i].key = strdup(options->labels[i].key);
		push->labels[i].value = strdup(options->labels[i].value);
		push->n_labels++;
		if (!push->labels[i].key || !push->labels[i].value)
			return false;
	}
	return true;
}

static void init_locks(struct push *push)
{
	pthread_condattr_t attributes;

	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&push->lock, NULL);
	pthread_cond_init(&push->changed, &attributes);
	pthread_condattr_destroy(&attributes);
}

static int start(struct push *push, const struct push_options *options)
{
	int r;

	push->url = strdup(options->url);
	push->name = strdup(options->name);
	if (!push->url || !push->name || !copy_labels(push, options))
		return err_trace(-ENOMEM);
	r = push_http_new(options, is_over, push, &push->http);
	if (r < 0)
		return r;
	push->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (push->done_fd < 0)
		return err_errno();
	r = -pthread_create(&push->thread, NULL, push_main, push);
	if (r < 0)
		return err_trace(r);
	push->has_thread = true;
	(void)pthread_setname_np(push->thread, "cprof-push");
	return 0;
}

int push_new(const struct push_options *options, struct push **ret_push)
{
	struct push *push = calloc(1, sizeof(*push));
	int r;

	if (!push)
		return err_trace(-ENOMEM);
	push->max_samples = options->max_samples ?: PUSH_MAX_SAMPLES;
	push->on_event = options->on_event;
	push->user = options->user;
	push->done_fd = -1;
	atomic_store(&push->give_up, FOREVER);
	push_queue_init(&push->queue);
	init_locks(push);
	r = start(push, options);
	if (r < 0) {
		push_free(push);
		return r;
	}
	*ret_push = push;
	return 0;
}

/* The thread may be in a try, which then ends within a second. */
static void finish_by(struct push *push, uint64_t limit)
{
	pthread_mutex_lock(&push->lock);
	push->is_finishing = true;
	push->next_try = 0;
	atomic_store(&push->give_up, limit);
	pthread_cond_broadcast(&push->changed);
	pthread_mutex_unlock(&push->lock);
}

struct push *push_free(struct push *push)
{
	if (!push)
		return NULL;
	if (push->has_thread) {
		finish_by(push, 0);
		pthread_join(push->thread, NULL);
	}
	push_http_free(push->http);
	push_queue_deinit(&push->queue);
	if (push->done_fd >= 0)
		close(push->done_fd);
	for (unsigned i = 0; i < push->n_labels; i++) {
		free((char *)push->labels[i].key);
		free((char *)push->labels[i].value);
	}
	pthread_cond_destroy(&push->changed);
	pthread_mutex_destroy(&push->lock);
	free(push->url);
	free(push->name);
	free(push);
	return NULL;
}

static int make_item(const struct push *push, const char *type, const struct profile *profile,
		     struct push_item *item)
{
	int64_t from = profile_time(profile), until = from + profile_duration(profile);
	int r = push_pack(profile, push->max_samples, &item->body);

	item->config = push_pack_config(type);
	return r ? r
		 : push_query_make(push->url, push->name, push->labels, push->n_labels, from, until,
				   item->config != NULL, &item->url);
}

int push_add(struct push *push, const char *type, const struct profile *profile)
{
	struct push_item *item = calloc(1, sizeof(*item));
	unsigned dropped;
	int r = item ? make_item(push, type, profile, item) : -ENOMEM;

	if (r) {
		push_item_free(item);
		return r;
	}
	pthread_mutex_lock(&push->lock);
	dropped = push_queue_put(&push->queue, item);
	push->stats.dropped += dropped;
	push->lost += dropped;
	pthread_cond_broadcast(&push->changed);
	pthread_mutex_unlock(&push->lock);
	return 0;
}

uint64_t push_finish(struct push *push, uint64_t ns, int stop_fd)
{
	struct pollfd fds[] = {{.fd = push->done_fd, .events = POLLIN},
			       {.fd = stop_fd, .events = POLLIN}};

	finish_by(push, clock_now_ns() + ns);
	while (!fds[0].revents && !fds[1].revents)
		(void)poll(fds, ARRAY_SIZE(fds), -1);
	if (!fds[0].revents)
		finish_by(push, 0);
	pthread_join(push->thread, NULL);
	push->has_thread = false;
	return push->stats.failed + push->stats.dropped;
}

void push_get_stats(struct push *push, struct push_stats *ret_stats)
{
	pthread_mutex_lock(&push->lock);
	*ret_stats = push->stats;
	ret_stats->queued = push->queue.n;
	pthread_mutex_unlock(&push->lock);
}
