/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles as text for people. */
#pragma once

#include <stdint.h>

#include "base/sink.h"
#include "profile/profile.h"

struct report_options {
	uint32_t limit;      /* rows; 0 = all */
	uint32_t value_type; /* index of the sample type */
	/** Name for people of a function's system name; caller frees; NULL: as it is. */
	char *(*demangle)(const char *system_name);
};

/** Table of functions by their own value, then with what they called: flat, flat%, sum%, cum,
 * cum%, name, like `go tool pprof -top`; preceded by the profile's type, time and duration.
 * Recursive functions count once per sample in cum. Returns 0, the sink's error, -ENOMEM. */
int report_top(const struct profile *profile, const struct report_options *options,
	       struct sink *sink);
