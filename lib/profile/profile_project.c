/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A part of a profile as a profile of its own: some of its sample types, some of its labels.
 *
 * Tables of new ids, by old id, hold 0 for what is not copied (yet). Callers of a stack have
 * smaller ids than the stack, so one pass down the ids finds the stacks that are needed, and one
 * pass up copies each behind its callers.
 */
#include "profile/profile_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define NEEDED 1           /* in the table of stacks, before they are copied */
#define NOT_YET UINT32_MAX /* in the table of label sets, where 0 is an id */

struct projection {
	const struct profile *from;
	struct profile *to;
	const struct profile_part *part;
	const struct profile_values *minus; /* by sample of `from`; NULL: nothing */
	uint32_t *mappings, *functions, *locations, *stacks, *label_sets;
};

static void projection_deinit(struct projection *p)
{
	profile_free(p->to);
	free(p->mappings);
	free(p->functions);
	free(p->locations);
	free(p->stacks);
	free(p->label_sets);
}

static int copy_string(struct projection *p, uint32_t id, uint32_t *ret_id)
{
	return profile_string(p->to, profile_get_string(p->from, id), ret_id);
}

static int copy_mapping(struct projection *p, uint32_t id)
{
	struct profile_mapping mapping;
	int r;

	if (id == 0 || p->mappings[id])
		return 0;
	mapping = *profile_mapping(p->from, id);
	r = copy_string(p, mapping.file, &mapping.file);
	if (r >= 0)
		r = copy_string(p, mapping.build_id, &mapping.build_id);
	if (r >= 0)
		r = profile_mapping_add(p->to, &mapping, &p->mappings[id]);
	return err_trace(r);
}

static int copy_function(struct projection *p, uint32_t id)
{
	struct profile_function function;
	int r;

	if (p->functions[id])
		return 0;
	function = *profile_function(p->from, id);
	r = copy_string(p, function.name, &function.name);
	if (r >= 0)
		r = copy_string(p, function.system_name, &function.system_name);
	if (r >= 0)
		r = copy_string(p, function.file, &function.file);
	if (r >= 0)
		r = profile_function_intern(p->to, &function, &p->functions[id]);
	return err_trace(r);
}

static int copy_location(struct projection *p, uint32_t id)
{
	const struct profile_location *location = profile_location(p->from, id);
	const struct profile_line *lines = profile_location_lines(p->from, location);
	_cleanup_free_ struct profile_line *copy = NULL;
	int r;

	if (p->locations[id])
		return 0;
	copy = calloc(location->n_lines + 1, sizeof(*copy));
	r = copy ? copy_mapping(p, location->mapping) : -ENOMEM;
	for (uint32_t i = 0; i < location->n_lines && r >= 0; i++) {
		r = copy_function(p, lines[i].function);
		copy[i] = lines[i];
		copy[i].function = p->functions[lines[i].function];
	}
	if (r >= 0)
		r = profile_location_add(p->to, p->mappings[location->mapping], location->address,
					 copy, location->n_lines, &p->locations[id]);
	return err_trace(r);
}

/* The values of a sample in the new profile; false when all are zero. */
static bool take_values(const struct projection *p, size_t index,
			int64_t values[static PROFILE_MAX_TYPES])
{
	const struct profile_sample *sample = &p->from->samples.items[index];
	bool any = false;

	for (uint32_t i = 0; i < p->part->spec.n_sample_types; i++) {
		uint32_t column = p->part->columns[i];

		values[i] = sample->values[column];
		if (p->minus)
			values[i] -= p->minus[index].values[column];
		any |= values[i] != 0;
	}
	return any;
}

static int copy_stacks(struct projection *p)
{
	int64_t ignored[PROFILE_MAX_TYPES];
	int r = 0;

	for (size_t i = 0; i < p->from->samples.n; i++) {
		const struct profile_sample *sample = &p->from->samples.items[i];

		if (sample->stack && take_values(p, i, ignored))
			p->stacks[sample->stack] = NEEDED;
	}
	for (size_t id = p->from->stacks.n; id > 0; id--) {
		if (p->stacks[id])
			p->stacks[p->from->stacks.items[id - 1].callers] = NEEDED;
	}
	p->stacks[0] = 0;
	for (uint32_t id = 1; id <= p->from->stacks.n && r >= 0; id++) {
		const struct profile_stack *stack = &p->from->stacks.items[id - 1];

		if (!p->stacks[id])
			continue;
		r = copy_location(p, stack->leaf);
		if (r >= 0)
			r = profile_stack_intern(p->to, p->stacks[stack->callers],
						 p->locations[stack->leaf], &p->stacks[id]);
	}
	return err_trace(r);
}

