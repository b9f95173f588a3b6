/* SPDX-License-Identifier: Apache-2.0 */
/* The largest samples of a profile, and one for the rest. */
#include "profile/profile.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"

DEFINE_CLEANUP(struct profile *, profile_free)

struct rank {
	int64_t value;
	uint32_t index;
};

static int largest_first(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;

	return x->value != y->value ? (x->value < y->value) - (x->value > y->value)
				    : (x->index > y->index) - (x->index < y->index);
}

/* By size. */
static struct rank *rank_samples(const struct profile *profile)
{
	uint32_t n = profile_n_samples(profile);
	uint32_t last = profile_get_spec(profile)->n_sample_types - 1;
	struct rank *ranks = calloc(n, sizeof(*ranks));

	for (uint32_t i = 0; ranks && i < n; i++) {
		int64_t value = profile_sample(profile, i)->values[last];

		ranks[i] = (struct rank){value < 0 ? -value : value, i};
	}
	if (ranks)
		qsort(ranks, n, sizeof(*ranks), largest_first);
	return ranks;
}

/* Takes a sample's values from it, and adds them to those of `other`. */
static int move_values(struct profile *profile, uint32_t index, uint32_t other)
{
	struct profile_sample sample = *profile_sample(profile, index);
	int64_t minus[PROFILE_MAX_TYPES];
	int r;

	for (uint32_t i = 0; i < PROFILE_MAX_TYPES; i++)
		minus[i] = -sample.values[i];
	r = profile_sample_add(profile, sample.stack, sample.labels, minus);
	return r < 0 ? r : profile_sample_add(profile, other, 0, sample.values);
}

static int other_stack(struct profile *profile, uint32_t *ret_stack)
{
	uint32_t location;
	int r = profile_location_named(profile, profile_n_mappings(profile) ? 1 : 0, "[other]",
				       &location);

	return r < 0 ? r : profile_stack_intern(profile, 0, location, ret_stack);
}

int profile_prune(struct profile **profile, uint32_t most)
{
	_cleanup_(profile_free_cleanup) struct profile *whole = NULL;
	struct profile_part part = {.spec = *profile_get_spec(*profile)};
	uint32_t n = profile_n_samples(*profile), other;
	_cleanup_free_ struct rank *ranks = NULL;
	int r;

	if (n <= most)
		return 0;
	ranks = rank_samples(*profile);
	r = ranks ? other_stack(*profile, &other) : -ENOMEM;
	for (uint32_t i = most - 1; r >= 0 && i < n; i++)
		r = move_values(*profile, ranks[i].index, other);
	if (r < 0)
		return err_trace(r);
	for (uint32_t i = 0; i < PROFILE_MAX_TYPES; i++)
		part.columns[i] = i;
	/* What has no value left is not taken along. */
	whole = take_ptr(*profile);
	return err_trace(profile_project(whole, &part, profile));
}
