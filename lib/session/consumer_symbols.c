/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the locations of a profile: asked of the namer while the recording runs, and put into
 * the profile at its end.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/consumer_priv.h"

static bool ask_next(struct consumer *c)
{
	const struct consumer_place *place = &c->places.items[c->n_asked];

	return !place->names ||
	       namer_ask(c->namer, (uint32_t)c->n_asked + 1, place->names, place->pc);
}

/* False: the namer has no room for all. */
static bool ask_all(struct consumer *c)
{
	for (;;) {
		for (; c->n_given_back < c->ended.n; c->n_given_back++) {
			const struct consumer_ended *ended = &c->ended.items[c->n_given_back];

			if (ended->n_places > c->n_asked)
				break;
			if (!namer_end_image(c->namer, ended->naming, ended->keep))
				return false;
		}
		if (c->n_asked == c->places.n)
			break;
		if (!ask_next(c))
			return false;
		c->n_asked++;
	}
	c->ended.n = c->n_given_back = 0;
	return true;
}

void consumer_ask(struct consumer *c)
{
	bool unasked = !ask_all(c);

	if (atomic_load_explicit(&c->has_unasked, memory_order_relaxed) != unasked)
		atomic_store(&c->has_unasked, unasked);
}

int consumer_give_back(struct consumer *c, struct consumer_image *image)
{
	struct consumer_ended *ended;

	if (!image->naming)
		return 0;
	ended = vec_push(&c->ended);
	if (!ended)
		return err_trace(-ENOMEM);
	*ended = (struct consumer_ended){take_ptr(image->naming), image->pinned, c->places.n};
	consumer_ask(c);
	return 0;
}

int consumer_gap(struct consumer *c, const char *path, uint32_t *ret_gap)
{
	struct session_gap *gap = NULL;
	char *copy;

	for (size_t i = 0; i < c->gaps.n; i++) {
		if (strcmp(c->gaps.items[i].path, path) != 0)
			continue;
		*ret_gap = (uint32_t)i + 1;
		return 0;
	}
	copy = strdup(path);
	gap = copy ? vec_push(&c->gaps) : NULL;
	if (!gap) {
		free(copy);
		return err_trace(-ENOMEM);
	}
	gap->path = copy;
	*ret_gap = (uint32_t)c->gaps.n;
	return 0;
}

static void note_problem(void *user, uint32_t gap, const char *problem)
{
	struct consumer *c = user;

	if (!c->gaps.items[gap - 1].why)
		c->gaps.items[gap - 1].why = strdup(problem);
}

static void count_unnamed(struct consumer *c)
{
	for (uint32_t id = 1; id <= c->places.n; id++) {
		const struct consumer_place *place = &c->places.items[id - 1];
		bool unnamed = !namer_location(c->namer, id);

		if (!place->waits)
			continue;
		c->unnamed += unnamed;
		if (place->gap) {
			c->gaps.items[place->gap - 1].addresses++;
			c->gaps.items[place->gap - 1].unnamed += unnamed;
		}
	}
}

/* Everything is asked for, and named in this thread. */
static int name_rest(struct consumer *c)
{
	int r = 0;

	namer_finish(c->namer);
	for (size_t i = 0; i < c->images.n && r >= 0; i++) {
		c->images.items[i]->pinned = true;
		r = consumer_give_back(c, c->images.items[i]);
	}
	while (r >= 0) {
		consumer_ask(c);
		r = namer_rest(c->namer);
		if (c->n_asked == c->places.n && !c->ended.n)
			break;
	}
	/* What was put into the queue last. */
	return r < 0 ? r : namer_rest(c->namer);
}

static int worst_first(const void *a, const void *b)
{
	const struct session_gap *x = a, *y = b;

	return (x->unnamed < y->unnamed) - (x->unnamed > y->unnamed);
}

int consumer_name_copy(const struct consumer *c, struct profile *copy)
{
	return err_trace(namer_copy_lines(c->namer, copy));
}

bool consumer_await_names(const struct consumer *c, uint64_t until, bool urgent)
{
	return namer_await(c->namer, until, urgent);
}

bool consumer_has_unasked(const struct consumer *c)
{
	return atomic_load(&c->has_unasked);
}

int consumer_symbolize(struct consumer *c)
{
	uint64_t start = clock_now_ns();
	int r = 0;

	for (size_t i = 0; i < c->images.n && r >= 0; i++)
		r = consumer_lock_finish(c, c->images.items[i]);
	if (r >= 0)
		r = name_rest(c);
	if (r >= 0)
		r = namer_copy_lines(c->namer, c->profile);
	c->naming_ns = namer_cpu_ns(c->namer);
	c->symbolize_ns = clock_now_ns() - start;
	if (r < 0)
		return err_trace(r);
	count_unnamed(c);
	namer_problems(c->namer, note_problem, c);
	if (c->gaps.n)
		qsort(c->gaps.items, c->gaps.n, sizeof(*c->gaps.items), worst_first);
	return 0;
}

void consumer_stats(struct consumer *c, struct session_stats *stats)
{
	memcpy(stats->traces, c->traces, sizeof(c->traces));
	memcpy(stats->read_traces, c->read_traces, sizeof(c->read_traces));
	stats->unwind = c->unwind;
	for (size_t i = 0; i < c->images.n; i++)
		unwind_stats_add(&stats->unwind, unwinder_stats(c->images.items[i]->unwinder));
	stats->locations = profile_n_locations(c->profile);
	stats->unnamed = c->unnamed;
	stats->symbolize_ns = c->symbolize_ns;
	stats->naming_ns = c->naming_ns;
	stats->lock_ns = c->held_ns;
	stats->unheld_ns = c->unknown_ns;
	for (stats->n_gaps = 0; stats->n_gaps < c->gaps.n; stats->n_gaps++) {
		if (!c->gaps.items[stats->n_gaps].unnamed)
			break;
	}
	stats->gaps = c->gaps.items;
}
