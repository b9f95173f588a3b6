/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The types of profiles, and what each is made of.
 *
 * A recording of several types keeps one profile, whose sample types are those of all of them in
 * the order of the table; each type's own is a part of it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"
#include "snapshot/snapshot.h"
#include "source/sampler.h"

#define SESSION_TYPE_MAX_VALUES 2
#define SESSION_TYPE_MAX_LABELS 8

struct session_type {
	enum sampler_type type;
	const char *name; /* on the command line, and in names of files */
	struct profile_value_type values[SESSION_TYPE_MAX_VALUES];
	uint32_t n_values;
	struct profile_value_type period_type;
	bool per_tick; /* the period is that of ticks, else 1 */
	const char *label_keys[SESSION_TYPE_MAX_LABELS + 1]; /* the last one is NULL */
};

/** The types in their order; NULL behind the last. */
const struct session_type *session_type_get(unsigned index);

/** The type of that name, or NULL. */
const struct session_type *session_type_find(const char *name);

/** Makes an empty profile for all of these types. Returns 0, -ENOMEM, or -EINVAL for types that
 * cannot be combined, for their values are too many. */
int session_types_profile(unsigned types, unsigned hz, struct profile **ret_profile);

/** The part of such a profile that is of one of the types. Returns 0 or -ENOMEM. */
int session_types_project(const struct profile *profile, unsigned types, enum sampler_type type,
			  unsigned hz, struct profile **ret_profile);

/** What a snapshot adds to the profile of these types. False when that is nothing. */
bool session_types_values(unsigned types, const struct snapshot *snapshot,
			  int64_t ret_values[static PROFILE_MAX_TYPES]);
