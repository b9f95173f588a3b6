/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hist.h"

static unsigned bucket_of(uint64_t value)
{
	unsigned shift, bucket;

	if (value < HIST_SUB)
		return (unsigned)value;
	/* 63 - clz = exponent; the five bits below the leading one choose the bucket in it. */
	shift = 63 - (unsigned)__builtin_clzll(value) - 5;
	bucket = (shift + 1) * HIST_SUB + (unsigned)(value >> shift & (HIST_SUB - 1));
	return bucket < HIST_BUCKETS ? bucket : HIST_BUCKETS - 1;
}

static uint64_t bucket_edge(unsigned bucket)
{
	unsigned shift;

	if (bucket < HIST_SUB)
		return bucket;
	shift = bucket / HIST_SUB - 1;
	return (((uint64_t)HIST_SUB + bucket % HIST_SUB + 1) << shift) - 1;
}

void hist_add(struct hist *hist, uint64_t value)
{
	hist->count++;
	hist->sum += value;
	if (value > hist->max)
		hist->max = value;
	hist->buckets[bucket_of(value)]++;
}

uint64_t hist_quantile(const struct hist *hist, double q)
{
	uint64_t rank, seen = 0;

	if (!hist->count)
		return 0;
	rank = (uint64_t)(q * (double)hist->count);
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += hist->buckets[i];
		if (seen > rank)
			return bucket_edge(i) < hist->max ? bucket_edge(i) : hist->max;
	}
	return hist->max;
}
