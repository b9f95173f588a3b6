/* SPDX-License-Identifier: Apache-2.0 */
#include "session/heap_profile.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/map64.h"
#include "base/vec.h"
#include "session/custom_profile.h"

/* Ids that are missing in a row. */
#define MAX_LOST (1UL << 24)
/* Samples after which those that do not live are forgotten. */
#define FULL (1UL << 20)

/* In the place of labels, for the index: a custom profile and what is skipped. */
#define CUSTOM_KEY (1U << 31)
#define MAX_SKIP 0xffffU

/* Samples of one stack and size; of a custom profile those of one stack. */
struct bucket {
	uint32_t stack, labels;
	uint32_t profile, skip; /* of a custom one, from 1 on; 0: allocations */
	uint64_t size;
	uint64_t allocs, in_use; /* in use: when a copy was made last */
	uint64_t bytes;          /* likewise, of a custom profile */
	uint64_t counted;
};

struct heap_profile {
	struct profile *profile;
	uint64_t rate;
	VEC(struct bucket) buckets;
	struct map64 index; /* stack and labels → place */
	/* Where samples belong, by id: place of the bucket + 1, 0: lost. Of the first ones only
	 * those that lived when it was looked last. */
	struct map64 old;
	uint64_t n_old; /* ids up to this one are in `old` */
	VEC(uint32_t) recent;
	size_t n_settled;   /* of recent: those that had come when it was looked last */
	uint32_t key_bytes; /* strings */
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
	vec_deinit(&heap->recent);
	map64_deinit(&heap->old);
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

static int get_custom(struct heap_profile *heap, uint32_t stack, uint32_t profile, uint32_t skip,
		      uint32_t *ret_place)
{
	struct bucket *bucket;
	uint64_t *place;
	uint32_t key = CUSTOM_KEY | profile << 16 | MIN(skip, MAX_SKIP);
	int r = map64_put(&heap->index, (uint64_t)stack << 32 | key, &place);

	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		bucket = vec_push(&heap->buckets);
		if (!bucket)
			return err_trace(-ENOMEM);
		*bucket = (struct bucket){
			.stack = stack, .profile = profile, .skip = MIN(skip, MAX_SKIP)};
		*place = heap->buckets.n - 1;
	}
	*ret_place = (uint32_t)*place;
	return 0;
}

static int note_place(struct heap_profile *heap, uint64_t id, uint32_t place)
{
	/* In a target whose memory is broken they may be anything. */
	if (id <= heap->n_old || id - heap->n_old > heap->recent.n + MAX_LOST)
		return 0;
	while (heap->recent.n < id - heap->n_old) {
		if (!vec_push(&heap->recent))
			return -ENOMEM;
	}
	heap->recent.items[id - heap->n_old - 1] = place + 1;
	return 0;
}

int heap_profile_add(struct heap_profile *heap, uint64_t id, uint64_t size, uint32_t stack)
{
	uint32_t place;
	int r = get_bucket(heap, stack, size, &place);

	if (r < 0)
		return err_trace(r);
	heap->buckets.items[place].allocs++;
	return note_place(heap, id, place);
}

int heap_profile_add_entry(struct heap_profile *heap, const struct heap_profile_entry *entry,
			   uint32_t stack)
{
	uint32_t place;
	int r = get_custom(heap, stack, entry->profile, entry->skip, &place);

	if (r < 0)
		return err_trace(r);
	heap->buckets.items[place].counted += entry->counted;
	return note_place(heap, entry->id, place);
}

/* Place + 1; 0: its sample never came. */
static uint32_t find_place(const struct heap_profile *heap, uint64_t id)
{
	const uint64_t *old;

	if (id > heap->n_old)
		return id - heap->n_old <= heap->recent.n ? heap->recent.items[id - heap->n_old - 1]
							  : 0;
	old = map64_get(&heap->old, id);
	return old ? (uint32_t)*old : 0;
}

uint32_t heap_profile_count(const struct heap_profile *heap)
{
	return (uint32_t)heap->buckets.n;
}

bool heap_profile_is_full(const struct heap_profile *heap)
{
	return heap->recent.n - heap->n_settled > FULL;
}

/* What came since the last time may have been about to live then. */
int heap_profile_forget(struct heap_profile *heap, const struct allocs_live *live)
{
	uint64_t upto = heap->n_old + heap->n_settled;
	struct map64 old = {};
	uint64_t *slot;

	for (size_t i = 0; i < live->items.n; i++) {
		uint64_t id = live->items.items[i].id;
		uint32_t place = id && id <= upto ? find_place(heap, id) : 0;

		if (!place)
			continue;
		if (map64_put(&old, id, &slot) < 0) {
			map64_deinit(&old);
			return err_trace(-ENOMEM);
		}
		*slot = place;
	}
	map64_deinit(&heap->old);
	heap->old = old;
	heap->recent.n -= heap->n_settled;
	if (heap->recent.n)
		memmove(heap->recent.items, heap->recent.items + heap->n_settled,
			heap->recent.n * sizeof(*heap->recent.items));
	heap->n_old = upto;
	heap->n_settled = heap->recent.n;
	return 0;
}

