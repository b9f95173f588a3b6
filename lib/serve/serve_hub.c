/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve_hub.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define MAX_TYPES 16 /* bits of enum sampler_type */
/* What was sampled last may have no names yet; how long to wait for them. Scrapers wait for 3 s, go
 * tool pprof for 5. */
#define NAMES_WITHIN (2 * NSEC_PER_SEC)

DEFINE_CLEANUP(struct profile *, profile_free)

struct hub_type {
	unsigned users;
	uint64_t since;   /* CLOCK_REALTIME */
	uint64_t on_at;   /* CLOCK_MONOTONIC; while it has users */
	uint64_t counted; /* before that */
};

struct serve_hub {
	struct session *session;
	int stop_fd;
	int end_fd; /* readable: who waits shall wait no longer */
	pthread_t thread;
	bool started;
	_Atomic bool ended;
	_Atomic int result;
	pthread_mutex_t lock; /* over what follows, and while it is changed */
	struct hub_type types[MAX_TYPES];
};

static void *run_main(void *arg)
{
	struct serve_hub *hub = arg;

	atomic_store(&hub->result, session_run(hub->session));
	atomic_store(&hub->ended, true);
	(void)eventfd_write(hub->end_fd, 1);
	return NULL;
}

int serve_hub_new(struct session *session, int stop_fd, struct serve_hub **ret_hub)
{
	struct serve_hub *hub = calloc(1, sizeof(*hub));
	int r;

	if (!hub)
		return err_trace(-ENOMEM);
	hub->session = session;
	hub->stop_fd = stop_fd;
	pthread_mutex_init(&hub->lock, NULL);
	hub->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = hub->end_fd < 0 ? err_errno() : -pthread_create(&hub->thread, NULL, run_main, hub);
	hub->started = r == 0;
	if (r < 0) {
		serve_hub_free(hub);
		return err_trace(r);
	}
	*ret_hub = hub;
	return 0;
}

struct serve_hub *serve_hub_free(struct serve_hub *hub)
{
	if (!hub)
		return NULL;
	if (hub->started) {
		session_abandon(hub->session);
		(void)eventfd_write(hub->stop_fd, 1);
		pthread_join(hub->thread, NULL);
	}
	if (hub->end_fd >= 0)
		close(hub->end_fd);
	pthread_mutex_destroy(&hub->lock);
	free(hub);
	return NULL;
}

static struct hub_type *find_type(struct serve_hub *hub, enum sampler_type type)
{
	return &hub->types[__builtin_ctz((unsigned)type)];
}

/* What somebody wants. */
static unsigned wanted(const struct serve_hub *hub)
{
	unsigned types = 0;

	for (unsigned i = 0; i < MAX_TYPES; i++)
		types |= hub->types[i].users ? 1U << i : 0;
	return types;
}

/* Counts a type in (+1) or out (-1). Returns 0 or SERVE_HUB_ENDED. */
static int change(struct serve_hub *hub, enum sampler_type type, int by)
{
	struct hub_type *t = find_type(hub, type);
	uint64_t now = clock_now_ns();
	int r = 0;

	pthread_mutex_lock(&hub->lock);
	t->users += (unsigned)by;
	if (by < 0 && t->users == 0)
		t->counted += now - t->on_at;
	if (t->users == (by > 0 ? 1 : 0))
		r = session_set_types(hub->session, wanted(hub));
	if (by > 0 && r < 0) {
		t->users--;
	} else if (by > 0 && t->users == 1) {
		t->on_at = now;
		t->since = t->since ?: clock_wall_ns();
	}
	pthread_mutex_unlock(&hub->lock);
	return r < 0 ? SERVE_HUB_ENDED : 0;
}

int serve_hub_wait(struct serve_hub *hub, uint64_t ns, int client_fd)
{
	struct pollfd fds[] = {{.fd = hub->end_fd, .events = POLLIN},
			       {.fd = client_fd, .events = POLLRDHUP}};
	uint64_t now = clock_now_ns(), end = now + ns;

	for (; now < end; now = clock_now_ns()) {
		struct timespec rest = ns_timespec(end - now);

		if (ppoll(fds, ARRAY_SIZE(fds), &rest, NULL) < 0)
			continue;
		if (fds[1].revents)
			return SERVE_HUB_GONE;
		if (fds[0].revents)
			return 0;
	}
	return 0;
}

