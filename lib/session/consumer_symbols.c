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
#include "symbol/symbol.h"

static bool ask_next(struct consumer *c)
{
	const struct consumer_place *place = &c->places.items[c->n_asked];

	return !place->names ||
	       namer_ask(c->namer, (uint32_t)c->n_asked + 1, place->names, place->pc);
}

void consumer_ask(struct consumer *c)
{
	for (;;) {
		for (; c->n_given_back < c->ended.n; c->n_given_back++) {
			const struct consumer_ended *ended = &c->ended.items[c->n_given_back];

			if (ended->n_places > c->n_asked)
				break;
			if (!namer_end_image(c->namer, ended->naming, ended->keep))
				return;
		}
		if (c->n_asked == c->places.n)
			break;
		if (!ask_next(c))
			return;
		c->n_asked++;
	}
	c->ended.n = c->n_given_back = 0;
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

static struct consumer_flags *flags_of(struct consumer *c, uint32_t mapping)
{
	while (c->flags.n < mapping) {
		if (!vec_push(&c->flags))
			return NULL;
	}
	return &c->flags.items[mapping - 1];
}

/* The function of the namer's profile in ours. */
static int find_function(struct consumer *c, uint32_t id, uint32_t *ret_id)
{
	const struct profile *names = namer_names(c->namer);
	const struct profile_function *from = profile_function(names, id);
	struct profile_function function = {.start_line = from->start_line};
	int r;

	r = profile_string(c->profile, profile_get_string(names, from->system_name),
			   &function.system_name);
	function.name = function.system_name;
	if (r >= 0)
		r = profile_string(c->profile, profile_get_string(names, from->file),
				   &function.file);
	return r < 0 ? r : profile_function_intern(c->profile, &function, ret_id);
}

/* functions: the namer's functions in our profile, by id - 1; 0 = not looked up yet. */
static int set_lines(struct consumer *c, uint32_t location, uint32_t from, uint32_t *functions,
		     struct consumer_flags *flags)
{
	const struct profile *names = namer_names(c->namer);
	const struct profile_location *named = profile_location(names, from);
	const struct profile_line *lines = profile_location_lines(names, named);
	struct profile_line out[SYMBOL_MAX_INLINED];
	int r = 0;

	for (uint32_t i = 0; i < named->n_lines && r >= 0; i++) {
		uint32_t *function = &functions[lines[i].function - 1];

		if (!*function)
			r = find_function(c, lines[i].function, function);
		out[i] = lines[i];
		out[i].function = *function;
		flags->no_filenames |= !profile_function(names, lines[i].function)->file;
		flags->no_line_numbers |= !lines[i].line;
	}
	if (r < 0)
		return r;
	return profile_location_set_lines(c->profile, location, out, named->n_lines);
}

static int set_names(struct consumer *c)
{
	const struct profile *names = namer_names(c->namer);
	_cleanup_free_ uint32_t *functions =
		calloc(profile_n_functions(names) + 1, sizeof(*functions));
	int r = functions ? 0 : -ENOMEM;

	for (uint32_t id = 1; id <= c->places.n && r >= 0; id++) {
		const struct consumer_place *place = &c->places.items[id - 1];
		struct consumer_flags *flags;
		uint32_t from = namer_location(c->namer, id);

		if (!place->waits)
			continue;
		flags = flags_of(c, profile_location(c->profile, id)->mapping);
		if (!flags)
			return err_trace(-ENOMEM);
		flags->used = true;
		if (place->gap) {
			c->gaps.items[place->gap - 1].addresses++;
			c->gaps.items[place->gap - 1].unnamed += !from;
		}
		if (from) {
			r = set_lines(c, id, from, functions, flags);
		} else {
			c->unnamed++;
			flags->no_functions = flags->no_filenames = flags->no_line_numbers = true;
		}
	}
	return err_trace(r);
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

int consumer_symbolize(struct consumer *c)
{
	uint64_t start = clock_now_ns();
	int r = 0;

	for (size_t i = 0; i < c->images.n && r >= 0; i++)
		r = consumer_lock_finish(c, c->images.items[i]);
	if (r >= 0)
		r = name_rest(c);
	if (r >= 0)
		r = set_names(c);
	c->naming_ns = namer_cpu_ns(c->namer);
	c->symbolize_ns = clock_now_ns() - start;
	if (r < 0)
		return err_trace(r);
	namer_problems(c->namer, note_problem, c);
	for (uint32_t id = 1; id <= profile_n_mappings(c->profile); id++) {
		struct profile_mapping *mapping = profile_mapping(c->profile, id);
		const struct consumer_flags *flags = flags_of(c, id);

		if (!flags)
			return err_trace(-ENOMEM);
		if (!flags->used)
			continue;
		mapping->has_functions = !flags->no_functions;
		mapping->has_filenames = !flags->no_filenames;
		mapping->has_line_numbers = !flags->no_line_numbers;
		mapping->has_inline_frames = c->options.inlines && !flags->no_line_numbers;
	}
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
