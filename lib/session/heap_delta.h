/* SPDX-License-Identifier: Apache-2.0 */
/* Of profiles of a heap: what came between two, and the other default. */
#pragma once

#include <stdbool.h>

#include "profile/profile.h"

/** What came between two profiles of one recording: of allocations the difference, of what is in
 * use all that there is in the later one. Go subtracts both, which makes in use meaningless. Time
 * and duration are those of the later one. Returns 0 or -ENOMEM. */
int heap_delta(const struct profile *later, const struct profile *earlier,
	       struct profile **ret_profile);

/** Gives a profile the default sample type alloc_space, or inuse_space. *profile, the caller's, is
 * replaced. Returns 0 or -ENOMEM. */
int heap_delta_set_default(struct profile **profile, bool allocs);
