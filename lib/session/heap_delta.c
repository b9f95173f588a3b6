/* SPDX-License-Identifier: Apache-2.0 */
#include "session/heap_delta.h"

#include "base/cleanup.h"
#include "base/err.h"

#define ALLOC_VALUES 2 /* the first ones; those in use follow */

DEFINE_CLEANUP(struct profile *, profile_free)

/* A copy in which nothing is in use. */
static int without_in_use(const struct profile *from, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	uint32_t n_values = profile_get_spec(from)->n_sample_types;
	int r = profile_clone(from, &profile);

	for (uint32_t i = 0; r >= 0 && i < profile_n_samples(from); i++) {
		const struct profile_sample *sample = profile_sample(from, i);
		int64_t values[PROFILE_MAX_TYPES] = {};

		for (uint32_t k = ALLOC_VALUES; k < n_values; k++)
			values[k] = -sample->values[k];
		r = profile_sample_add(profile, sample->stack, sample->labels, values);
	}
	if (r < 0)
		return err_trace(r);
	*ret_profile = take_ptr(profile);
	return 0;
}

int heap_delta(const struct profile *later, const struct profile *earlier,
	       struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *allocated = NULL;
	int r = without_in_use(earlier, &allocated);

	return r < 0 ? err_trace(r) : err_trace(profile_subtract(later, allocated, ret_profile));
}

int heap_delta_set_default(struct profile **profile, bool allocs)
{
	struct profile_part part = {.spec = *profile_get_spec(*profile)};
	struct profile *other = NULL;
	int r;

	part.spec.default_sample_type = allocs ? "alloc_space" : "inuse_space";
	for (uint32_t i = 0; i < PROFILE_MAX_TYPES; i++)
		part.columns[i] = i;
	r = profile_project(*profile, &part, &other);
	if (r < 0)
		return err_trace(r);
	profile_free(*profile);
	*profile = other;
	return 0;
}
