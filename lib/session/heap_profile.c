/* SPDX-License-Identifier: Apache-2.0 */
#include "session/heap_profile.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map64.h"
#include "base/vec.h"

#define MAX_LOST (1UL << 24)

/* Samples of one stack and size. */
struct bucket {
	uint32_t stack, labels;
	uint64_t size;
	uint64_t allocs, in_use;
};

struct heap_profile {
	struct profile *profile;
	uint64_t rate;
	VEC(struct bucket) buckets;
	struct map64 index;   /* stack and labels → place */
	VEC(uint32_t) sample; /* by id - 1: place of its bucket + 1 */
	uint32_t key_bytes;   /* strings */
};

int heap_profile_new(uint64_t rate, bool allocs, struct heap_profile **ret_heap)
{
	const struct profile_spec spec = {
		.sample_types = {{"alloc_objects", "count"},
				 {"alloc_space", "bytes"},
				 {"inuse_objects", "count"},
				 {"inuse_space", "bytes"}},
		.n_sample_types = 4,
		.period_type = {"space", "bytes"},
		.period = (int64_t)rate,
		.default_sample_type = allocs ? "alloc_space" : "inuse_space",
	};
	struct heap_profile *heap = calloc(1, sizeof(*heap));
	int r;

	if (!heap)
		return err_trace(-ENOMEM);
	heap->rate = rate;
	r = profile_new(&spec, &heap->profile);
	if (r >= 0)
		r = profile_string(heap->profile, "bytes", &heap->key_bytes);
	if (r < 0) {
		heap_profile_free(heap);
		return err_trace(r);
	}
	*ret_heap = heap;
	return 0;
}

struct heap_profile *heap_profile_free(struct heap_profile *heap)
{
	if (!heap)
		return NULL;
	profile_free(heap->profile);
	vec_deinit(&heap->buckets);
	vec_deinit(&heap->sample);
	map64_deinit(&heap->index);
	free(heap);
	return NULL;
}

struct profile *heap_profile_get(struct heap_profile *heap)
{
	return heap->profile;
}

static int get_bucket(struct heap_profile *heap, uint32_t stack, uint64_t size, uint32_t *ret_place)
{
	struct profile_label label = {
		.key = heap->key_bytes, .number = (int64_t)size, .unit = heap->key_bytes};
	struct bucket *bucket;
	uint64_t *place;
	uint32_t labels;
	int r = profile_labels_intern(heap->profile, &label, 1, &labels);

	if (r >= 0)
		r = map64_put(&heap->index, (uint64_t)stack << 32 | labels, &place);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		bucket = vec_push(&heap->buckets);
		if (!bucket)
			return err_trace(-ENOMEM);
		*bucket = (struct bucket){.stack = stack, .labels = labels, .size = size};
		*place = heap->buckets.n - 1;
	}
	*ret_place = (uint32_t)*place;
	return 0;
}

int heap_profile_add(struct heap_profile *heap, uint64_t id, uint64_t size, uint32_t stack)
{
	uint32_t place;
	int r = get_bucket(heap, stack, size, &place);

	if (r < 0)
		return err_trace(r);
	heap->buckets.items[place].allocs++;
	/* Ids are dense but for those lost; in a target whose memory is broken they may be not. */
	if (id > heap->sample.n + MAX_LOST)
		return 0;
	while (heap->sample.n < id) {
		if (!vec_push(&heap->sample))
			return err_trace(-ENOMEM);
	}
	heap->sample.items[id - 1] = place + 1;
	return 0;
}

int heap_profile_add_live(struct heap_profile *heap, const struct agent_live *live, uint32_t lost)
{
	uint32_t place = 0;
	int r = 0;

	if (live->id && live->id <= heap->sample.n && heap->sample.items[live->id - 1])
		place = heap->sample.items[live->id - 1] - 1;
	else
		r = get_bucket(heap, lost, live->size, &place);
	if (r >= 0)
		heap->buckets.items[place].in_use++;
	return err_trace(r);
}

/* A whole number, and its fraction for the next one. */
static int64_t whole(double value, double *carry)
{
	int64_t n = (int64_t)(value + *carry + 1e-9);

	*carry += value - (double)n;
	return n;
}

int heap_profile_finish(struct heap_profile *heap, struct profile **ret_profile)
{
	double carry[4] = {};
	int r = 0;

	for (size_t i = 0; i < heap->buckets.n && r >= 0; i++) {
		const struct bucket *b = &heap->buckets.items[i];
		double size = (double)b->size, scale = 1, counts[2];
		int64_t values[4];

		if (heap->rate > 1 && b->size)
			scale = -1 / expm1(-size / (double)heap->rate);
		counts[0] = scale * (double)b->allocs;
		counts[1] = scale * (double)b->in_use;
		for (unsigned k = 0; k < 2; k++) {
			values[2 * k] = whole(counts[k], &carry[2 * k]);
			values[2 * k + 1] = whole(counts[k] * size, &carry[2 * k + 1]);
		}
		r = profile_sample_add(heap->profile, b->stack, b->labels, values);
	}
	if (r < 0)
		return err_trace(r);
	*ret_profile = take_ptr(heap->profile);
	return 0;
}
