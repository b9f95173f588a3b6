/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles of several processes as one.
 *
 * Addresses of different processes mean different things. They mean the same in a mapping of the
 * same bytes of the same file, which the build id tells: such mappings are shared, and addresses
 * are moved to where the first profile has it. All else stays apart.
 */
#include "profile/profile_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define NOT_YET UINT32_MAX /* in the table of label sets, where 0 is an id */

struct addition {
	struct profile *to;
	const struct profile *from;
	const struct profile_word *words;
	uint32_t n_words, n_before; /* mappings that `to` had */
	/* New ids, by id in `from`. */
	uint32_t *mappings, *functions, *locations, *stacks, *label_sets;
	bool *used, *was_used; /* mappings that have addresses, by id in `from` and in `to` */
};

static void addition_deinit(struct addition *a)
{
	free(a->mappings);
	free(a->functions);
	free(a->locations);
	free(a->stacks);
	free(a->label_sets);
	free(a->used);
	free(a->was_used);
}

static bool *find_used(const struct profile *profile)
{
	bool *used = calloc(profile->mappings.n + 1, sizeof(*used));

	for (size_t i = 0; used && i < profile->locations.n; i++)
		used[profile->locations.items[i].mapping] |=
			profile->locations.items[i].address != 0;
	return used;
}

static int make_tables(struct addition *a)
{
	a->n_before = profile_n_mappings(a->to);
	a->mappings = calloc(a->from->mappings.n + 1, sizeof(*a->mappings));
	a->functions = calloc(a->from->functions.n + 1, sizeof(*a->functions));
	a->locations = calloc(a->from->locations.n + 1, sizeof(*a->locations));
	a->stacks = calloc(a->from->stacks.n + 1, sizeof(*a->stacks));
	a->label_sets = malloc((a->from->label_sets.n + 1) * sizeof(*a->label_sets));
	a->used = find_used(a->from);
	a->was_used = find_used(a->to);
	if (!a->mappings || !a->functions || !a->locations || !a->stacks || !a->label_sets ||
	    !a->used || !a->was_used)
		return err_trace(-ENOMEM);
	memset(a->label_sets, 0xff, (a->from->label_sets.n + 1) * sizeof(*a->label_sets));
	return 0;
}

static int copy_string(struct addition *a, uint32_t id, uint32_t *ret_id)
{
	return profile_string(a->to, profile_get_string(a->from, id), ret_id);
}

static uint32_t find_same(const struct addition *a, const struct profile_mapping *mapping)
{
	for (uint32_t id = 1; mapping->build_id && id <= a->n_before; id++) {
		const struct profile_mapping *other = profile_mapping(a->to, id);

		if (other->build_id == mapping->build_id && other->file == mapping->file &&
		    other->offset == mapping->offset &&
		    other->limit - other->start == mapping->limit - mapping->start)
			return id;
	}
	return 0;
}

/* A mapping claims what holds for all addresses in it. */
static void share_claims(struct addition *a, const struct profile_mapping *mapping, uint32_t id,
			 uint32_t old_id)
{
	struct profile_mapping *to = profile_mapping(a->to, id);
	bool mine = a->was_used[id];

	if (!a->used[old_id])
		return;
	to->has_functions = mapping->has_functions && (to->has_functions || !mine);
	to->has_filenames = mapping->has_filenames && (to->has_filenames || !mine);
	to->has_line_numbers = mapping->has_line_numbers && (to->has_line_numbers || !mine);
	to->has_inline_frames = mapping->has_inline_frames && (to->has_inline_frames || !mine);
}

static int copy_mapping(struct addition *a, uint32_t id)
{
	struct profile_mapping mapping = *profile_mapping(a->from, id);
	int r = copy_string(a, mapping.file, &mapping.file);

	if (r >= 0)
		r = copy_string(a, mapping.build_id, &mapping.build_id);
	if (r < 0)
		return err_trace(r);
	a->mappings[id] = find_same(a, &mapping);
	if (!a->mappings[id])
		return profile_mapping_add(a->to, &mapping, &a->mappings[id]);
	share_claims(a, &mapping, a->mappings[id], id);
	return 0;
}

static int copy_function(struct addition *a, uint32_t id)
{
	struct profile_function function = *profile_function(a->from, id);
	int r = copy_string(a, function.name, &function.name);

	if (r >= 0)
		r = copy_string(a, function.system_name, &function.system_name);
	if (r >= 0)
		r = copy_string(a, function.file, &function.file);
	if (r >= 0)
		r = profile_function_intern(a->to, &function, &a->functions[id]);
	return err_trace(r);
}

/* A name in brackets is one of its mapping. */
static bool is_named(const struct profile *profile, const struct profile_location *location)
{
	const struct profile_line *line = profile_location_lines(profile, location);

	return !location->address && location->n_lines == 1 && !line->line &&
	       !profile_function(profile, line->function)->file;
}

