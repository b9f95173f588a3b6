/* SPDX-License-Identifier: Apache-2.0 */
/* Names for the locations of a profile. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/consumer_priv.h"
#include "symbol/symbol.h"

DEFINE_CLEANUP(struct symbolizer *, symbolizer_free)

static int set_lines(struct profile *profile, uint32_t location, const struct symbol_lines *lines,
		     struct consumer_flags *flags)
{
	struct profile_line out[SYMBOL_MAX_INLINED];
	int r = 0;

	for (uint32_t i = 0; i < lines->n_lines && r >= 0; i++) {
		const struct symbol_line *line = &lines->lines[i];
		struct profile_function function = {.start_line = line->start_line};

		/* pprof demangles and shortens a name that equals the system name. */
		r = profile_string(profile, line->system_name, &function.system_name);
		function.name = function.system_name;
		if (r >= 0)
			r = profile_string(profile, line->file, &function.file);
		if (r >= 0)
			r = profile_function_intern(profile, &function, &out[i].function);
		out[i].line = line->line;
		out[i].column = line->column;
		flags->no_filenames |= !function.file;
		flags->no_line_numbers |= !line->line;
	}
	if (r < 0)
		return r;
	return profile_location_set_lines(profile, location, out, lines->n_lines);
}

static int count_gap(struct consumer *c, struct module *module, bool unnamed)
{
	const char *path = module_path(module), *why = module_problem(module);
	struct session_gap *gap = NULL;

	for (size_t i = 0; i < c->gaps.n && !gap; i++) {
		if (strcmp(c->gaps.items[i].path, path) == 0)
			gap = &c->gaps.items[i];
	}
	if (!gap) {
		char *copy = strdup(path);

		gap = copy ? vec_push(&c->gaps) : NULL;
		if (!gap) {
			free(copy);
			return -ENOMEM;
		}
		gap->path = copy;
	}
	gap->addresses++;
	gap->unnamed += unnamed;
	/* The module goes with its image. */
	if (!gap->why && why)
		gap->why = strdup(why);
	return 0;
}

static struct consumer_flags *flags_of(struct consumer *c, uint32_t mapping)
{
	while (c->flags.n < mapping) {
		if (!vec_push(&c->flags))
			return NULL;
	}
	return &c->flags.items[mapping - 1];
}

static int symbolize_one(struct consumer *c, struct symbolizer *symbolizer, uint32_t location)
{
	const struct profile_location *l = profile_location(c->profile, location);
	struct consumer_place *place = &c->places.items[location - 1];
	struct consumer_flags *flags = flags_of(c, l->mapping);
	struct symbol_lines lines = {};
	int r;

	if (!flags)
		return -ENOMEM;
	place->waits = false;
	flags->used = true;
	if (place->module) {
		r = symbolizer_lookup(symbolizer, place->module, place->pc, &lines);
		if (r < 0)
			return r;
		r = count_gap(c, place->module, lines.n_lines == 0);
		if (r < 0)
			return r;
	}
	if (!lines.n_lines) {
		c->unnamed++;
		flags->no_functions = flags->no_filenames = flags->no_line_numbers = true;
		return 0;
	}
	return set_lines(c->profile, location, &lines, flags);
}

int consumer_symbolize_image(struct consumer *c, struct consumer_image *image)
{
	_cleanup_(symbolizer_free_cleanup) struct symbolizer *symbolizer = NULL;
	uint64_t start = clock_now_ns();
	int r;

	r = symbolizer_new(c->options.inlines, &symbolizer);
	for (size_t i = 0; i < c->places.n && r >= 0; i++) {
		const struct consumer_place *place = &c->places.items[i];

		if (place->waits && (!image || place->image == image))
			r = symbolize_one(c, symbolizer, (uint32_t)i + 1);
	}
	c->symbolize_ns += clock_now_ns() - start;
	return err_trace(r);
}

static int worst_first(const void *a, const void *b)
{
	const struct session_gap *x = a, *y = b;

	return (x->unnamed < y->unnamed) - (x->unnamed > y->unnamed);
}

int consumer_symbolize(struct consumer *c)
{
	int r = consumer_symbolize_image(c, NULL);

	if (r < 0)
		return r;
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
	for (stats->n_gaps = 0; stats->n_gaps < c->gaps.n; stats->n_gaps++) {
		if (!c->gaps.items[stats->n_gaps].unnamed)
			break;
	}
	stats->gaps = c->gaps.items;
}