static bool keeps_key(const struct projection *p, uint32_t key)
{
	const char *text = profile_get_string(p->from, key);

	for (const char *const *kept = p->part->label_keys; kept && *kept; kept++) {
		if (strcmp(*kept, text) == 0)
			return true;
	}
	return !p->part->label_keys;
}

static int copy_labels(struct projection *p, uint32_t id)
{
	uint32_t n, n_kept = 0;
	const struct profile_label *labels = profile_labels(p->from, id, &n);
	struct profile_label kept[PROFILE_MAX_LABELS];
	int r = 0;

	if (p->label_sets[id] != NOT_YET)
		return 0;
	for (uint32_t i = 0; i < n && r >= 0; i++) {
		struct profile_label *label = &kept[n_kept];

		if (!keeps_key(p, labels[i].key))
			continue;
		*label = labels[i];
		r = copy_string(p, label->key, &label->key);
		if (r >= 0)
			r = copy_string(p, label->text, &label->text);
		if (r >= 0)
			r = copy_string(p, label->unit, &label->unit);
		n_kept++;
	}
	if (r >= 0)
		r = profile_labels_intern(p->to, kept, n_kept, &p->label_sets[id]);
	return err_trace(r);
}

static int copy_samples(struct projection *p)
{
	int r = 0;

	for (size_t i = 0; i < p->from->samples.n && r >= 0; i++) {
		const struct profile_sample *sample = &p->from->samples.items[i];
		int64_t values[PROFILE_MAX_TYPES];

		if (!take_values(p, i, values))
			continue;
		r = copy_labels(p, sample->labels);
		if (r >= 0)
			r = profile_sample_add(p->to, p->stacks[sample->stack],
					       p->label_sets[sample->labels], values);
	}
	return err_trace(r);
}

static int copy_comments(struct projection *p)
{
	int r = 0;

	for (size_t i = 0; i < p->from->comments.n && r >= 0; i++)
		r = profile_comment_add(p->to,
					profile_get_string(p->from, p->from->comments.items[i]));
	return err_trace(r);
}

static int make_tables(struct projection *p)
{
	p->mappings = calloc(p->from->mappings.n + 1, sizeof(*p->mappings));
	p->functions = calloc(p->from->functions.n + 1, sizeof(*p->functions));
	p->locations = calloc(p->from->locations.n + 1, sizeof(*p->locations));
	p->stacks = calloc(p->from->stacks.n + 1, sizeof(*p->stacks));
	p->label_sets = malloc((p->from->label_sets.n + 1) * sizeof(*p->label_sets));
	if (!p->mappings || !p->functions || !p->locations || !p->stacks || !p->label_sets)
		return err_trace(-ENOMEM);
	memset(p->label_sets, 0xff, (p->from->label_sets.n + 1) * sizeof(*p->label_sets));
	return 0;
}

int profile_project_rest(const struct profile *from, const struct profile_part *part,
			 const struct profile_values *minus, struct profile **ret_profile)
{
	_cleanup_(projection_deinit) struct projection p = {
		.from = from, .part = part, .minus = minus};
	int r;

	for (uint32_t i = 0; i < part->spec.n_sample_types && i < PROFILE_MAX_TYPES; i++) {
		if (part->columns[i] >= from->spec.n_sample_types)
			return err_trace(-EINVAL);
	}
	r = profile_new(&part->spec, &p.to);
	if (r >= 0)
		r = make_tables(&p);
	/* The program is the first, whether it was met or not. */
	if (r >= 0 && from->mappings.n)
		r = copy_mapping(&p, 1);
	if (r >= 0)
		r = copy_stacks(&p);
	if (r >= 0)
		r = copy_samples(&p);
	if (r >= 0)
		r = copy_comments(&p);
	if (r < 0)
		return err_trace(r);
	profile_set_time(p.to, from->time_nanos, from->duration_nanos);
	*ret_profile = take_ptr(p.to);
	return 0;
}

int profile_project(const struct profile *from, const struct profile_part *part,
		    struct profile **ret_profile)
{
	return profile_project_rest(from, part, NULL, ret_profile);
}
