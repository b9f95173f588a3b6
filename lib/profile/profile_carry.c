/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one profile into another: the tables of new ids, by old id, hold 0 for what is not carried
 * over (yet). Callers of a stack have smaller ids than the stack, so one pass down the ids finds
 * the stacks that are needed, and one pass up carries each behind its callers.
 */
#include "profile/profile_carry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define NOT_YET UINT32_MAX /* in the table of label sets, where 0 is an id */

void profile_carry_deinit(struct profile_carry *c)
{
	free(c->mappings);
	free(c->functions);
	free(c->locations);
	free(c->stacks);
	free(c->label_sets);
	free(c->used);
}

int profile_carry_init(struct profile_carry *c)
{
	const struct profile *from = c->from, *to = c->to;

	c->mappings = calloc(from->mappings.n + 1, sizeof(*c->mappings));
	c->functions = calloc(from->functions.n + 1, sizeof(*c->functions));
	c->locations = calloc(from->locations.n + 1, sizeof(*c->locations));
	c->stacks = calloc(from->stacks.n + 1, sizeof(*c->stacks));
	c->label_sets = malloc((from->label_sets.n + 1) * sizeof(*c->label_sets));
	c->used = calloc(from->mappings.n + to->mappings.n + 1, sizeof(*c->used));
	if (!c->mappings || !c->functions || !c->locations || !c->stacks || !c->label_sets ||
	    !c->used)
		return err_trace(-ENOMEM);
	memset(c->label_sets, 0xff, (from->label_sets.n + 1) * sizeof(*c->label_sets));
	for (size_t i = 0; i < to->locations.n; i++)
		c->used[to->locations.items[i].mapping] = true;
	return 0;
}

static int carry_string(struct profile_carry *c, uint32_t id, uint32_t *ret_id)
{
	return profile_string(c->to, profile_get_string(c->from, id), ret_id);
}

bool profile_same_mapping(const struct profile *one, const struct profile_mapping *a,
			  const struct profile *other, const struct profile_mapping *b)
{
	return a->start == b->start && a->limit == b->limit && a->offset == b->offset &&
	       strcmp(profile_get_string(one, a->file), profile_get_string(other, b->file)) == 0;
}

/* Of the same file, whatever it is mapped at. */
static bool is_same_piece(const struct profile_carry *c, const struct profile_mapping *a,
			  const struct profile_mapping *b)
{
	const char *build_id = profile_get_string(c->from, a->build_id);

	return *build_id && strcmp(build_id, profile_get_string(c->to, b->build_id)) == 0 &&
	       a->offset == b->offset && a->limit - a->start == b->limit - b->start &&
	       strcmp(profile_get_string(c->from, a->file), profile_get_string(c->to, b->file)) ==
		       0;
}

/* 0: there is none. */
static uint32_t find_mapping(const struct profile_carry *c, const struct profile_mapping *mapping)
{
	for (uint32_t id = 1; c->merge && id <= c->to->mappings.n; id++) {
		const struct profile_mapping *other = profile_mapping(c->to, id);

		if (c->elsewhere ? is_same_piece(c, mapping, other)
				 : profile_same_mapping(c->from, mapping, c->to, other))
			return id;
	}
	return 0;
}

int profile_carry_mapping(struct profile_carry *c, uint32_t id)
{
	struct profile_mapping mapping;
	int r;

	if (id == 0 || c->mappings[id])
		return 0;
	mapping = *profile_mapping(c->from, id);
	c->mappings[id] = find_mapping(c, &mapping);
	if (c->mappings[id])
		return 0;
	r = carry_string(c, mapping.file, &mapping.file);
	if (r >= 0)
		r = carry_string(c, mapping.build_id, &mapping.build_id);
	if (r >= 0)
		r = profile_mapping_add(c->to, &mapping, &c->mappings[id]);
	return err_trace(r);
}

/* A mapping that both use claims what both claim; one that nobody used so far, nothing yet. */
static void carry_claims(struct profile_carry *c, uint32_t id)
{
	const struct profile_mapping *from = profile_mapping(c->from, id);
	struct profile_mapping *to = profile_mapping(c->to, c->mappings[id]);
	bool *used = &c->used[c->mappings[id]];

	to->has_functions = from->has_functions && (to->has_functions || !*used);
	to->has_filenames = from->has_filenames && (to->has_filenames || !*used);
	to->has_line_numbers = from->has_line_numbers && (to->has_line_numbers || !*used);
	to->has_inline_frames = from->has_inline_frames && (to->has_inline_frames || !*used);
	*used = true;
}