static int copy_location(struct addition *a, uint32_t id)
{
	const struct profile_location *from = profile_location(a->from, id);
	const struct profile_line *lines = profile_location_lines(a->from, from);
	_cleanup_free_ struct profile_line *copy = calloc(from->n_lines + 1, sizeof(*copy));
	uint32_t mapping = a->mappings[from->mapping], *ret = &a->locations[id];
	uint64_t address = from->address;
	int r;

	if (!copy)
		return err_trace(-ENOMEM);
	for (uint32_t i = 0; i < from->n_lines; i++) {
		copy[i] = lines[i];
		copy[i].function = a->functions[lines[i].function];
	}
	if (is_named(a->from, from)) {
		const struct profile_function *function =
			profile_function(a->from, lines->function);

		return profile_location_named(a->to, mapping,
					      profile_get_string(a->from, function->name), ret);
	}
	if (!mapping || !address)
		return profile_location_add(a->to, mapping, address, copy, from->n_lines, ret);
	address += profile_mapping(a->to, mapping)->start -
		   profile_mapping(a->from, from->mapping)->start;
	r = profile_location_intern(a->to, mapping, address, ret);
	if (r >= 0 && from->n_lines && !profile_location(a->to, *ret)->n_lines)
		r = profile_location_set_lines(a->to, *ret, copy, from->n_lines);
	return err_trace(r);
}

static int copy_labels(struct addition *a, uint32_t id)
{
	struct profile_label labels[PROFILE_MAX_LABELS];
	uint32_t n;
	const struct profile_label *from = profile_labels(a->from, id, &n);
	int r = 0;

	if (a->label_sets[id] != NOT_YET)
		return 0;
	/* Of two with one key the first counts. */
	n = MIN(n, PROFILE_MAX_LABELS - a->n_words);
	for (uint32_t i = 0; i < n && r >= 0; i++) {
		labels[i] = from[i];
		r = copy_string(a, from[i].key, &labels[i].key);
		r = r < 0 ? r : copy_string(a, from[i].text, &labels[i].text);
		r = r < 0 ? r : copy_string(a, from[i].unit, &labels[i].unit);
	}
	for (uint32_t i = 0; i < a->n_words && r >= 0; i++) {
		labels[n + i] = (struct profile_label){};
		r = profile_string(a->to, a->words[i].key, &labels[n + i].key);
		r = r < 0 ? r : profile_string(a->to, a->words[i].text, &labels[n + i].text);
	}
	if (r >= 0)
		r = profile_labels_intern(a->to, labels, n + a->n_words, &a->label_sets[id]);
	return err_trace(r);
}

static int copy_samples(struct addition *a)
{
	int r = 0;

	for (uint32_t i = 0; i < profile_n_samples(a->from) && r >= 0; i++) {
		const struct profile_sample *sample = profile_sample(a->from, i);

		r = copy_labels(a, sample->labels);
		if (r >= 0)
			r = profile_sample_add(a->to, a->stacks[sample->stack],
					       a->label_sets[sample->labels], sample->values);
	}
	return r;
}

static int copy_comments(struct addition *a)
{
	int r = 0;

	for (uint32_t i = 0; i < profile_n_comments(a->from) && r >= 0; i++) {
		const char *text = profile_get_string(a->from, profile_comment(a->from, i));
		bool is_there = false;

		for (uint32_t k = 0; k < profile_n_comments(a->to); k++)
			is_there |= strcmp(profile_get_string(a->to, profile_comment(a->to, k)),
					   text) == 0;
		if (!is_there)
			r = profile_comment_add(a->to, text);
	}
	return r;
}

/* From the first beginning to the last end. */
static void unite_times(struct profile *to, const struct profile *from)
{
	int64_t start = from->time_nanos, end = start + from->duration_nanos;

	if (to->time_nanos) {
		start = MIN(start, to->time_nanos);
		end = MAX(end, to->time_nanos + to->duration_nanos);
	}
	profile_set_time(to, start, end - start);
}

static bool same_type(struct profile_value_type a, struct profile_value_type b)
{
	return strcmp(a.type, b.type) == 0 && strcmp(a.unit, b.unit) == 0;
}

static bool same_spec(const struct profile_spec *a, const struct profile_spec *b)
{
	bool same = a->n_sample_types == b->n_sample_types && a->period == b->period &&
		    same_type(a->period_type, b->period_type);

	for (uint32_t i = 0; same && i < a->n_sample_types; i++)
		same = same_type(a->sample_types[i], b->sample_types[i]);
	return same;
}

int profile_unite(struct profile *to, const struct profile *from, const struct profile_word *words,
		  uint32_t n_words)
{
	_cleanup_(addition_deinit) struct addition a = {
		.to = to, .from = from, .words = words, .n_words = n_words};
	int r;

	if (n_words > PROFILE_MAX_LABELS || !same_spec(&to->spec, &from->spec))
		return err_trace(-EINVAL);
	r = make_tables(&a);
	for (uint32_t id = 1; r >= 0 && id <= profile_n_mappings(from); id++)
		r = copy_mapping(&a, id);
	for (uint32_t id = 1; r >= 0 && id <= profile_n_functions(from); id++)
		r = copy_function(&a, id);
	for (uint32_t id = 1; r >= 0 && id <= profile_n_locations(from); id++)
		r = copy_location(&a, id);
	/* Callers have smaller ids. */
	for (uint32_t id = 1; r >= 0 && id <= from->stacks.n; id++)
		r = profile_stack_intern(to, a.stacks[profile_stack_callers(from, id)],
					 a.locations[profile_stack_leaf(from, id)], &a.stacks[id]);
	if (r >= 0)
		r = copy_samples(&a);
	if (r >= 0)
		r = copy_comments(&a);
	if (r < 0)
		return err_trace(r);
	unite_times(to, from);
	return 0;
}
