/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The profile's tables, shared by the files of this room.
 *
 * Ids are indexes plus one. Tables that are searched have an intern table or map of keys beside
 * them. Room in the table is reserved before a key is put, so that running out of memory never
 * leaves a key without its item.
 */
#pragma once

#include "base/intern.h"
#include "base/map64.h"
#include "base/vec.h"
#include "profile/profile.h"

struct profile_stack {
	uint32_t callers, leaf;
};

struct profile_label_set {
	uint32_t first, n; /* in profile.labels */
};

struct profile {
	struct profile_spec spec; /* its strings lie in `strings` */
	int64_t time_nanos, duration_nanos;
	struct intern *strings;
	VEC(struct profile_mapping) mappings;

	VEC(struct profile_function) functions; /* in step with function_keys */
	struct intern *function_keys;

	VEC(struct profile_location) locations;
	VEC(struct profile_line) lines;
	VEC(uint32_t) keyed_locations; /* location ids, in step with location_keys */
	struct intern *location_keys;

	VEC(struct profile_stack) stacks;
	struct map64 stack_ids; /* callers and leaf */

	VEC(struct profile_label) labels;
	VEC(struct profile_label_set) label_sets; /* in step with label_keys */
	struct intern *label_keys;

	VEC(struct profile_sample) samples;
	struct map64 sample_ids; /* stack and label set */

	VEC(uint32_t) comments;
};

/** Takes over a spec, with strings of the profile's own. Returns 0 or -ENOMEM. */
int profile_adopt_spec(struct profile *profile, const struct profile_spec *spec);

/** What is taken off a sample. */
struct profile_values {
	int64_t values[PROFILE_MAX_TYPES];
};

/** As profile_project(), of what is left of the samples when these values (one item a sample of
 * `from`; NULL: none) are taken off. */
int profile_project_rest(const struct profile *from, const struct profile_part *part,
			 const struct profile_values *minus, struct profile **ret_profile);

/** Two ids as one key; never MAP64_EMPTY, because an id is below UINT32_MAX. */
static inline uint64_t profile_pair_key(uint32_t high, uint32_t low)
{
	return (uint64_t)high << 32 | low;
}
