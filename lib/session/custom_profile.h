/* SPDX-License-Identifier: Apache-2.0 */
/* The form of a custom profile: its sample types, and frames that its stacks are to be without. */
#pragma once

#include "profile/profile.h"
#include "session/custom.h"

/** The label that tells how many frames a sample is to be without. */
#define CUSTOM_SKIP "cprof skip"

/**
 * Makes the profile that people get.
 *
 * @param from	named; its first value is the number of entries, the second their bytes; borrowed
 * @return 0 or -ENOMEM
 */
int custom_profile_shape(const struct custom *custom, const struct profile *from,
			 struct profile **ret_profile);
