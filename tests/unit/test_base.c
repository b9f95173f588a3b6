/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/hist.h"
#include "base/intern.h"
#include "base/map64.h"
#include "base/parse.h"
#include "base/queue.h"
#include "base/ring.h"
#include "base/text.h"

static void parses_durations(void **state)
{
	static const struct {
		const char *text;
		int result;
		uint64_t ns;
	} cases[] = {
		{"30s", 0, 30000000000},
		{"500ms", 0, 500000000},
		{"1m30s", 0, 90000000000},
		{"1h1m1s", 0, 3661000000000},
		{"1.5s", 0, 1500000000},
		{"0.25ms", 0, 250000},
		{"0", 0, 0},
		{"0s", 0, 0},
		{"10", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"s", -EINVAL, 0},
		{"5x", -EINVAL, 0},
		{"-5s", -EINVAL, 0},
		{"1s1m", -EINVAL, 0},
		{"1s1s", -EINVAL, 0},
		{"1.5m30s", -EINVAL, 0},
		{"1.s", -EINVAL, 0},
		{"99999999999999999999s", -ERANGE, 0},
		{"9999999h", -ERANGE, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ns = 0;

		assert_int_equal(parse_duration(cases[i].text, &ns), cases[i].result);
		assert_int_equal(ns, cases[i].ns);
	}
}

static void durations_survive_a_round_trip(void **state)
{
	static const uint64_t values[] = {1,         999,         1500,        2500000,
					  500000000, 30000000000, 90000000000, 3600000000000};
	char buffer[32];

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint64_t ns;

		assert_int_equal(parse_duration(format_duration(values[i], buffer), &ns), 0);
		assert_int_equal(ns, values[i]);
	}
}

static void parses_numbers(void **state)
{
	uint64_t value = 7;

	assert_int_equal(parse_u64("10000", 1, 10000, &value), 0);
	assert_int_equal(value, 10000);
	assert_int_equal(parse_u64("10001", 1, 10000, &value), -ERANGE);
	assert_int_equal(parse_u64("0", 1, 10000, &value), -ERANGE);
	assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &value), 0);
	assert_int_equal(parse_u64("18446744073709551616", 0, UINT64_MAX, &value), -ERANGE);
	assert_int_equal(parse_u64("", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_u64("1x", 0, 9, &value), -EINVAL);
	assert_int_equal(parse_u64("+1", 0, 9, &value), -EINVAL);
}

static void map_keeps_every_key(void **state)
{
	struct map64 map = {};
	uint64_t *value;

	for (uint64_t i = 0; i < 10000; i++) {
		assert_int_equal(map64_put(&map, i * 4096, &value), 0);
		*value = i;
	}
	assert_int_equal(map64_put(&map, 4096, &value), 1);
	assert_int_equal(*value, 1);
	for (uint64_t i = 0; i < 10000; i++)
		assert_int_equal(*map64_get(&map, i * 4096), i);
	assert_null(map64_get(&map, 1));
	assert_int_equal(map64_put(&map, MAP64_EMPTY, &value), -EINVAL);
	map64_clear(&map);
	assert_null(map64_get(&map, 4096));
	map64_deinit(&map);
}

static void intern_gives_equal_numbers_to_equal_bytes(void **state)
{
	struct intern *table;
	uint32_t a, b, c, empty;
	char text[32];
	size_t size;

	assert_int_equal(intern_new(&table), 0);
	assert_int_equal(intern_put(table, "", 0, &empty), 0);
	assert_int_equal(intern_put(table, "ab", 2, &a), 0);
	assert_int_equal(intern_put(table, "abc", 2, &b), 1);
	assert_int_equal(intern_put(table, "a\0b", 3, &c), 0);
	assert_int_equal(a, b);
	assert_int_not_equal(a, c);
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "string %d", i);
		assert_int_equal(intern_put(table, text, strlen(text), &b), 0);
	}
	assert_string_equal(intern_get(table, a, &size), "ab");
	assert_int_equal(size, 2);
	assert_int_equal(intern_count(table), 5003);
	intern_free(table);
}

static void hist_quantiles_are_close(void **state)
{
	static struct hist hist;

	for (uint64_t i = 1; i <= 100000; i++)
		hist_add(&hist, i);
	assert_in_range(hist_quantile(&hist, 0.5), 50000, 50000 * 33 / 32 + 1);
	assert_in_range(hist_quantile(&hist, 0.99), 99000, 100000);
	assert_int_equal(hist_quantile(&hist, 1), 100000);
	hist_add(&hist, UINT64_MAX);
	assert_int_equal(hist.max, UINT64_MAX);
}

struct ring_run {
	struct ring *ring;
	uint64_t n, sum;
};

static void *produce(void *arg)
{
	struct ring_run *run = arg;

	for (uint64_t i = 0; i < run->n;) {
		uint64_t *record = ring_reserve(run->ring, 1000);

		if (!record)
			continue;
		for (size_t k = 0; k <= i % 100; k++)
			record[k] = i;
		ring_commit(run->ring, (i % 100 + 1) * 8);
		i++;
	}
	return NULL;
}

static void ring_passes_every_record_in_order(void **state)
{
	struct ring_run run = {.n = 200000};
	pthread_t thread;

	assert_int_equal(ring_new(8192, &run.ring), 0);
	assert_null(ring_reserve(run.ring, 5000));
	assert_int_equal(pthread_create(&thread, NULL, produce, &run), 0);
	for (uint64_t i = 0; i < run.n;) {
		size_t size;
		uint64_t *record = ring_peek(run.ring, &size);

		if (!record)
			continue;
		assert_int_equal(size, (i % 100 + 1) * 8);
		assert_int_equal(record[0], i);
		assert_int_equal(record[size / 8 - 1], i);
		ring_pop(run.ring);
		i++;
	}
	pthread_join(thread, NULL);
	ring_free(run.ring);
}