static int carry_function(struct profile_carry *c, uint32_t id)
{
	struct profile_function function;
	int r;

	if (c->functions[id])
		return 0;
	function = *profile_function(c->from, id);
	r = carry_string(c, function.name, &function.name);
	if (r >= 0)
		r = carry_string(c, function.system_name, &function.system_name);
	if (r >= 0)
		r = carry_string(c, function.file, &function.file);
	if (r >= 0)
		r = profile_function_intern(c->to, &function, &c->functions[id]);
	return err_trace(r);
}

/* The location with that address, or that name, which may be there. */
static int merge_location(struct profile_carry *c, const struct profile_location *location,
			  const struct profile_line *lines, uint32_t *ret_id)
{
	uint32_t mapping = c->mappings[location->mapping], name;
	uint64_t address = location->address;
	int r;

	if (!location->address && location->n_lines) {
		name = profile_function(c->to, lines[0].function)->name;
		return profile_location_named(c->to, mapping, profile_get_string(c->to, name),
					      ret_id);
	}
	if (mapping)
		address += profile_mapping(c->to, mapping)->start -
			   profile_mapping(c->from, location->mapping)->start;
	r = profile_location_intern(c->to, mapping, address, ret_id);
	if (r < 0 || profile_location(c->to, *ret_id)->n_lines)
		return err_trace(r);
	return profile_location_set_lines(c->to, *ret_id, lines, location->n_lines);
}

static int carry_location(struct profile_carry *c, uint32_t id)
{
	const struct profile_location *location = profile_location(c->from, id);
	const struct profile_line *lines = profile_location_lines(c->from, location);
	_cleanup_free_ struct profile_line *copy = NULL;
	int r;

	if (c->locations[id])
		return 0;
	copy = calloc(location->n_lines + 1, sizeof(*copy));
	r = copy ? profile_carry_mapping(c, location->mapping) : -ENOMEM;
	for (uint32_t i = 0; i < location->n_lines && r >= 0; i++) {
		r = carry_function(c, lines[i].function);
		copy[i] = lines[i];
		copy[i].function = c->functions[lines[i].function];
	}
	if (r < 0)
		return err_trace(r);
	if (c->merge && location->mapping)
		carry_claims(c, location->mapping);
	if (c->merge)
		return merge_location(c, location, copy, &c->locations[id]);
	return profile_location_add(c->to, c->mappings[location->mapping], location->address, copy,
				    location->n_lines, &c->locations[id]);
}

int profile_carry_stacks(struct profile_carry *c)
{
	int r = 0;

	for (size_t id = c->from->stacks.n; id > 0; id--) {
		if (c->stacks[id])
			c->stacks[c->from->stacks.items[id - 1].callers] = PROFILE_CARRY_NEEDED;
	}
	c->stacks[0] = 0;
	for (uint32_t id = 1; id <= c->from->stacks.n && r >= 0; id++) {
		const struct profile_stack *stack = &c->from->stacks.items[id - 1];

		if (!c->stacks[id])
			continue;
		r = carry_location(c, stack->leaf);
		if (r >= 0)
			r = profile_stack_intern(c->to, c->stacks[stack->callers],
						 c->locations[stack->leaf], &c->stacks[id]);
	}
	return err_trace(r);
}

static bool keeps_key(const struct profile_carry *c, uint32_t key)
{
	const char *text = profile_get_string(c->from, key);

	for (const char *const *kept = c->label_keys; kept && *kept; kept++) {
		if (strcmp(*kept, text) == 0)
			return true;
	}
	return !c->label_keys;
}

int profile_carry_labels(struct profile_carry *c, uint32_t id)
{
	uint32_t n, n_kept = 0;
	const struct profile_label *labels = profile_labels(c->from, id, &n);
	struct profile_label kept[PROFILE_MAX_LABELS];
	int r = 0;

	if (c->label_sets[id] != NOT_YET)
		return 0;
	/* Of two with one key the first counts. */
	for (uint32_t i = 0; i < MIN(n, PROFILE_MAX_LABELS - c->n_words) && r >= 0; i++) {
		struct profile_label *label = &kept[n_kept];

		if (!keeps_key(c, labels[i].key))
			continue;
		*label = labels[i];
		r = carry_string(c, label->key, &label->key);
		if (r >= 0)
			r = carry_string(c, label->text, &label->text);
		if (r >= 0)
			r = carry_string(c, label->unit, &label->unit);
		n_kept++;
	}
	for (uint32_t i = 0; i < c->n_words && r >= 0; i++) {
		struct profile_label *label = &kept[n_kept++];

		*label = (struct profile_label){};
		r = profile_string(c->to, c->words[i].key, &label->key);
		r = r < 0 ? r : profile_string(c->to, c->words[i].text, &label->text);
	}
	if (r >= 0)
		r = profile_labels_intern(c->to, kept, n_kept, &c->label_sets[id]);
	return err_trace(r);
}