static uint32_t count_unnamed(const struct profile *profile)
{
	uint32_t n = 0;

	for (uint32_t id = 1; id <= profile_n_locations(profile); id++)
		n += !profile_location(profile, id)->n_lines;
	return n;
}

static int peek_since(struct serve_hub *hub, enum sampler_type type, const struct profile *earlier,
		      struct profile **ret_later, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *later = NULL;
	int r = session_peek(hub->session, type, &later);

	if (r >= 0)
		r = profile_subtract(later, earlier, ret_profile);
	if (r < 0)
		return err_trace(r);
	*ret_later = take_ptr(later);
	return 0;
}

int serve_hub_since(struct serve_hub *hub, enum sampler_type type, const struct profile *earlier,
		    struct profile **ret_later, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL, *later = NULL;
	uint64_t limit = clock_now_ns() + NAMES_WITHIN, now;
	uint32_t before, unnamed = UINT32_MAX;
	int r = peek_since(hub, type, earlier, &later, &profile);

	while (r >= 0) {
		before = unnamed;
		unnamed = count_unnamed(profile);
		now = clock_now_ns();
		if (!unnamed || unnamed >= before || now > limit)
			break;
		session_await_names(hub->session, limit - now);
		profile = profile_free(profile);
		later = profile_free(later);
		r = peek_since(hub, type, earlier, &later, &profile);
	}
	if (r < 0)
		return r;
	*ret_profile = take_ptr(profile);
	*ret_later = take_ptr(later);
	return 0;
}

int serve_hub_enter(struct serve_hub *hub, enum sampler_type type)
{
	return change(hub, type, 1);
}

void serve_hub_leave(struct serve_hub *hub, enum sampler_type type)
{
	(void)change(hub, type, -1);
}

/* A copy holds what was sampled up to when it was asked for, however late it is made. */
int serve_hub_collect(struct serve_hub *hub, enum sampler_type type, uint64_t ns, int client_fd,
		      struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *first = NULL, *last = NULL;
	int r = change(hub, type, 1), waited = 0;
	uint64_t start_wall = clock_wall_ns(), start = clock_now_ns(), end;

	if (r != 0)
		return r;
	r = session_peek(hub->session, type, &first);
	if (r >= 0)
		waited = serve_hub_wait(hub, ns - MIN(ns, clock_now_ns() - start), client_fd);
	end = clock_now_ns();
	/* At the end of the process it is no longer counted anyway. */
	(void)change(hub, type, -1);
	if (r < 0 || waited)
		return r < 0 ? err_trace(r) : waited;
	r = serve_hub_since(hub, type, first, &last, ret_profile);
	if (r < 0)
		return err_trace(r);
	profile_set_time(*ret_profile, (int64_t)start_wall, (int64_t)(end - start));
	return 0;
}

void serve_hub_count(struct serve_hub *hub, enum sampler_type type,
		     struct serve_hub_count *ret_count)
{
	const struct hub_type *t = find_type(hub, type);

	pthread_mutex_lock(&hub->lock);
	*ret_count = (struct serve_hub_count){t->since, t->counted, t->users};
	if (t->users)
		ret_count->counted += clock_now_ns() - t->on_at;
	pthread_mutex_unlock(&hub->lock);
}

int serve_hub_total(struct serve_hub *hub, enum sampler_type type, struct profile **ret_profile)
{
	struct serve_hub_count count;
	int r = session_peek(hub->session, type, ret_profile);

	if (r < 0)
		return err_trace(r);
	serve_hub_count(hub, type, &count);
	profile_set_time(*ret_profile, (int64_t)clock_wall_ns(), (int64_t)count.counted);
	return 0;
}

void serve_hub_finish(struct serve_hub *hub)
{
	(void)eventfd_write(hub->end_fd, 1);
}

int serve_hub_fd(const struct serve_hub *hub)
{
	return hub->end_fd;
}

bool serve_hub_has_ended(struct serve_hub *hub, int *ret_result)
{
	*ret_result = atomic_load(&hub->result);
	return atomic_load(&hub->ended);
}

struct session *serve_hub_session(const struct serve_hub *hub)
{
	return hub->session;
}
