/* SPDX-License-Identifier: Apache-2.0 */
/* A part of a profile as a profile of its own: some of its sample types, some of its labels. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "profile/profile_carry.h"

DEFINE_CLEANUP(struct profile *, profile_free)

struct projection {
	struct profile_carry carry;
	const struct profile_part *part;
	const struct profile_values *minus; /* by sample of `from`; NULL: nothing */
};

static void projection_deinit(struct projection *p)
{
	profile_carry_deinit(&p->carry);
}

/* The values of a sample in the new profile; false when all are zero. */
static bool take_values(const struct projection *p, size_t index,
			int64_t values[static PROFILE_MAX_TYPES])
{
	const struct profile_sample *sample = &p->carry.from->samples.items[index];
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

	for (size_t i = 0; i < p->carry.from->samples.n; i++) {
		const struct profile_sample *sample = &p->carry.from->samples.items[i];

		if (sample->stack && take_values(p, i, ignored))
			p->carry.stacks[sample->stack] = PROFILE_CARRY_NEEDED;
	}
	return profile_carry_stacks(&p->carry);
}

static int copy_samples(struct projection *p)
{
	struct profile_carry *carry = &p->carry;
	int r = 0;

	for (size_t i = 0; i < carry->from->samples.n && r >= 0; i++) {
		const struct profile_sample *sample = &carry->from->samples.items[i];
		int64_t values[PROFILE_MAX_TYPES];

		if (!take_values(p, i, values))
			continue;
		r = profile_carry_labels(carry, sample->labels);
		if (r >= 0)
			r = profile_sample_add(carry->to, carry->stacks[sample->stack],
					       carry->label_sets[sample->labels], values);
	}
	return err_trace(r);
}

static int copy_comments(const struct profile *from, struct profile *to)
{
	int r = 0;

	for (size_t i = 0; i < from->comments.n && r >= 0; i++)
		r = profile_comment_add(to, profile_get_string(from, from->comments.items[i]));
	return err_trace(r);
}

int profile_project_rest(const struct profile *from, const struct profile_part *part,
			 const struct profile_values *minus, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *to = NULL;
	_cleanup_(projection_deinit) struct projection p = {.part = part, .minus = minus};
	int r;

	for (uint32_t i = 0; i < part->spec.n_sample_types && i < PROFILE_MAX_TYPES; i++) {
		if (part->columns[i] >= from->spec.n_sample_types)
			return err_trace(-EINVAL);
	}
	r = profile_new(&part->spec, &to);
	if (r < 0)
		return err_trace(r);
	p.carry = (struct profile_carry){.from = from, .to = to, .label_keys = part->label_keys};
	r = profile_carry_init(&p.carry);
	/* The program is the first, whether it was met or not. */
	if (r >= 0 && from->mappings.n)
		r = profile_carry_mapping(&p.carry, 1);
	if (r >= 0)
		r = copy_stacks(&p);
	if (r >= 0)
		r = copy_samples(&p);
	if (r >= 0)
		r = copy_comments(from, to);
	if (r < 0)
		return err_trace(r);
	profile_set_time(to, from->time_nanos, from->duration_nanos);
	*ret_profile = take_ptr(to);
	return 0;
}

int profile_project(const struct profile *from, const struct profile_part *part,
		    struct profile **ret_profile)
{
	return profile_project_rest(from, part, NULL, ret_profile);
}
