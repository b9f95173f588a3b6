/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histogram of durations with a relative error of at most 1/32.
 *
 * Each power of two is divided into 32 equal buckets; values below 32 are exact. Fixed size, no
 * allocation, so that it can be filled while a thread of the target waits.
 */
#pragma once

#include <stdint.h>

#define HIST_SUB 32
#define HIST_BUCKETS (HIST_SUB * 36) /* up to 2^40 ns, 18 minutes; longer counts as that */

struct hist {
	uint64_t count, sum, max;
	uint32_t buckets[HIST_BUCKETS];
};

/** Adds one value (nanoseconds, or any unit used throughout). */
void hist_add(struct hist *hist, uint64_t value);

/** The upper edge of the bucket that holds the quantile q (0 to 1); the exact maximum for 1; 0
 * when empty. */
uint64_t hist_quantile(const struct hist *hist, double q);
