/* SPDX-License-Identifier: Apache-2.0 */
/* Reading pieces, and what is under way. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/serve_pieces.h"

/* What was sampled last may have no names yet; how long to wait for them. Scrapers wait for 3 s, go
 * tool pprof for 5. */
#define NAMES_WITHIN (2 * NSEC_PER_SEC)
/* A piece may be taken between two looks; not several times in a row. */
#define TRIES 5

DEFINE_CLEANUP(struct profile *, profile_free)

static void enlist(struct serve_reader *reader)
{
	struct serve_pieces *p = reader->pieces;

	reader->previous = NULL;
	reader->next = p->readers;
	if (p->readers)
		p->readers->previous = reader;
	p->readers = reader;
}

static void move_to(struct serve_reader *reader, uint64_t number)
{
	pthread_mutex_lock(&reader->pieces->lock);
	reader->number = number;
	pthread_mutex_unlock(&reader->pieces->lock);
}

/* Named, as far as there are names by then. */
static int peek_named(struct serve_pieces *p, struct profile **ret_whole, uint64_t *ret_number)
{
	_cleanup_(profile_free_cleanup) struct profile *whole = NULL;
	int r = session_peek_piece(p->session, &whole, ret_number);

	if (r < 0)
		return err_trace(r);
	(void)session_await_names(p->session, NAMES_WITHIN, true);
	r = session_name(p->session, whole);
	if (r < 0)
		return err_trace(r);
	*ret_whole = take_ptr(whole);
	return 0;
}

/* What is new of a piece, or of what is under way. */
static int add(struct serve_reader *reader, const struct profile *whole)
{
	_cleanup_(profile_free_cleanup) struct profile *part = NULL, *rest = NULL;
	int r = session_project(reader->pieces->session, whole, reader->type, &part);

	if (r >= 0 && reader->first)
		r = profile_subtract(part, reader->first, &rest);
	else if (r >= 0)
		rest = take_ptr(part);
	if (r < 0)
		return err_trace(r);
	reader->first = profile_free(reader->first);
	reader->since = reader->since ?: profile_time(rest);
	reader->lasted += profile_duration(rest);
	if (reader->sum)
		return profile_append(reader->sum, rest);
	reader->sum = take_ptr(rest);
	return 0;
}

