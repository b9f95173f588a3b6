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
	_Atomic bool ended, finished;
	_Atomic int result;
	pthread_mutex_t lock; /* over what follows, and while it is changed */
	struct hub_type types[SERVE_MAX_TYPES];
	struct serve_pieces pieces;
	unsigned continuous; /* types that are sampled all the time */
};

static void *run_main(void *arg)
{
	struct serve_hub *hub = arg;

	atomic_store(&hub->result, session_run(hub->session));
	atomic_store(&hub->ended, true);
	atomic_store(&hub->finished, true);
	(void)eventfd_write(hub->end_fd, 1);
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

	for (unsigned i = 0; i < SERVE_MAX_TYPES; i++)
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
	if (t->users == (by > 0 ? 1 : 0)) {
		serve_pieces_activate(&hub->pieces, wanted(hub) != 0);
		r = session_set_types(hub->session, wanted(hub));
	}
	if (by > 0 && r < 0) {
		t->users--;
	} else if (by > 0 && t->users == 1) {
		t->on_at = now;
		t->since = t->since ?: clock_wall_ns();
	}
	pthread_mutex_unlock(&hub->lock);
	return r < 0 ? SERVE_HUB_ENDED : 0;
}

int serve_hub_new(struct session *session, int stop_fd, unsigned continuous, uint64_t window_ns,
		  struct serve_hub **ret_hub)
{
	struct serve_hub *hub = calloc(1, sizeof(*hub));
	int r;

	if (!hub)
		return err_trace(-ENOMEM);
	hub->session = session;
	hub->stop_fd = stop_fd;
	hub->continuous = continuous;
	pthread_mutex_init(&hub->lock, NULL);
	r = serve_pieces_init(&hub->pieces, session, window_ns);
	hub->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (r >= 0 && hub->end_fd < 0)
		r = err_errno();
	if (r >= 0)
		r = -pthread_create(&hub->thread, NULL, run_main, hub);
	hub->started = r == 0;
	for (unsigned bit = 0; bit < SERVE_MAX_TYPES && r >= 0; bit++) {
		/* A process that has ended is told by who runs the server. */
		if (continuous & 1U << bit)
			(void)change(hub, (enum sampler_type)(1U << bit), 1);
	}
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
	serve_pieces_deinit(&hub->pieces);
	if (hub->end_fd >= 0)
		close(hub->end_fd);
	pthread_mutex_destroy(&hub->lock);
	free(hub);
	return NULL;
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

int serve_hub_enter(struct serve_hub *hub, enum sampler_type type)
{
	return change(hub, type, 1);
}

void serve_hub_leave(struct serve_hub *hub, enum sampler_type type)
{
	(void)change(hub, type, -1);
}

struct serve_pieces *serve_hub_pieces(struct serve_hub *hub)
{
	return &hub->pieces;
}

/* Until the time is over. */
static int read_for(struct serve_hub *hub, struct serve_reader *reader, uint64_t end, int client_fd)
{
	uint64_t now = clock_now_ns();
	int r = 0;

	while (r == 0 && now < end && !atomic_load(&hub->finished)) {
		r = serve_hub_wait(hub, MIN(end - now, SERVE_PIECE_NS), client_fd);
		if (r == 0)
			r = serve_reader_follow(reader);
		now = clock_now_ns();
	}
	return r;
}

/* What is taken holds what was sampled up to when it is asked for, however late it is made. */
int serve_hub_collect(struct serve_hub *hub, enum sampler_type type, uint64_t ns, int client_fd,
		      struct profile **ret_profile)
{
	struct serve_reader reader;
	uint64_t start_wall = clock_wall_ns(), start = clock_now_ns(), end;
	int r = change(hub, type, 1);

	if (r != 0)
		return r;
	r = serve_reader_begin(&reader, &hub->pieces, type);
	if (r >= 0)
		r = read_for(hub, &reader, start + ns, client_fd);
	end = clock_now_ns();
	/* At the end of the process it is no longer counted anyway. */
	(void)change(hub, type, -1);
	if (r == 0)
		r = serve_reader_take(&reader, ret_profile);
	serve_reader_end(&reader);
	if (r)
		return r < 0 ? err_trace(r) : r;
	profile_set_time(*ret_profile, (int64_t)start_wall, (int64_t)(end - start));
	return 0;
}

int serve_hub_past(struct serve_hub *hub, enum sampler_type type, uint64_t ns,
		   struct profile **ret_profile)
{
	if (!(hub->continuous & (unsigned)type))
		return SERVE_HUB_NOT_KEPT;
	if (atomic_load(&hub->ended))
		return SERVE_HUB_ENDED;
	return err_trace(serve_pieces_past(&hub->pieces, type, ns, ret_profile));
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
	int r = serve_pieces_total(&hub->pieces, type, ret_profile);

	if (r < 0)
		return err_trace(r);
	serve_hub_count(hub, type, &count);
	profile_set_time(*ret_profile, (int64_t)clock_wall_ns(), (int64_t)count.counted);
	return 0;
}

void serve_hub_finish(struct serve_hub *hub)
{
	atomic_store(&hub->finished, true);
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
