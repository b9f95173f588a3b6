/* SPDX-License-Identifier: Apache-2.0 */
/* From samples of allocations to a profile: what is added up, what is in use, what is forgotten,
 * and what came between two. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "session/heap_delta.h"
#include "session/heap_profile.h"

#define RATE 100000
#define FULL (1UL << 20) /* as heap_profile.c */

static uint32_t stack_of(struct heap_profile *heap, const char *name)
{
	struct profile *profile = heap_profile_get(heap);
	struct profile_mapping mapping = {};
	uint32_t location, stack;

	if (!profile_n_mappings(profile))
		assert_int_equal(profile_mapping_add(profile, &mapping, &location), 0);
	assert_int_equal(profile_location_named(profile, 1, name, &location), 0);
	assert_int_equal(profile_stack_intern(profile, 0, location, &stack), 0);
	return stack;
}

static void add_live(struct allocs_live *live, uint64_t id, uint64_t size)
{
	struct agent_live *slot = vec_push(&live->items);

	*slot = (struct agent_live){0x1000 * id, size, id};
}

/* Sums of the samples of one stack. */
static void sum(const struct profile *profile, uint32_t stack, int64_t ret_sums[static 4])
{
	memset(ret_sums, 0, 4 * sizeof(*ret_sums));
	for (uint32_t i = 0; i < profile_n_samples(profile); i++) {
		const struct profile_sample *sample = profile_sample(profile, i);

		for (unsigned k = 0; k < 4 && sample->stack == stack; k++)
			ret_sums[k] += sample->values[k];
	}
}

static double scaled(uint64_t n, uint64_t size)
{
	return (double)n / -expm1(-(double)size / RATE);
}

static void test_values(void **state)
{
	struct allocs_live live = {};
	struct heap_profile *heap;
	struct profile *profile;
	uint32_t a, b, lost;
	int64_t sums[4];

	assert_int_equal(heap_profile_new(RATE, true, &heap), 0);
	a = stack_of(heap, "a");
	b = stack_of(heap, "b");
	lost = stack_of(heap, "[stack lost]");
	for (uint64_t id = 1; id <= 100; id++)
		assert_int_equal(heap_profile_add(heap, id, 500, id % 4 ? a : b), 0);
	add_live(&live, 1, 500);
	add_live(&live, 4, 500);
	/* One whose sample never came. */
	add_live(&live, 101, 3000);
	for (unsigned round = 0; round < 2; round++) {
		/* A copy takes nothing away. */
		assert_int_equal(heap_profile_copy(heap, &live, lost, &profile), 0);
		sum(profile, a, sums);
		assert_true(llabs(sums[0] - llround(scaled(75, 500))) <= 1);
		assert_true(llabs(sums[1] - 500 * llround(scaled(75, 500))) <= 1000);
		assert_true(llabs(sums[2] - llround(scaled(1, 500))) <= 1);
		sum(profile, b, sums);
		assert_true(llabs(sums[0] - llround(scaled(25, 500))) <= 1);
		sum(profile, lost, sums);
		assert_int_equal(sums[0], 0);
		assert_true(llabs(sums[2] - llround(scaled(1, 3000))) <= 1);
		assert_string_equal(profile_get_spec(profile)->default_sample_type, "alloc_space");
		profile_free(profile);
	}
	live.items.n = 0;
	assert_int_equal(heap_profile_copy(heap, &live, lost, &profile), 0);
	assert_int_equal(profile_total(profile, 3), 0);
	profile_free(profile);
	vec_deinit(&live.items);
	heap_profile_free(heap);
}

/* What has no stack is in the sums: by sizes that are about the same, so a per cent off. */
static void test_lost(void **state)
{
	struct allocs_live live = {};
	double n = 0, bytes = 0;
	struct heap_profile *heap;
	struct profile *profile;
	uint32_t lost;
	int64_t sums[4];

	assert_int_equal(heap_profile_new(RATE, false, &heap), 0);
	lost = stack_of(heap, "[stack lost]");
	for (uint64_t size = 1; size < 10000000; size += 1 + size / 7) {
		struct agent_lost *l = &live.lost[agent_lost_class(size)];

		assert_in_range(agent_lost_class(size), 0, AGENT_N_LOST - 1);
		l->count += 10;
		l->bytes += 10 * size;
		n += scaled(10, size);
		bytes += scaled(10, size) * (double)size;
	}
	assert_in_range(agent_lost_class(UINT64_MAX), 0, AGENT_N_LOST - 1);
	assert_int_equal(heap_profile_copy(heap, &live, lost, &profile), 0);
	sum(profile, lost, sums);
	assert_true(fabs((double)sums[0] / n - 1) < 0.01);
	assert_true(fabs((double)sums[1] / bytes - 1) < 0.01);
	assert_int_equal(sums[2], 0);
	profile_free(profile);
	heap_profile_free(heap);
}