static int count_live(struct heap_profile *heap, const struct allocs_live *live, uint32_t lost)
{
	int r = 0;

	for (size_t i = 0; i < heap->buckets.n; i++)
		heap->buckets.items[i].in_use = heap->buckets.items[i].bytes = 0;
	for (size_t i = 0; i < live->items.n && r >= 0; i++) {
		const struct agent_live *item = &live->items.items[i];
		uint32_t place = find_place(heap, item->id);
		uint32_t profile = (uint32_t)(item->addr >> AGENT_KEY_BITS);

		if (place)
			place--;
		else if (profile)
			r = get_custom(heap, lost, profile, 0, &place);
		else
			r = get_bucket(heap, lost, item->size, &place);
		if (r < 0)
			break;
		heap->buckets.items[place].in_use++;
		heap->buckets.items[place].bytes += item->size;
	}
	return err_trace(r);
}

/* A whole number, and its fraction for the next one. */
static int64_t whole(double value, double *carry)
{
	int64_t n = (int64_t)(value + *carry + 1e-9);

	*carry += value - (double)n;
	return n;
}

/* Adds samples of a size to two of the values: their number and their bytes. */
static void scale(const struct heap_profile *heap, double n, double size, double *carry,
		  int64_t *values)
{
	if (heap->rate > 1 && size > 0)
		n /= -expm1(-size / (double)heap->rate);
	values[0] = whole(n, &carry[0]);
	values[1] = whole(n * size, &carry[1]);
}

static int fill(const struct heap_profile *heap, const struct allocs_live *live, uint32_t lost,
		struct profile *profile)
{
	double carry[4] = {};
	int r = 0;

	for (size_t i = 0; i < heap->buckets.n && r >= 0; i++) {
		const struct bucket *b = &heap->buckets.items[i];
		int64_t values[PROFILE_MAX_TYPES] = {};

		if (b->profile || (!b->allocs && !b->in_use))
			continue;
		scale(heap, (double)b->allocs, (double)b->size, carry, values);
		scale(heap, (double)b->in_use, (double)b->size, carry + 2, values + 2);
		r = profile_sample_add(profile, b->stack, b->labels, values);
	}
	for (size_t i = 0; i < AGENT_N_LOST && r >= 0; i++) {
		const struct agent_lost *l = &live->lost[i];
		int64_t values[PROFILE_MAX_TYPES] = {};

		if (!l->count)
			continue;
		scale(heap, (double)l->count, (double)l->bytes / (double)l->count, carry, values);
		r = profile_sample_add(profile, lost, 0, values);
	}
	return err_trace(r);
}

int heap_profile_copy(struct heap_profile *heap, const struct allocs_live *live, uint32_t lost,
		      struct profile **ret_profile)
{
	struct profile *profile = NULL;
	int r = count_live(heap, live, lost);

	if (r >= 0)
		r = profile_clone(heap->profile, &profile);
	if (r >= 0)
		r = fill(heap, live, lost, profile);
	if (r < 0) {
		profile_free(profile);
		return err_trace(r);
	}
	*ret_profile = profile;
	return 0;
}

static int fill_custom(const struct heap_profile *heap, uint32_t which, struct profile *profile)
{
	struct profile_label label = {};
	uint32_t labels;
	int r = profile_string(profile, CUSTOM_SKIP, &label.key);

	for (size_t i = 0; i < heap->buckets.n && r >= 0; i++) {
		const struct bucket *b = &heap->buckets.items[i];
		int64_t values[PROFILE_MAX_TYPES] = {(int64_t)(b->in_use + b->counted),
						     (int64_t)b->bytes};

		if (b->profile != which || !values[0])
			continue;
		label.number = b->skip;
		r = profile_labels_intern(profile, &label, 1, &labels);
		if (r >= 0)
			r = profile_sample_add(profile, b->stack, labels, values);
	}
	return err_trace(r);
}

int heap_profile_copy_custom(struct heap_profile *heap, uint32_t which,
			     const struct allocs_live *live, uint32_t lost,
			     struct profile **ret_profile)
{
	struct profile *profile = NULL;
	int r = count_live(heap, live, lost);

	if (r >= 0)
		r = profile_clone(heap->profile, &profile);
	if (r >= 0)
		r = fill_custom(heap, which, profile);
	if (r < 0) {
		profile_free(profile);
		return err_trace(r);
	}
	*ret_profile = profile;
	return 0;
}
