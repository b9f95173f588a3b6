/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of a profile that grows.
 *
 * The consumer thread owns the profile, so it makes the copy, between two snapshots: table by
 * table, which is all that it is held up for. Naming the copy and taking a type out of it is done
 * by who asked.
 *
 * What was sampled before the call must be in the copy, and what is in the queue is older than what
 * comes into it. So the consumer makes the copy when it has taken everything up to the call; and,
 * where waiting counts, up to when the tracer has put in the waits under way, which it does at its
 * next tick. A tracer that does not tick (a low rate, a stop that does not come) is not waited for
 * longer than WAITS_WITHIN.
 *
 * A copy serves everybody who has asked before it was begun: a hundred who ask at once cost the
 * consumer two copies.
 *
 * Instead of copied the profile can be taken away, for a recording without an end: the consumer
 * then goes on with one that has the same mappings, functions and locations, and nothing else.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/session_priv.h"

#define WAITS_WITHIN (250 * NSEC_PER_MSEC)
#define UNASKED_LOOK_MS 2

void session_peek_init(struct session *s)
{
	pthread_mutex_init(&s->peek.turn, NULL);
}

void session_peek_deinit(struct session *s)
{
	profile_free(s->peek.copy);
	profile_free(s->peek.made);
	pthread_mutex_destroy(&s->peek.turn);
}

