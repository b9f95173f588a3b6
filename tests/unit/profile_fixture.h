/* SPDX-License-Identifier: Apache-2.0 */
/* Small profiles for the tests of the room. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "profile/profile.h"

static const struct profile_spec cpu_spec = {
	.sample_types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
	.n_sample_types = 2,
	.period_type = {"cpu", "nanoseconds"},
	.period = 10000000,
};

static inline struct profile *make(void)
{
	struct profile *profile;

	assert_int_equal(profile_new(&cpu_spec, &profile), 0);
	return profile;
}

static inline uint32_t string(struct profile *profile, const char *text)
{
	uint32_t id;

	assert_int_equal(profile_string(profile, text, &id), 0);
	return id;
}

static inline uint32_t location(struct profile *profile, uint64_t address)
{
	uint32_t id;

	assert_int_equal(profile_location_intern(profile, 0, address, &id), 0);
	return id;
}

static inline uint32_t stack(struct profile *profile, uint32_t callers, uint64_t address)
{
	uint32_t id;

	assert_int_equal(profile_stack_intern(profile, callers, location(profile, address), &id),
			 0);
	return id;
}
