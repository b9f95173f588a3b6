/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks and samples.
 *
 * A stack is a leaf on top of another stack, so stacks that share their callers share memory, and
 * a stack is found with one look-up per frame.
 */
#include "profile/profile_priv.h"

#include <errno.h>

#include "base/err.h"

int profile_stack_intern(struct profile *profile, uint32_t callers, uint32_t leaf, uint32_t *ret_id)
{
	uint64_t *id;
	int r;

	if (callers > profile->stacks.n || leaf == 0 || leaf > profile->locations.n)
		return err_trace(-EINVAL);
	if (profile->stacks.n >= UINT32_MAX - 1)
		return err_trace(-ENOMEM);
	r = vec_reserve(&profile->stacks, profile->stacks.n + 1);
	if (r < 0)
		return err_trace(r);
	r = map64_put(&profile->stack_ids, profile_pair_key(callers, leaf), &id);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		*vec_push(&profile->stacks) = (struct profile_stack){callers, leaf};
		*id = profile->stacks.n;
	}
	*ret_id = (uint32_t)*id;
	return 0;
}

uint32_t profile_stack_leaf(const struct profile *profile, uint32_t stack)
{
	return profile->stacks.items[stack - 1].leaf;
}

uint32_t profile_n_stacks(const struct profile *profile)
{
	return (uint32_t)profile->stacks.n;
}

uint32_t profile_stack_callers(const struct profile *profile, uint32_t stack)
{
	return profile->stacks.items[stack - 1].callers;
}

int profile_sample_add(struct profile *profile, uint32_t stack, uint32_t labels,
		       const int64_t *values)
{
	struct profile_sample *sample;
	uint64_t *index;
	int r;

	if (stack > profile->stacks.n || labels > profile->label_sets.n)
		return err_trace(-EINVAL);
	if (profile->samples.n >= UINT32_MAX - 1)
		return err_trace(-ENOMEM);
	r = vec_reserve(&profile->samples, profile->samples.n + 1);
	if (r < 0)
		return err_trace(r);
	r = map64_put(&profile->sample_ids, profile_pair_key(labels, stack), &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		*index = profile->samples.n;
		*vec_push(&profile->samples) = (struct profile_sample){
			.stack = stack,
			.labels = labels,
		};
	}
	sample = &profile->samples.items[*index];
	for (uint32_t i = 0; i < profile->spec.n_sample_types; i++)
		sample->values[i] = profile_value_add(sample->values[i], values[i]);
	return 0;
}

const struct profile_sample *profile_sample(const struct profile *profile, uint32_t index)
{
	return &profile->samples.items[index];
}

uint32_t profile_n_samples(const struct profile *profile)
{
	return (uint32_t)profile->samples.n;
}

int64_t profile_total(const struct profile *profile, uint32_t type)
{
	int64_t total = 0;

	for (size_t i = 0; i < profile->samples.n; i++)
		total = profile_value_add(total, profile->samples.items[i].values[type]);
	return total;
}