void session_peek_pass(struct session *s, enum session_owner owner)
{
	pthread_mutex_lock(&s->lock);
	s->owner = owner;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* By whoever may read the profile now. */
static int copy_profile(struct session *s, struct profile **ret_profile)
{
	int r = profile_clone(s->profile, ret_profile);

	if (r >= 0 && !profile_time(s->profile) && s->piece.begun_at)
		profile_set_time(*ret_profile, (int64_t)s->piece.begun_wall,
				 (int64_t)(clock_now_ns() - s->piece.begun_at));
	return r;
}

/* By the consumer. */
static int take_profile(struct session *s, struct profile **ret_profile)
{
	struct profile *fresh = NULL;
	uint64_t now = clock_now_ns();
	int r = profile_renew(s->profile, &fresh);

	if (r >= 0)
		r = consumer_renew(s->consumer, fresh);
	if (r < 0) {
		profile_free(fresh);
		return err_trace(r);
	}
	profile_set_time(s->profile, (int64_t)s->piece.begun_wall,
			 (int64_t)(now - s->piece.begun_at));
	*ret_profile = s->profile;
	s->profile = fresh;
	s->piece.begun_wall += now - s->piece.begun_at;
	s->piece.begun_at = now;
	s->piece.number++;
	return 0;
}

/* Up to when snapshots must have been taken. */
static uint64_t needed(const struct session *s)
{
	uint64_t put_at = atomic_load(&s->shared.waits_put_at);

	if (!(atomic_load(&s->shared.types) & SAMPLER_WALL) ||
	    (put_at < s->peek.asked_at && clock_now_ns() > s->peek.asked_at + WAITS_WITHIN))
		return s->peek.asked_at;
	return put_at < s->peek.asked_at ? UINT64_MAX : put_at;
}

void session_peek_serve(struct session *s, uint64_t upto)
{
	struct profile *made = NULL;
	uint64_t number = s->piece.number;
	int r;

	if (!atomic_load(&s->peek.wanted) || upto <= needed(s))
		return;
	r = s->peek.take ? take_profile(s, &made) : copy_profile(s, &made);
	pthread_mutex_lock(&s->lock);
	s->peek.made = made;
	s->peek.number = number;
	s->peek.result = r;
	atomic_store(&s->peek.wanted, false);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* Called, and returns, with the lock held. False when the profile has another owner by now. */
static bool ask_consumer(struct session *s, int *ret_result, struct profile **ret_profile)
{
	s->peek.asked_at = clock_now_ns();
	atomic_store(&s->shared.waits_wanted_at, s->peek.asked_at);
	if (s->peek.take)
		atomic_store(&s->shared.exited_wanted, true);
	atomic_store(&s->peek.wanted, true);
	(void)eventfd_write(s->wake_fd, 1);
	while (atomic_load(&s->peek.wanted) && s->owner == SESSION_CONSUMER)
		pthread_cond_wait(&s->changed, &s->lock);
	if (atomic_exchange(&s->peek.wanted, false))
		return false;
	*ret_result = s->peek.result;
	*ret_profile = take_ptr(s->peek.made);
	return true;
}

/* take: it is not copied but taken, which only the consumer can do: -ESRCH when that has ended. */
static int copy_now(struct session *s, bool take, struct profile **ret_profile,
		    uint64_t *ret_number)
{
	struct profile *profile = NULL;
	bool answered = false;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	s->peek.take = take;
	while (!answered) {
		switch (s->owner) {
		case SESSION_NOBODY:
			r = take ? -ESRCH : copy_profile(s, &profile);
			s->peek.number = s->piece.number;
			answered = true;
			break;
		case SESSION_CONSUMER:
			answered = ask_consumer(s, &r, &profile);
			break;
		case SESSION_FINISHING:
			pthread_cond_wait(&s->changed, &s->lock);
			break;
		}
	}
	*ret_number = s->peek.number;
	pthread_mutex_unlock(&s->lock);
	if (r >= 0)
		r = consumer_name_copy(s->consumer, profile);
	if (r < 0) {
		profile_free(profile);
		return r == -ESRCH ? r : err_trace(r);
	}
	*ret_profile = profile;
	return 0;
}

/* Whose turn it is. `since`: when it was called. */
static int peek(struct session *s, uint64_t since)
{
	if (s->peek.copy && s->peek.copied_at >= since)
		return 0;
	s->peek.copy = profile_free(s->peek.copy);
	s->peek.copied_at = clock_now_ns();
	return copy_now(s, false, &s->peek.copy, &s->peek.copy_number);
}

static uint64_t take_turn(struct session *s)
{
	uint64_t since = clock_now_ns();

	atomic_fetch_add(&s->peek.n_users, 1);
	pthread_mutex_lock(&s->peek.turn);
	return since;
}

static void leave_turn(struct session *s)
{
	if (atomic_fetch_sub(&s->peek.n_users, 1) == 1)
		s->peek.copy = profile_free(s->peek.copy);
	pthread_mutex_unlock(&s->peek.turn);
}

/* The last copy, for the caller. */
static int give_copy(struct session *s, struct profile **ret_profile)
{
	if (atomic_load(&s->peek.n_users) > 1)
		return profile_clone(s->peek.copy, ret_profile);
	*ret_profile = take_ptr(s->peek.copy);
	return 0;
}

int session_peek(struct session *s, unsigned types, struct profile **ret_profile)
{
	uint64_t since = take_turn(s);
	int r = peek(s, since);

	if (r >= 0 && types != s->options.sampler.types)
		r = session_project(s, s->peek.copy, (enum sampler_type)types, ret_profile);
	else if (r >= 0)
		r = give_copy(s, ret_profile);
	leave_turn(s);
	return err_trace(r);
}

int session_peek_piece(struct session *s, struct profile **ret_profile, uint64_t *ret_number)
{
	uint64_t since = take_turn(s);
	int r = peek(s, since);

	*ret_number = s->peek.copy_number;
	if (r >= 0)
		r = give_copy(s, ret_profile);
	leave_turn(s);
	return err_trace(r);
}

int session_take_piece(struct session *s, struct profile **ret_profile)
{
	uint64_t ignored;
	int r;

	(void)take_turn(s);
	r = copy_now(s, true, ret_profile, &ignored);
	leave_turn(s);
	return r == -ESRCH ? r : err_trace(r);
}

int session_project(const struct session *s, const struct profile *whole, enum sampler_type type,
		    struct profile **ret_profile)
{
	const struct sampler_options *sampler = &s->options.sampler;

	return session_types_project(whole, sampler->types, type, sampler->hz, ret_profile);
}

int session_name(struct session *s, struct profile *whole)
{
	return err_trace(consumer_name_copy(s->consumer, whole));
}

bool session_await_names(struct session *s, uint64_t ns, bool urgent)
{
	uint64_t until = clock_now_ns() + ns;
	bool all;

	for (;;) {
		all = consumer_await_names(s->consumer, until, urgent);
		if (!consumer_has_unasked(s->consumer) || atomic_load(&s->done))
			return all;
		if (clock_now_ns() >= until)
			return false;
		/* What the namer had no room for is asked for by the consumer. */
		(void)eventfd_write(s->wake_fd, 1);
		(void)poll(NULL, 0, UNASKED_LOOK_MS);
	}
}