/* It is kept as long as the reader has not moved behind it. */
static const struct profile *find(struct serve_reader *reader, uint64_t until)
{
	struct serve_pieces *p = reader->pieces;
	const struct profile *piece = NULL;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->kept.n && !piece; i++) {
		if (p->kept.items[i].number >= reader->number && p->kept.items[i].number < until) {
			piece = p->kept.items[i].profile;
			reader->number = p->kept.items[i].number;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return piece;
}

static int follow(struct serve_reader *reader, uint64_t until)
{
	const struct profile *piece;
	int r = 0;

	while (r >= 0 && (piece = find(reader, until))) {
		r = add(reader, piece);
		move_to(reader, reader->number + 1);
	}
	return err_trace(r);
}

int serve_reader_follow(struct serve_reader *reader)
{
	return follow(reader, UINT64_MAX);
}

int serve_reader_begin(struct serve_reader *reader, struct serve_pieces *p, enum sampler_type type)
{
	_cleanup_(profile_free_cleanup) struct profile *whole = NULL;
	uint64_t number;
	int r;

	*reader = (struct serve_reader){.pieces = p, .type = type};
	pthread_mutex_lock(&p->lock);
	reader->number = p->next;
	enlist(reader);
	pthread_mutex_unlock(&p->lock);
	r = session_peek_piece(p->session, &whole, &number);
	if (r >= 0)
		r = session_project(p->session, whole, type, &reader->first);
	move_to(reader, number);
	return err_trace(r);
}

void serve_reader_end(struct serve_reader *reader)
{
	struct serve_pieces *p = reader->pieces;

	pthread_mutex_lock(&p->lock);
	if (reader->previous)
		reader->previous->next = reader->next;
	else
		p->readers = reader->next;
	if (reader->next)
		reader->next->previous = reader->previous;
	pthread_mutex_unlock(&p->lock);
	profile_free(reader->first);
	profile_free(reader->sum);
}

int serve_reader_take(struct serve_reader *reader, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *whole = NULL, *first = NULL;
	struct serve_pieces *p = reader->pieces;
	uint64_t number;
	int r = peek_named(p, &whole, &number);

	if (r < 0)
		return err_trace(r);
	pthread_mutex_lock(&p->lock);
	(void)serve_pieces_await(p, number);
	pthread_mutex_unlock(&p->lock);
	r = follow(reader, number);
	if (r >= 0)
		r = add(reader, whole);
	if (r >= 0)
		r = session_project(p->session, whole, reader->type, &first);
	if (r < 0)
		return err_trace(r);
	reader->first = take_ptr(first);
	move_to(reader, number);
	*ret_profile = take_ptr(reader->sum);
	return 0;
}

/* Whether all of what was taken before a piece, and nothing else, is in the totals; and these. */
static int copy_total(struct serve_pieces *p, uint64_t number, enum sampler_type type,
		      struct profile **ret_total, bool *ret_fits)
{
	const struct profile *total;
	int r = 0;

	*ret_total = NULL;
	pthread_mutex_lock(&p->lock);
	(void)serve_pieces_await(p, number);
	total = p->totals[__builtin_ctz((unsigned)type)];
	*ret_fits = p->next == number;
	if (*ret_fits && total)
		r = profile_clone(total, ret_total);
	pthread_mutex_unlock(&p->lock);
	return err_trace(r);
}

int serve_pieces_total(struct serve_pieces *p, enum sampler_type type, struct profile **ret_profile)
{
	bool fits = false;
	int r = 0;

	for (int i = 0; i < TRIES && !fits && r >= 0; i++) {
		_cleanup_(profile_free_cleanup) struct profile *whole = NULL, *part = NULL,
							       *total = NULL;
		uint64_t number;

		r = session_peek_piece(p->session, &whole, &number);
		if (r >= 0)
			r = session_project(p->session, whole, type, &part);
		if (r >= 0)
			r = copy_total(p, number, type, &total, &fits);
		if (r >= 0 && fits && total)
			r = profile_append(total, part);
		if (r >= 0 && fits)
			*ret_profile = total ? take_ptr(total) : take_ptr(part);
	}
	return r < 0 ? err_trace(r) : fits ? 0 : err_trace(-EAGAIN);
}

/* The number of the piece that began at least so long before the piece `number`, or of the first
 * that is kept. */
static uint64_t find_past(const struct serve_pieces *p, uint64_t number, int64_t ns)
{
	for (size_t i = p->kept.n; i-- > 0 && ns > 0;) {
		if (p->kept.items[i].number >= number)
			continue;
		number = p->kept.items[i].number;
		ns -= profile_duration(p->kept.items[i].profile);
	}
	return number;
}

int serve_pieces_past(struct serve_pieces *p, enum sampler_type type, uint64_t ns,
		      struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *whole = NULL;
	struct serve_reader reader = {.pieces = p, .type = type};
	uint64_t number;
	int r = peek_named(p, &whole, &number);

	if (r < 0)
		return err_trace(r);
	pthread_mutex_lock(&p->lock);
	(void)serve_pieces_await(p, number);
	reader.number = find_past(p, number, (int64_t)ns - profile_duration(whole));
	enlist(&reader);
	pthread_mutex_unlock(&p->lock);
	r = follow(&reader, number);
	if (r >= 0)
		r = add(&reader, whole);
	if (r >= 0) {
		*ret_profile = take_ptr(reader.sum);
		profile_set_time(*ret_profile, reader.since, reader.lasted);
	}
	serve_reader_end(&reader);
	return err_trace(r);
}
