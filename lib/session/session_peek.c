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
 */
#include <errno.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/session_priv.h"

#define WAITS_WITHIN (250 * NSEC_PER_MSEC)

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
	uint64_t begun_at = atomic_load(&s->begun_at);
	int r = profile_clone(s->profile, ret_profile);

	if (r >= 0 && !profile_time(s->profile) && begun_at)
		profile_set_time(*ret_profile, (int64_t)atomic_load(&s->begun_wall),
				 (int64_t)(clock_now_ns() - begun_at));
	return r;
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
	int r;

	if (!atomic_load(&s->peek.wanted) || upto <= needed(s))
		return;
	/* What there was no room for in the namer's queue. */
	consumer_ask(s->consumer);
	r = copy_profile(s, &made);
	pthread_mutex_lock(&s->lock);
	s->peek.made = made;
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

static int copy_now(struct session *s, struct profile **ret_profile)
{
	struct profile *profile = NULL;
	bool answered = false;
	int r = 0;

	pthread_mutex_lock(&s->lock);
	while (!answered) {
		switch (s->owner) {
		case SESSION_NOBODY:
			r = copy_profile(s, &profile);
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
	pthread_mutex_unlock(&s->lock);
	if (r >= 0)
		r = consumer_name_copy(s->consumer, profile);
	if (r < 0) {
		profile_free(profile);
		return err_trace(r);
	}
	*ret_profile = profile;
	return 0;
}

/* Whose turn it is. `since`: when it was called. */
static int peek(struct session *s, uint64_t since, unsigned types, struct profile **ret_profile)
{
	const struct sampler_options *sampler = &s->options.sampler;
	int r = 0;

	if (!s->peek.copy || s->peek.copied_at < since) {
		s->peek.copy = profile_free(s->peek.copy);
		s->peek.copied_at = clock_now_ns();
		r = copy_now(s, &s->peek.copy);
	}
	if (r < 0)
		return err_trace(r);
	if (types != sampler->types)
		return session_types_project(s->peek.copy, sampler->types, (enum sampler_type)types,
					     sampler->hz, ret_profile);
	if (atomic_load(&s->peek.n_users) > 1)
		return profile_clone(s->peek.copy, ret_profile);
	*ret_profile = take_ptr(s->peek.copy);
	return 0;
}

int session_peek(struct session *s, unsigned types, struct profile **ret_profile)
{
	uint64_t since = clock_now_ns();
	int r;

	atomic_fetch_add(&s->peek.n_users, 1);
	pthread_mutex_lock(&s->peek.turn);
	r = peek(s, since, types, ret_profile);
	if (atomic_fetch_sub(&s->peek.n_users, 1) == 1)
		s->peek.copy = profile_free(s->peek.copy);
	pthread_mutex_unlock(&s->peek.turn);
	return err_trace(r);
}

void session_await_names(struct session *s, uint64_t ns)
{
	consumer_await_names(s->consumer, clock_now_ns() + ns);
}