static void ring_refuses_when_full(void **state)
{
	struct ring *ring;
	size_t size;
	int n = 0;

	assert_int_equal(ring_new(4096, &ring), 0);
	while (ring_reserve(ring, 1016)) {
		ring_commit(ring, 1016);
		n++;
	}
	assert_int_equal(n, 4);
	assert_int_equal(ring_room(ring), 0);
	assert_non_null(ring_peek(ring, &size));
	ring_pop(ring);
	assert_int_equal(ring_room(ring), 1024);
	assert_non_null(ring_reserve(ring, 1016));
	ring_free(ring);
}

static void *produce_in_a_queue(void *arg)
{
	struct queue *queue = arg;

	for (uint64_t i = 0; i < 200000;) {
		/* Every now and then one that is too large for the small ring. */
		size_t size = i % 1000 == 999 ? 6000 : (i % 100 + 1) * 8;
		uint64_t *record = queue_reserve(queue, size);

		if (!record)
			continue;
		record[0] = record[size / 8 - 1] = i++;
		queue_commit(queue, size);
	}
	return NULL;
}

static void queue_passes_every_record_in_order(void **state)
{
	struct queue *queue;
	pthread_t thread;

	assert_int_equal(queue_new(4096, 16384, &queue), 0);
	assert_int_equal(pthread_create(&thread, NULL, produce_in_a_queue, queue), 0);
	for (uint64_t i = 0; i < 200000;) {
		size_t size;
		uint64_t *record = queue_peek(queue, &size);

		if (!record)
			continue;
		assert_int_equal(size, i % 1000 == 999 ? 6000 : (i % 100 + 1) * 8);
		assert_int_equal(record[0], i);
		assert_int_equal(record[size / 8 - 1], i++);
		queue_pop(queue);
	}
	pthread_join(thread, NULL);
	queue_free(queue);
}

static void queue_uses_the_large_ring_last(void **state)
{
	struct queue *queue;
	size_t size;
	int n = 0;

	assert_int_equal(queue_new(4096, 16384, &queue), 0);
	/* 8 bytes each for the place and the ring's header. */
	for (; n < 4; n++) {
		assert_non_null(queue_reserve(queue, 1008));
		queue_commit(queue, 1008);
	}
	assert_int_equal(queue_room(queue), 16384);
	for (; queue_reserve(queue, 1008); n++)
		queue_commit(queue, 1008);
	assert_int_equal(n, 20);
	assert_int_equal(queue_room(queue), 0);
	for (; queue_peek(queue, &size); n--)
		queue_pop(queue);
	assert_int_equal(n, 0);
	assert_int_equal(queue_room(queue), 16384);
	queue_free(queue);
}

static void reads_fields(void **state)
{
	uint64_t fields[4] = {};

	assert_int_equal(parse_fields("12 -3  45\n", fields, 4), 3);
	assert_int_equal(fields[0], 12);
	assert_int_equal((int64_t)fields[1], -3);
	assert_int_equal(fields[2], 45);
	assert_int_equal(parse_fields("1 2 3", fields, 2), 2);
	assert_int_equal(parse_fields("", fields, 2), 0);
	assert_int_equal(parse_fields("7 x 8", fields, 3), 1);
}

static void text_is_clean(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{"plain", "plain"},
		{"a\x1b[31m\n\x7f", "a?[31m??"},
		{"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
		 "\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
		/* A C1 control, a lonely byte, an overlong slash, half a character. */
		{"\xc2\x9b", "?"},
		{"\xff", "?"},
		{"\xc0\xaf", "??"},
		{"\xe2\x82", "??"},
	};
	char text[64];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
			text_clean(text, sizeof(text), cases[i].from, strlen(cases[i].from)),
			strlen(cases[i].to));
		assert_string_equal(text, cases[i].to);
	}
	/* No character is cut in two. */
	assert_int_equal(text_clean(text, 5, "abc\xc3\xa9", 5), 3);
	assert_string_equal(text, "abc");
	assert_int_equal(text_clean(text, 1, "abc", 3), 0);
}

static void text_keeps_its_bound(void **state)
{
	char text[8] = "";
	size_t n = text_add(text, sizeof(text), 0, "%s", "abc");

	assert_int_equal(n, 3);
	n = text_add(text, sizeof(text), n, "%d", 123456);
	assert_int_equal(n, 7);
	assert_string_equal(text, "abc1234");
	assert_int_equal(text_add(text, sizeof(text), n, "x"), 7);
	assert_string_equal(text, "abc1234");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_durations),
		cmocka_unit_test(durations_survive_a_round_trip),
		cmocka_unit_test(parses_numbers),
		cmocka_unit_test(map_keeps_every_key),
		cmocka_unit_test(intern_gives_equal_numbers_to_equal_bytes),
		cmocka_unit_test(hist_quantiles_are_close),
		cmocka_unit_test(ring_passes_every_record_in_order),
		cmocka_unit_test(ring_refuses_when_full),
		cmocka_unit_test(queue_passes_every_record_in_order),
		cmocka_unit_test(queue_uses_the_large_ring_last),
		cmocka_unit_test(reads_fields),
		cmocka_unit_test(text_is_clean),
		cmocka_unit_test(text_keeps_its_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
