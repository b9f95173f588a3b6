/* SPDX-License-Identifier: Apache-2.0 */
/* Internal: carrying items of one profile over into another. */
#pragma once

#include "profile/profile_priv.h"

#define PROFILE_CARRY_NEEDED 1 /* in the table of stacks, before they are carried over */

/** What each id of one profile is in the other; 0: not carried over. */
struct profile_carry {
	const struct profile *from;
	struct profile *to;
	const char *const *label_keys; /* to keep, the last one is NULL; NULL: all */
	bool merge;     /* items that are in `to` are not made again; else every one is new */
	bool elsewhere; /* merging, with addresses of another process: only what a build id tells is
			   the same, and addresses are moved to where `to` has it */
	const struct profile_word *words; /* labels for all sets */
	uint32_t n_words;
	uint32_t *mappings, *functions, *locations, *stacks, *label_sets;
	bool *used; /* mappings of `to` */
};

/** With from, to and what follows set. Returns 0 or -ENOMEM; to be deinitialized in any case. */
int profile_carry_init(struct profile_carry *carry);
void profile_carry_deinit(struct profile_carry *carry);

/* These return 0 or -ENOMEM; what is carried over already stays. */

int profile_carry_mapping(struct profile_carry *carry, uint32_t id);

/** The stacks that are marked as needed, with their callers, locations and what those use. */
int profile_carry_stacks(struct profile_carry *carry);
int profile_carry_labels(struct profile_carry *carry, uint32_t id);

/** Whether two mappings are the same piece of a file at the same place. */
bool profile_same_mapping(const struct profile *one, const struct profile_mapping *a,
			  const struct profile *other, const struct profile_mapping *b);
