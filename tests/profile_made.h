/* SPDX-License-Identifier: Apache-2.0 */
/* What the programs share that make a profile of known content: in each an error is the end. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile/profile.h"

/** Samples of CPU time at 100 Hz. */
static const struct profile_spec made_spec = {
	.sample_types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
	.n_sample_types = 2,
	.period_type = {"cpu", "nanoseconds"},
	.period = 10000000,
};

/** Ends the program, saying why, on a negative errno. */
static inline void check(int r)
{
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", program_invocation_short_name, strerror(-r));
		exit(1);
	}
}

/** The id of a text. */
static inline uint32_t string(struct profile *profile, const char *text)
{
	uint32_t id;

	check(profile_string(profile, text, &id));
	return id;
}
