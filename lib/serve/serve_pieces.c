/* SPDX-License-Identifier: Apache-2.0 */
/* Taking pieces, keeping them, and adding them up. */
#include "serve/serve_pieces.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/serve_priv.h"

/* For the names of a piece, which nobody waits for: as far as they cost nothing. */
#define NAMES_WITHIN (4 * NSEC_PER_SEC)
#define NAMES_LOOK (100 * NSEC_PER_MSEC)
/* Beyond so many stacks of threads the totals forget which thread it was, and beyond so many stacks
 * the smallest ones. */
#define TOTAL_MOST 10000

DEFINE_CLEANUP(struct profile *, profile_free)

static bool has_time(struct serve_pieces *p)
{
	bool time;

	pthread_mutex_lock(&p->lock);
	time = !p->stopped && !p->n_awaiting;
	pthread_mutex_unlock(&p->lock);
	return time;
}

/* Names come later for what was met last. Who waits for the piece has waited for names before. */
static int name(struct serve_pieces *p, struct profile *piece)
{
	uint64_t limit = clock_now_ns() + NAMES_WITHIN;

	while (!session_await_names(p->session, NAMES_LOOK, false) && has_time(p) &&
	       clock_now_ns() < limit)
		;
	return session_name(p->session, piece);
}

/* Of all that was ever met, only what the piece uses. */
static int compact(const struct profile *piece, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int r = profile_new(profile_get_spec(piece), &profile);

	if (r >= 0)
		r = profile_append(profile, piece);
	if (r < 0)
		return err_trace(r);
	profile_set_time(profile, profile_time(piece), profile_duration(piece));
	*ret_profile = take_ptr(profile);
	return 0;
}

/* Without the names of threads, the same stacks are one. */
static int forget_threads(struct profile **profile)
{
	static const char *const kept[] = {"process", "pid", NULL};
	struct profile_part part = {.spec = *profile_get_spec(*profile), .label_keys = kept};
	struct profile *less = NULL;
	int r;

	for (uint32_t i = 0; i < PROFILE_MAX_TYPES; i++)
		part.columns[i] = i;
	r = profile_project(*profile, &part, &less);
	if (r < 0)
		return err_trace(r);
	profile_free(*profile);
	*profile = less;
	return profile_n_samples(less) > TOTAL_MOST ? profile_prune(profile, TOTAL_MOST / 2) : 0;
}

/* With the lock held. */
static int add_total(struct serve_pieces *p, const struct profile *piece, enum sampler_type type)
{
	_cleanup_(profile_free_cleanup) struct profile *part = NULL;
	struct profile **total = &p->totals[__builtin_ctz((unsigned)type)];
	int r = session_project(p->session, piece, type, &part);

	if (r < 0)
		return err_trace(r);
	if (!*total) {
		*total = take_ptr(part);
		return 0;
	}
	r = profile_append(*total, part);
	if (r >= 0 && profile_n_samples(*total) > TOTAL_MOST)
		r = forget_threads(total);
	return err_trace(r);
}

/* The first one that a reader still needs. */
static uint64_t needed(const struct serve_pieces *p)
{
	uint64_t first = UINT64_MAX;

	for (const struct serve_reader *reader = p->readers; reader; reader = reader->next)
		first = MIN(first, reader->number);
	return first;
}

static void drop_old(struct serve_pieces *p)
{
	uint64_t first = needed(p);
	int64_t lasted = 0;
	size_t n = p->kept.n;

	while (n > 0 && lasted < (int64_t)p->window_ns)
		lasted += profile_duration(p->kept.items[--n].profile);
	for (size_t i = 0; i < n; i++) {
		if (p->kept.items[i].number < first)
			continue;
		n = i;
	}
	for (size_t i = 0; i < n; i++)
		profile_free(p->kept.items[i].profile);
	memmove(p->kept.items, p->kept.items + n, (p->kept.n - n) * sizeof(*p->kept.items));
	p->kept.n -= n;
}

/* Takes the profile. */
static int put(struct serve_pieces *p, struct profile *profile)
{
	struct serve_piece *slot;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	for (unsigned bit = 0; bit < SERVE_MAX_TYPES && r >= 0; bit++) {
		if (SERVE_TOTALS & 1U << bit)
			r = add_total(p, profile, (enum sampler_type)(1U << bit));
	}
	slot = vec_push(&p->kept);
	if (slot)
		*slot = (struct serve_piece){p->next, profile};
	else
		profile_free(profile);
	p->next++;
	drop_old(p);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	return slot ? r : -ENOMEM;
}

int serve_pieces_take(struct serve_pieces *p)
{
	_cleanup_(profile_free_cleanup) struct profile *whole = NULL;
	struct profile *piece = NULL;
	int r = session_take_piece(p->session, &whole);

	if (r < 0)
		return r;
	r = name(p, whole);
	if (r >= 0)
		r = compact(whole, &piece);
	/* Out of memory: it is kept as it is. */
	return put(p, r < 0 ? take_ptr(whole) : piece);
}

static void *take_main(void *arg)
{
	struct serve_pieces *p = arg;
	struct timespec until;
	int r = 0;

	pthread_mutex_lock(&p->lock);
	while (!p->stopped && r != -ESRCH) {
		if (!p->stirred) {
			pthread_cond_wait(&p->changed, &p->lock);
			continue;
		}
		until = ns_timespec(clock_now_ns() + SERVE_PIECE_NS);
		while (!p->stopped &&
		       pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
			;
		if (p->stopped)
			break;
		p->stirred = p->active;
		pthread_mutex_unlock(&p->lock);
		r = serve_pieces_take(p);
		if (r < 0 && r != -ESRCH)
			log_line(LOG_WARNING, "collecting: %s", strerror(-r));
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

int serve_pieces_init(struct serve_pieces *p, struct session *session, uint64_t window_ns)
{
	pthread_condattr_t monotonic;
	int r;

	p->session = session;
	p->window_ns = window_ns;
	pthread_mutex_init(&p->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&p->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	r = -pthread_create(&p->thread, NULL, take_main, p);
	p->started = r == 0;
	return err_trace(r);
}

void serve_pieces_deinit(struct serve_pieces *p)
{
	if (p->started) {
		pthread_mutex_lock(&p->lock);
		p->stopped = true;
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
		pthread_join(p->thread, NULL);
	}
	for (size_t i = 0; i < p->kept.n; i++)
		profile_free(p->kept.items[i].profile);
	vec_deinit(&p->kept);
	for (size_t i = 0; i < SERVE_MAX_TYPES; i++)
		profile_free(p->totals[i]);
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
}

void serve_pieces_activate(struct serve_pieces *p, bool active)
{
	pthread_mutex_lock(&p->lock);
	p->active = active;
	p->stirred |= active;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* The recording may have ended between the taking of two pieces. */
bool serve_pieces_await(struct serve_pieces *p, uint64_t number)
{
	struct timespec until = ns_timespec(clock_now_ns() + NAMES_WITHIN + NSEC_PER_SEC);

	p->n_awaiting++;
	while (p->next < number &&
	       pthread_cond_timedwait(&p->changed, &p->lock, &until) != ETIMEDOUT)
		;
	p->n_awaiting--;
	return p->next >= number;
}
