/* SPDX-License-Identifier: Apache-2.0 */
/* One profile added to another. */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "profile/profile_carry.h"

static bool is_same_type(const struct profile_value_type *a, const struct profile_value_type *b)
{
	return strcmp(a->type, b->type) == 0 && strcmp(a->unit, b->unit) == 0;
}

static bool has_same_types(const struct profile_spec *a, const struct profile_spec *b)
{
	bool same = a->n_sample_types == b->n_sample_types && a->period == b->period &&
		    is_same_type(&a->period_type, &b->period_type);

	for (uint32_t i = 0; same && i < a->n_sample_types; i++)
		same = is_same_type(&a->sample_types[i], &b->sample_types[i]);
	return same;
}

static int append_samples(struct profile_carry *carry)
{
	const struct profile *from = carry->from;
	int r;

	for (size_t i = 0; i < from->samples.n; i++)
		carry->stacks[from->samples.items[i].stack] = PROFILE_CARRY_NEEDED;
	r = profile_carry_stacks(carry);
	for (size_t i = 0; i < from->samples.n && r >= 0; i++) {
		const struct profile_sample *sample = &from->samples.items[i];

		r = profile_carry_labels(carry, sample->labels);
		if (r >= 0)
			r = profile_sample_add(carry->to, carry->stacks[sample->stack],
					       carry->label_sets[sample->labels], sample->values);
	}
	return err_trace(r);
}

static bool has_comment(const struct profile *profile, uint32_t string)
{
	for (size_t i = 0; i < profile->comments.n; i++) {
		if (profile->comments.items[i] == string)
			return true;
	}
	return false;
}

static int append_comments(struct profile *to, const struct profile *from)
{
	int r = 0;

	for (size_t i = 0; i < from->comments.n && r >= 0; i++) {
		const char *text = profile_get_string(from, from->comments.items[i]);
		uint32_t id;

		r = profile_string(to, text, &id);
		if (r >= 0 && !has_comment(to, id))
			r = profile_comment_add(to, text);
	}
	return err_trace(r);
}

static int merge(struct profile_carry *carry)
{
	int r;

	if (!has_same_types(&carry->to->spec, &carry->from->spec))
		return err_trace(-EINVAL);
	r = profile_carry_init(carry);
	if (r >= 0 && carry->from->mappings.n)
		r = profile_carry_mapping(carry, 1);
	if (r >= 0)
		r = append_samples(carry);
	return err_trace(r < 0 ? r : append_comments(carry->to, carry->from));
}

int profile_append(struct profile *to, const struct profile *from)
{
	_cleanup_(profile_carry_deinit) struct profile_carry carry = {
		.from = from, .to = to, .merge = true};

	return merge(&carry);
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

int profile_unite(struct profile *to, const struct profile *from, const struct profile_word *words,
		  uint32_t n_words)
{
	_cleanup_(profile_carry_deinit) struct profile_carry carry = {.from = from,
								      .to = to,
								      .merge = true,
								      .elsewhere = true,
								      .words = words,
								      .n_words = n_words};
	int r;

	if (n_words > PROFILE_MAX_LABELS)
		return err_trace(-EINVAL);
	r = merge(&carry);
	if (r >= 0)
		unite_times(to, from);
	return r;
}
