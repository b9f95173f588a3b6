/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From samples of allocations to the values of a heap profile.
 *
 * A sample stands for more allocations of its size than itself. As in Go's runtime samples are
 * added up by stack and size first, and then multiplied by one over the probability that such an
 * allocation is sampled, 1 - exp(-size / rate) (src/runtime/pprof/protomem.go scaleHeapSample). Go
 * cuts fractions off; here they are carried on, so that sums are right.
 *
 * Samples without a stack are known by their number and bytes of about one size, and are under
 * "[stack lost]" without the label of their size.
 *
 * Entries of custom profiles are kept beside them: they stand for themselves only.
 *
 * It grows with every new stack and size, as Go's own does, but not with samples.
 */
#pragma once

#include <stdbool.h>

#include "profile/profile.h"
#include "source/allocs.h"

struct heap_profile;

/** Makes an empty profile of Go's sample types, whose default is inuse_space or alloc_space. rate:
 * mean bytes between samples. Returns 0 or -ENOMEM. */
int heap_profile_new(uint64_t rate, bool allocs, struct heap_profile **ret_heap);
struct heap_profile *heap_profile_free(struct heap_profile *heap);

/** The profile, for stacks to be put into; borrowed. It never has samples. */
struct profile *heap_profile_get(struct heap_profile *heap);

/** Adds a sampled allocation. id: of the sample, from 1 on. Returns 0 or -ENOMEM. */
int heap_profile_add(struct heap_profile *heap, uint64_t id, uint64_t size, uint32_t stack);

/** Of a custom profile. */
struct heap_profile_entry {
	uint64_t id;      /* of the sample, from 1 on */
	uint64_t counted; /* a number to be added for ever; 0: it is an entry that may live */
	uint32_t profile; /* from 1 on */
	uint32_t skip;    /* frames to be left out */
};

/** Adds an entry of a custom profile, or what was counted. Returns 0 or -ENOMEM. */
int heap_profile_add_entry(struct heap_profile *heap, const struct heap_profile_entry *entry,
			   uint32_t stack);

/** How many stacks there are, with different sizes. */
uint32_t heap_profile_count(const struct heap_profile *heap);

/** Is it time for heap_profile_forget()? */
bool heap_profile_is_full(const struct heap_profile *heap);

/** Forgets what belongs to samples that came before the last time, and do not live any more.
 * Returns 0 or -ENOMEM. */
int heap_profile_forget(struct heap_profile *heap, const struct allocs_live *live);

/**
 * Makes a profile with values: what was added so far, and of it, and of what was lost, what lives.
 *
 * @param lost		the stack of samples that never came
 * @param ret_profile	the caller's; the same stacks and locations under the same ids
 * @return 0 or -ENOMEM
 */
int heap_profile_copy(struct heap_profile *heap, const struct allocs_live *live, uint32_t lost,
		      struct profile **ret_profile);

/** The same of a custom profile, number from 1 on, for custom_profile_shape(): its first value is
 * the number of entries that live, plus what was counted, the second their sizes. */
int heap_profile_copy_custom(struct heap_profile *heap, uint32_t profile,
			     const struct allocs_live *live, uint32_t lost,
			     struct profile **ret_profile);
