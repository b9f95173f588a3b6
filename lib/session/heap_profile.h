/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From samples of allocations to the values of a heap profile.
 *
 * A sample stands for more allocations of its size than itself. As in Go's runtime samples are
 * added up by stack and size first, and then multiplied by one over the probability that such an
 * allocation is sampled, 1 - exp(-size / rate) (src/runtime/pprof/protomem.go scaleHeapSample). Go
 * cuts fractions off; here they are carried on, so that sums are right.
 */
#pragma once

#include <stdbool.h>

#include "profile/profile.h"
#include "source/allocs.h"

struct heap_profile;

/** Makes an empty profile of Go's sample types, whose default is inuse_space or alloc_space. rate:
 * mean bytes between samples. Returns 0 or -ENOMEM. */
int heap_profile_new(uint64_t rate, bool allocs, struct heap_profile **ret_heap);

/** Frees it with its profile, unless that was taken. */
struct heap_profile *heap_profile_free(struct heap_profile *heap);

/** The profile, for stacks to be put into; borrowed. It has samples after heap_profile_finish(). */
struct profile *heap_profile_get(struct heap_profile *heap);

/** Adds a sampled allocation. id: of the sample, from 1 on. Returns 0 or -ENOMEM. */
int heap_profile_add(struct heap_profile *heap, uint64_t id, uint64_t size, uint32_t stack);

/** Adds one that was in use at the end. lost: the stack of those whose sample never came. Returns 0
 * or -ENOMEM. */
int heap_profile_add_live(struct heap_profile *heap, const struct agent_live *live, uint32_t lost);

/** Puts the values into the profile, which becomes the caller's. Returns 0 or -ENOMEM. */
int heap_profile_finish(struct heap_profile *heap, struct profile **ret_profile);
