/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A skipped frame may be an inlined call, which is one of several lines of a location: a location
 * without its first lines is another one then. So frames are left out when names are known.
 */
#include "session/custom_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map64.h"

DEFINE_CLEANUP(struct profile *, profile_free)

/* From one profile to another that has the same locations. */
struct skipping {
	const struct profile *from;
	struct profile *to;
	struct map64 cut; /* location and lines it is without → location */
};

static int copy_stack(struct skipping *s, uint32_t stack, uint32_t *ret_stack)
{
	VEC(uint32_t) frames = {};
	uint32_t *slot, to = 0;
	int r = 0;

	for (; stack && r >= 0; stack = profile_stack_callers(s->from, stack)) {
		slot = vec_push(&frames);
		if (slot)
			*slot = profile_stack_leaf(s->from, stack);
		else
			r = -ENOMEM;
	}
	for (size_t i = frames.n; i-- > 0 && r >= 0;)
		r = profile_stack_intern(s->to, to, frames.items[i], &to);
	vec_deinit(&frames);
	*ret_stack = to;
	return err_trace(r);
}

/* A location without its `n` innermost lines. */
static int cut_location(struct skipping *s, uint32_t id, uint32_t n, uint32_t *ret_id)
{
	struct profile_location location = *profile_location(s->from, id);
	const struct profile_line *lines = profile_location_lines(s->from, &location);
	uint64_t *known;
	uint32_t made;
	int r = map64_put(&s->cut, (uint64_t)id << 32 | n, &known);

	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		r = profile_location_add(s->to, location.mapping, location.address, lines + n,
					 location.n_lines - n, &made);
		if (r < 0)
			return err_trace(r);
		*known = made;
	}
	*ret_id = (uint32_t)*known;
	return 0;
}

static int skip_frames(struct skipping *s, uint32_t stack, uint64_t skip, uint32_t *ret_stack)
{
	uint32_t n_lines = 0, to, leaf;
	int r;

	/* The root stays, so that there is a stack. */
	for (; profile_stack_callers(s->from, stack); skip -= n_lines) {
		n_lines = profile_location(s->from, profile_stack_leaf(s->from, stack))->n_lines;
		n_lines = MAX(n_lines, 1U);
		if (skip < n_lines)
			break;
		stack = profile_stack_callers(s->from, stack);
	}
	leaf = profile_stack_leaf(s->from, stack);
	n_lines = profile_location(s->from, leaf)->n_lines;
	if (skip == 0 || n_lines < 2)
		return copy_stack(s, stack, ret_stack);
	r = copy_stack(s, profile_stack_callers(s->from, stack), &to);
	if (r >= 0)
		r = cut_location(s, leaf, (uint32_t)MIN(skip, n_lines - 1ULL), &leaf);
	return r < 0 ? err_trace(r) : profile_stack_intern(s->to, to, leaf, ret_stack);
}

/* How many frames a sample is to be without. */
static uint64_t skip_of(const struct profile *profile, const struct profile_sample *sample)
{
	uint32_t n;
	const struct profile_label *labels = profile_labels(profile, sample->labels, &n);

	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(profile_get_string(profile, labels[i].key), CUSTOM_SKIP) == 0)
			return (uint64_t)labels[i].number;
	}
	return 0;
}

static int skip_all(struct skipping *s)
{
	int r = 0;

	for (uint32_t i = 0; i < profile_n_samples(s->from) && r >= 0; i++) {
		const struct profile_sample *sample = profile_sample(s->from, i);
		uint32_t stack;

		r = skip_frames(s, sample->stack, skip_of(s->from, sample), &stack);
		if (r >= 0)
			r = profile_sample_add(s->to, stack, 0, sample->values);
	}
	for (uint32_t i = 0; i < profile_n_comments(s->from) && r >= 0; i++)
		r = profile_comment_add(s->to,
					profile_get_string(s->from, profile_comment(s->from, i)));
	profile_set_time(s->to, profile_time(s->from), profile_duration(s->from));
	return err_trace(r);
}

static int project(const struct custom *custom, const struct profile *from,
		   struct profile **ret_profile)
{
	_cleanup_free_ char *space = NULL;
	struct profile_part part = {
		.spec = {.sample_types = {{custom->name, "count"}},
			 .n_sample_types = 1,
			 .period_type = {custom->name, "count"},
			 .period = 1,
			 .default_sample_type = custom->name},
		.columns = {0, 1},
	};

	if (custom->has_size) {
		if (asprintf(&space, "%s_space", custom->name) < 0) {
			space = NULL;
			return err_trace(-ENOMEM);
		}
		part.spec.sample_types[1] = (struct profile_value_type){space, "bytes"};
		part.spec.n_sample_types = 2;
		part.spec.default_sample_type = space;
	}
	return profile_project(from, &part, ret_profile);
}

int custom_profile_shape(const struct custom *custom, const struct profile *from,
			 struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *to = NULL;
	struct skipping s = {.from = from};
	int r = profile_renew(from, &to);

	if (r >= 0) {
		s.to = to;
		r = skip_all(&s);
	}
	map64_deinit(&s.cut);
	return r < 0 ? err_trace(r) : project(custom, to, ret_profile);
}
