/* SPDX-License-Identifier: Apache-2.0 */
/* Mappings and functions: what locations point to. */
#include "profile/profile_priv.h"

#include <errno.h>

#include "base/err.h"

int profile_mapping_add(struct profile *profile, const struct profile_mapping *mapping,
			uint32_t *ret_id)
{
	struct profile_mapping *slot;

	if (mapping->file >= profile_n_strings(profile) ||
	    mapping->build_id >= profile_n_strings(profile))
		return err_trace(-EINVAL);
	slot = vec_push(&profile->mappings);
	if (!slot)
		return err_trace(-ENOMEM);
	*slot = *mapping;
	*ret_id = (uint32_t)profile->mappings.n;
	return 0;
}

struct profile_mapping *profile_mapping(const struct profile *profile, uint32_t id)
{
	return &profile->mappings.items[id - 1];
}

uint32_t profile_n_mappings(const struct profile *profile)
{
	return (uint32_t)profile->mappings.n;
}

int profile_function_intern(struct profile *profile, const struct profile_function *function,
			    uint32_t *ret_id)
{
	uint32_t n_strings = profile_n_strings(profile), index;
	int r;

	if (function->name >= n_strings || function->system_name >= n_strings ||
	    function->file >= n_strings)
		return err_trace(-EINVAL);
	r = vec_reserve(&profile->functions, profile->functions.n + 1);
	if (r < 0)
		return err_trace(r);
	_Static_assert(sizeof(*function) == 4 * sizeof(uint32_t), "the key must have no padding");
	r = intern_put(profile->function_keys, function, sizeof(*function), &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0)
		*vec_push(&profile->functions) = *function;
	*ret_id = index + 1;
	return 0;
}

const struct profile_function *profile_function(const struct profile *profile, uint32_t id)
{
	return &profile->functions.items[id - 1];
}

uint32_t profile_n_functions(const struct profile *profile)
{
	return (uint32_t)profile->functions.n;
}

void profile_function_rename(struct profile *profile, uint32_t id, uint32_t name)
{
	profile->functions.items[id - 1].name = name;
}