/* Sizes of one class differ by an eighth at most, and larger ones are never in a smaller class. */
static void test_classes(void **state)
{
	unsigned class = 0;
	uint64_t first = 0;

	for (uint64_t size = 0; size < 1 << 20; size++) {
		unsigned next = agent_lost_class(size);

		assert_true(next == class || next == class + 1);
		if (next != class)
			first = size;
		class = next;
		assert_true(size <= first + first / 8);
	}
}

/* Of long ago only what lives is known, by then under its stack still. */
static void test_forget(void **state)
{
	struct allocs_live live = {};
	struct heap_profile *heap;
	struct profile *profile;
	uint32_t a, lost;
	uint64_t id = 1;
	int64_t sums[4];

	assert_int_equal(heap_profile_new(1, false, &heap), 0);
	a = stack_of(heap, "a");
	lost = stack_of(heap, "[stack lost]");
	add_live(&live, 7, 16);
	for (unsigned round = 0; round < 4; round++) {
		while (!heap_profile_is_full(heap))
			assert_int_equal(heap_profile_add(heap, id++, 16, a), 0);
		/* The one that came last, and is about to live. */
		add_live(&live, id - 1, 16);
		assert_int_equal(heap_profile_forget(heap, &live), 0);
	}
	assert_true(id > 4 * FULL);
	assert_int_equal(heap_profile_copy(heap, &live, lost, &profile), 0);
	sum(profile, a, sums);
	assert_int_equal(sums[0], id - 1);
	assert_int_equal(sums[2], 5);
	assert_int_equal(sums[3], 5 * 16);
	sum(profile, lost, sums);
	assert_int_equal(sums[2], 0);
	profile_free(profile);
	/* One that did not live when it was looked is not known any more: it is not made up. */
	live.items.n = 0;
	add_live(&live, 8, 16);
	assert_int_equal(heap_profile_copy(heap, &live, lost, &profile), 0);
	sum(profile, lost, sums);
	assert_int_equal(sums[2], 1);
	profile_free(profile);
	/* Nonsense from the target's memory. */
	assert_int_equal(heap_profile_add(heap, UINT64_MAX, 16, a), 0);
	assert_int_equal(heap_profile_add(heap, 3, 16, a), 0);
	vec_deinit(&live.items);
	heap_profile_free(heap);
}

static void test_delta(void **state)
{
	struct allocs_live live = {};
	struct profile *earlier, *later, *delta;
	struct heap_profile *heap;
	uint32_t a, b, lost;
	int64_t sums[4];

	assert_int_equal(heap_profile_new(1, false, &heap), 0);
	a = stack_of(heap, "a");
	b = stack_of(heap, "b");
	lost = stack_of(heap, "[stack lost]");
	assert_int_equal(heap_profile_add(heap, 1, 100, a), 0);
	assert_int_equal(heap_profile_add(heap, 2, 100, b), 0);
	add_live(&live, 1, 100);
	add_live(&live, 2, 100);
	assert_int_equal(heap_profile_copy(heap, &live, lost, &earlier), 0);
	/* b's goes, a's stays, and a allocates. */
	live.items.n = 1;
	assert_int_equal(heap_profile_add(heap, 3, 100, a), 0);
	assert_int_equal(heap_profile_copy(heap, &live, lost, &later), 0);
	assert_int_equal(heap_delta(later, earlier, &delta), 0);
	assert_int_equal(profile_n_samples(delta), 1);
	assert_int_equal(profile_total(delta, 0), 1);
	assert_int_equal(profile_total(delta, 1), 100);
	assert_int_equal(profile_total(delta, 2), 1);
	assert_int_equal(profile_total(delta, 3), 100);
	assert_int_equal(heap_delta_set_default(&delta, true), 0);
	assert_string_equal(profile_get_spec(delta)->default_sample_type, "alloc_space");
	assert_int_equal(profile_total(delta, 3), 100);
	sum(earlier, b, sums);
	assert_int_equal(sums[3], 100);
	profile_free(delta);
	profile_free(later);
	profile_free(earlier);
	vec_deinit(&live.items);
	heap_profile_free(heap);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),  cmocka_unit_test(test_lost),
		cmocka_unit_test(test_classes), cmocka_unit_test(test_forget),
		cmocka_unit_test(test_delta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
