/* SPDX-License-Identifier: Apache-2.0 */
/* Locations and their lines. */
#include "profile/profile_priv.h"

#include <errno.h>

#include "base/err.h"

struct location_key {
	uint64_t address;
	uint32_t mapping;
	uint32_t name; /* string id of a location without address, else 0 */
};
_Static_assert(sizeof(struct location_key) == 16, "the key must have no padding");

static int reserve_location(struct profile *profile)
{
	int r;

	r = vec_reserve(&profile->locations, profile->locations.n + 1);
	if (r < 0)
		return err_trace(r);
	return vec_reserve(&profile->keyed_locations, profile->keyed_locations.n + 1);
}

/* The new location's id. Room was reserved. */
static uint32_t push_location(struct profile *profile, uint32_t mapping, uint64_t address)
{
	*vec_push(&profile->locations) = (struct profile_location){
		.address = address,
		.mapping = mapping,
	};
	return (uint32_t)profile->locations.n;
}

static int intern_key(struct profile *profile, const struct location_key *key, uint32_t *ret_id)
{
	uint32_t index;
	int r;

	if (key->mapping > profile->mappings.n)
		return err_trace(-EINVAL);
	r = reserve_location(profile);
	if (r < 0)
		return err_trace(r);
	r = intern_put(profile->location_keys, key, sizeof(*key), &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0)
		*vec_push(&profile->keyed_locations) =
			push_location(profile, key->mapping, key->address);
	*ret_id = profile->keyed_locations.items[index];
	return 0;
}

int profile_location_intern(struct profile *profile, uint32_t mapping, uint64_t address,
			    uint32_t *ret_id)
{
	return intern_key(profile, &(struct location_key){.address = address, .mapping = mapping},
			  ret_id);
}

int profile_location_named(struct profile *profile, uint32_t mapping, const char *name,
			   uint32_t *ret_id)
{
	struct location_key key = {.mapping = mapping};
	struct profile_function function = {};
	struct profile_line line = {};
	uint32_t id = 0;
	int r;

	r = profile_string(profile, name, &key.name);
	if (r < 0)
		return err_trace(r);
	function.name = function.system_name = key.name;
	r = profile_function_intern(profile, &function, &line.function);
	if (r < 0)
		return err_trace(r);
	r = intern_key(profile, &key, &id);
	if (r < 0)
		return err_trace(r);
	if (profile->locations.items[id - 1].n_lines == 0) {
		r = profile_location_set_lines(profile, id, &line, 1);
		if (r < 0)
			return err_trace(r);
	}
	*ret_id = id;
	return 0;
}

int profile_location_add(struct profile *profile, uint32_t mapping, uint64_t address,
			 const struct profile_line *lines, uint32_t n_lines, uint32_t *ret_id)
{
	struct location_key key = {.address = address, .mapping = mapping};
	uint32_t index, id;
	int r;

	if (mapping > profile->mappings.n)
		return err_trace(-EINVAL);
	/* As one that only has a name is found: profile_location_named(). */
	if (!address && n_lines && lines[0].function - 1 < profile->functions.n)
		key.name = profile_function(profile, lines[0].function)->name;
	r = reserve_location(profile);
	if (r < 0)
		return err_trace(r);
	r = intern_put(profile->location_keys, &key, sizeof(key), &index);
	if (r < 0)
		return err_trace(r);
	id = push_location(profile, mapping, address);
	if (r == 0)
		*vec_push(&profile->keyed_locations) = id;
	r = profile_location_set_lines(profile, id, lines, n_lines);
	if (r < 0)
		return err_trace(r);
	*ret_id = id;
	return 0;
}

int profile_location_set_lines(struct profile *profile, uint32_t id,
			       const struct profile_line *lines, uint32_t n_lines)
{
	struct profile_location *location;
	int r;

	if (id == 0 || id > profile->locations.n)
		return err_trace(-EINVAL);
	location = &profile->locations.items[id - 1];
	if (location->n_lines)
		return err_trace(-EINVAL);
	for (uint32_t i = 0; i < n_lines; i++) {
		if (lines[i].function == 0 || lines[i].function > profile->functions.n)
			return err_trace(-EINVAL);
	}
	if (profile->lines.n + n_lines > UINT32_MAX)
		return err_trace(-ENOMEM);
	r = vec_reserve(&profile->lines, profile->lines.n + n_lines);
	if (r < 0)
		return err_trace(r);
	location->first_line = (uint32_t)profile->lines.n;
	location->n_lines = n_lines;
	for (uint32_t i = 0; i < n_lines; i++)
		*vec_push(&profile->lines) = lines[i];
	return 0;
}

const struct profile_location *profile_location(const struct profile *profile, uint32_t id)
{
	return &profile->locations.items[id - 1];
}

const struct profile_line *profile_location_lines(const struct profile *profile,
						  const struct profile_location *location)
{
	return location->n_lines ? &profile->lines.items[location->first_line] : NULL;
}

uint32_t profile_n_locations(const struct profile *profile)
{
	return (uint32_t)profile->locations.n;
}
