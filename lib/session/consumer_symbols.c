/* SPDX-License-Identifier: Apache-2.0 */
/* Names for the locations of a profile. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "session/consumer_priv.h"
#include "symbol/symbol.h"

DEFINE_CLEANUP(struct symbolizer *, symbolizer_free)

/* A mapping may claim something only if it holds for every location that is used in it: pprof
 * does not symbolize again what claims to be complete. */
struct flags {
	bool used, no_functions, no_filenames, no_line_numbers;
};

static int set_lines(struct profile *profile, uint32_t location, const struct symbol_lines *lines,
		     struct flags *flags)
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
	const char *path = module_path(module);
	struct session_gap *gap = NULL;

	for (size_t i = 0; i < c->gaps.n && !gap; i++) {
		if (strcmp(c->gaps.items[i].path, path) == 0)
			gap = &c->gaps.items[i];
	}
	if (!gap) {
		gap = vec_push(&c->gaps);
		if (!gap)
			return -ENOMEM;
		gap->path = path;
	}
	gap->addresses++;
	gap->unnamed += unnamed;
	if (!gap->why)
		gap->why = module_problem(module);
	return 0;
}

static int symbolize_one(struct consumer *c, struct symbolizer *symbolizer, uint32_t location,
			 struct flags *flags)
{
	const struct profile_location *l = profile_location(c->profile, location);
	struct module *module = consumer_place(c, location)->module;
	struct symbol_lines lines = {};
	struct flags *f = &flags[l->mapping];
	int r;

	/* Named ones have their line already. */
	if (l->n_lines)
		return 0;
	f->used = true;
	if (module) {
		r = symbolizer_lookup(symbolizer, module, l->address, &lines);
		if (r < 0)
			return r;
		r = count_gap(c, module, lines.n_lines == 0);
		if (r < 0)
			return r;
	}
	if (!lines.n_lines) {
		c->unnamed++;
		f->no_functions = f->no_filenames = f->no_line_numbers = true;
		return 0;
	}
	return set_lines(c->profile, location, &lines, f);
}

static int worst_first(const void *a, const void *b)
{
	const struct session_gap *x = a, *y = b;

	return (x->unnamed < y->unnamed) - (x->unnamed > y->unnamed);
}

int consumer_symbolize(struct consumer *c, bool inlines)
{
	_cleanup_(symbolizer_free_cleanup) struct symbolizer *symbolizer = NULL;
	_cleanup_free_ struct flags *flags = NULL;
	uint32_t n_mappings = profile_n_mappings(c->profile);
	uint32_t n_locations = profile_n_locations(c->profile);
	int r;

	r = symbolizer_new(inlines, &symbolizer);
	if (r < 0)
		return err_trace(r);
	flags = calloc(n_mappings + 1, sizeof(*flags));
	if (!flags || (n_locations && !consumer_place(c, n_locations)))
		return err_trace(-ENOMEM);
	for (uint32_t id = 1; id <= n_locations; id++) {
		r = symbolize_one(c, symbolizer, id, flags);
		if (r < 0)
			return err_trace(r);
	}
	for (uint32_t id = 1; id <= n_mappings; id++) {
		struct profile_mapping *mapping = profile_mapping(c->profile, id);

		if (!flags[id].used)
			continue;
		mapping->has_functions = !flags[id].no_functions;
		mapping->has_filenames = !flags[id].no_filenames;
		mapping->has_line_numbers = !flags[id].no_line_numbers;
		mapping->has_inline_frames = inlines && !flags[id].no_line_numbers;
	}
	if (c->gaps.n)
		qsort(c->gaps.items, c->gaps.n, sizeof(*c->gaps.items), worst_first);
	return 0;
}

void consumer_stats(struct consumer *c, struct session_stats *stats)
{
	memcpy(stats->traces, c->traces, sizeof(c->traces));
	for (size_t i = 0; i < c->images.n; i++) {
		const struct unwind_stats *of = unwinder_stats(c->images.items[i]->unwinder);

		stats->unwind.frames += of->frames;
		stats->unwind.fp_frames += of->fp_frames;
		stats->unwind.rules += of->rules;
		stats->unwind.slow_steps += of->slow_steps;
	}
	stats->locations = profile_n_locations(c->profile);
	stats->unnamed = c->unnamed;
	for (stats->n_gaps = 0; stats->n_gaps < c->gaps.n; stats->n_gaps++) {
		if (!c->gaps.items[stats->n_gaps].unnamed)
			break;
	}
	stats->gaps = c->gaps.items;
}
