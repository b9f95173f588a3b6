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
	bool same = a->n_sample_types == b->n_sample_types &&
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

int profile_append(struct profile *to, const struct profile *from)
{
	_cleanup_(profile_carry_deinit) struct profile_carry carry = {
		.from = from, .to = to, .merge = true};
	int r;

	if (!has_same_types(&to->spec, &from->spec))
		return err_trace(-EINVAL);
	r = profile_carry_init(&carry);
	if (r >= 0 && from->mappings.n)
		r = profile_carry_mapping(&carry, 1);
	if (r >= 0)
		r = append_samples(&carry);
	return err_trace(r < 0 ? r : append_comments(to, from));
}
