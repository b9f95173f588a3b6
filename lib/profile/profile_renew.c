/* SPDX-License-Identifier: Apache-2.0 */
/* A profile to go on with when what was collected so far is taken away. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "profile/profile_priv.h"

DEFINE_CLEANUP(struct profile *, profile_free)

static int renew_string(struct profile *to, const struct profile *from, uint32_t *id)
{
	return profile_string(to, profile_get_string(from, *id), id);
}

/* Items are unique in `from` and come in the order of their ids: they get the same ones. */
static int renew_mappings(struct profile *to, const struct profile *from)
{
	int r = 0;

	for (size_t i = 0; i < from->mappings.n && r >= 0; i++) {
		struct profile_mapping mapping = from->mappings.items[i];
		uint32_t id;

		r = renew_string(to, from, &mapping.file);
		r = r < 0 ? r : renew_string(to, from, &mapping.build_id);
		r = r < 0 ? r : profile_mapping_add(to, &mapping, &id);
	}
	return r;
}

static int renew_functions(struct profile *to, const struct profile *from)
{
	int r = 0;

	for (size_t i = 0; i < from->functions.n && r >= 0; i++) {
		struct profile_function function = from->functions.items[i];
		uint32_t id;

		r = renew_string(to, from, &function.name);
		r = r < 0 ? r : renew_string(to, from, &function.system_name);
		r = r < 0 ? r : renew_string(to, from, &function.file);
		r = r < 0 ? r : profile_function_intern(to, &function, &id);
	}
	return r;
}

static int renew_locations(struct profile *to, const struct profile *from)
{
	int r = 0;

	for (uint32_t id = 1; id <= from->locations.n && r >= 0; id++) {
		const struct profile_location *location = profile_location(from, id);
		uint32_t same;

		r = profile_location_add(to, location->mapping, location->address,
					 profile_location_lines(from, location), location->n_lines,
					 &same);
	}
	return r;
}

int profile_renew(const struct profile *from, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *to = NULL;
	int r = profile_new(&from->spec, &to);

	r = r < 0 ? r : renew_mappings(to, from);
	r = r < 0 ? r : renew_functions(to, from);
	r = r < 0 ? r : renew_locations(to, from);
	if (r < 0)
		return err_trace(r);
	*ret_profile = take_ptr(to);
	return 0;
}
