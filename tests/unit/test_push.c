/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "pprof/pprof.h"
#include "profile_made.h"
#include "push/push_priv.h"

static void addresses(void **state)
{
	static const struct {
		const char *text, *url;
		int outcome;
	} cases[] = {
		{"http://h:4040", "http://h:4040/ingest", 0},
		{"http://h:4040/", "http://h:4040/ingest", 0},
		{"https://h/ingest", "https://h/ingest", 0},
		{"https://h/ingest/", "https://h/ingest", 0},
		{"https://h/pyroscope/", "https://h/pyroscope/ingest", 0},
		{"https://h/digest", "https://h/digest/ingest", 0},
		{"http://[::1]:4040", "http://[::1]:4040/ingest", 0},
		{"HTTP://h:65535", "HTTP://h:65535/ingest", 0},
		{"http://h/a@b", "http://h/a@b/ingest", 0},
		{"h:4040", NULL, PUSH_URL_SCHEME},
		{"", NULL, PUSH_URL_SCHEME},
		{"ftp://h/", NULL, PUSH_URL_SCHEME},
		{"file:///etc/passwd", NULL, PUSH_URL_SCHEME},
		{"http://u:p@h/", NULL, PUSH_URL_CREDENTIALS},
		{"http://token@h/", NULL, PUSH_URL_CREDENTIALS},
		{"ftp://u:p@h/", NULL, PUSH_URL_CREDENTIALS},
		{"u:p@h", NULL, PUSH_URL_CREDENTIALS},
		{"http://h?a=b", NULL, PUSH_URL_QUERY},
		{"http://h/?a=b", NULL, PUSH_URL_QUERY},
		{"http://h/#a", NULL, PUSH_URL_QUERY},
		{"http://h:99999/", NULL, PUSH_URL_MALFORMED},
		{"http://h:0/", NULL, PUSH_URL_MALFORMED},
		{"http://h:/", NULL, PUSH_URL_MALFORMED},
		{"http://h:8o/", NULL, PUSH_URL_MALFORMED},
		{"http://:80/", NULL, PUSH_URL_MALFORMED},
		{"http:///ingest", NULL, PUSH_URL_MALFORMED},
		{"http://[::1", NULL, PUSH_URL_MALFORMED},
		{"http://[::1]80", NULL, PUSH_URL_MALFORMED},
		{"http://h/a\x1b", NULL, PUSH_URL_MALFORMED},
		{"http://a b/", NULL, PUSH_URL_MALFORMED},
		{"http://", NULL, PUSH_URL_MALFORMED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *url = NULL;

		print_message("%s\n", cases[i].text);
		assert_int_equal(push_url_make(cases[i].text, &url), cases[i].outcome);
		if (cases[i].url)
			assert_string_equal(url, cases[i].url);
		else
			assert_null(url);
	}
	assert_true(push_url_is_open("http://example.org/ingest"));
	assert_true(push_url_is_open("http://127.0.0.1.example.org/ingest"));
	assert_false(push_url_is_open("https://example.org/ingest"));
	assert_false(push_url_is_open("http://127.0.0.1:4040/ingest"));
	assert_false(push_url_is_open("http://[::1]:4040/ingest"));
	assert_false(push_url_is_open("HTTP://localhost/ingest"));
	assert_true(push_url_is_open("HTTP://[::2]/ingest"));
}

static void names_and_labels(void **state)
{
	char name[] = "a b{c}=d/e.f-\xc3\xbc", long_value[2050], *key = long_value + 1000;

	assert_true(push_name_is_valid("my-app/1.x_y"));
	assert_false(push_name_is_valid(""));
	assert_false(push_name_is_valid("a{b}"));
	push_name_clean(name);
	assert_string_equal(name, "a_b_c__d/e.f-__");
	assert_int_equal(push_label_check("region.a_1", "eu west {=\xc3\xbc"), 0);
	assert_int_equal(push_label_check("", "x"), PUSH_LABEL_KEY);
	assert_int_equal(push_label_check("1a", "x"), PUSH_LABEL_KEY);
	assert_int_equal(push_label_check("a-b", "x"), PUSH_LABEL_KEY);
	assert_int_equal(push_label_check("__name__", "x"), PUSH_LABEL_KEY);
	assert_int_equal(push_label_check("a", ""), PUSH_LABEL_VALUE);
	assert_int_equal(push_label_check("a", "x,y"), PUSH_LABEL_VALUE);
	assert_int_equal(push_label_check("a", "x}"), PUSH_LABEL_VALUE);
	assert_int_equal(push_label_check("a", "x\ny"), PUSH_LABEL_VALUE);
	assert_int_equal(push_label_check("a", "\xff"), PUSH_LABEL_VALUE);
	memset(long_value, 'x', sizeof(long_value));
	long_value[2049] = '\0';
	assert_int_equal(push_label_check("a", long_value), PUSH_LABEL_TOO_LONG);
	assert_int_equal(push_label_check("a", long_value + 1), 0);
	assert_int_equal(push_label_check(key, "x"), PUSH_LABEL_TOO_LONG);
}

static void queries(void **state)
{
	const struct push_label labels[] = {{"hostname", "h1"}, {"zone", "a & b=\xc3\xbc"}};
	_cleanup_free_ char *url = NULL, *bare = NULL;

	assert_int_equal(push_query_make("http://h/ingest", "app", labels, 2, 1700000000999999999,
					 1700000015000000001, false, &url),
			 0);
	assert_string_equal(url, "http://h/ingest?name=app%7Bhostname%3Dh1%2Czone%3Da%20%26%20b%3D"
				 "%C3%BC%7D&from=1700000000&until=1700000015&spyName=cprof"
				 "&format=pprof");
	assert_int_equal(push_query_make("http://h/ingest", "a/b", NULL, 0, 0, 0, true, &bare), 0);
	assert_string_equal(bare, "http://h/ingest?name=a%2Fb&from=0&until=0&spyName=cprof");
}

static void verdicts(void **state)
{
	static const unsigned again[] = {408, 429, 500, 502, 503, 504, 599};
	static const unsigned refused[] = {301, 302, 400, 401, 403, 404, 413, 422, 600};

	for (size_t i = 0; i < ARRAY_SIZE(again); i++)
		assert_int_equal(push_retry_verdict(again[i]), PUSH_AGAIN);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		assert_int_equal(push_retry_verdict(refused[i]), PUSH_REFUSED);
	assert_int_equal(push_retry_verdict(200), PUSH_TAKEN);
	assert_int_equal(push_retry_verdict(204), PUSH_TAKEN);
}

/* Each wait is between half of a power of two and all of it, up to a minute. */
static void waits(void **state)
{
	uint64_t whole = NSEC_PER_SEC, lowest = UINT64_MAX, highest = 0;

	for (unsigned failures = 1; failures < 200; failures++) {
		for (uint32_t random = 0; random < 2000; random += 7) {
			uint64_t wait = push_retry_wait_ns(failures, random, 0);

			assert_in_range(wait, whole / 2, whole);
			lowest = failures == 1 ? MIN(lowest, wait) : lowest;
			highest = failures == 1 ? MAX(highest, wait) : highest;
		}
		whole = MIN(whole * 2, 60 * NSEC_PER_SEC);
	}
	assert_true(lowest < NSEC_PER_SEC * 51 / 100 && highest > NSEC_PER_SEC * 99 / 100);
	assert_in_range(push_retry_wait_ns(UINT32_MAX, UINT32_MAX, 0), 30 * NSEC_PER_SEC,
			60 * NSEC_PER_SEC);
	assert_int_equal(push_retry_wait_ns(1, 0, 7 * NSEC_PER_SEC), 7 * NSEC_PER_SEC);
	assert_in_range(push_retry_wait_ns(9, 0, NSEC_PER_SEC), 30 * NSEC_PER_SEC,
			60 * NSEC_PER_SEC);
	assert_int_equal(push_retry_wait_ns(1, 0, UINT64_MAX), 600 * NSEC_PER_SEC);
}

static struct push_item *item(size_t size)
{
	struct push_item *made = calloc(1, sizeof(*made));

	assert_non_null(made);
	made->body.size = size;
	return made;
}

static void the_oldest_go(void **state)
{
	struct push_item *first = item(1), *second = item(2), *taken;
	struct push_queue queue;

	push_queue_init(&queue);
	assert_null(push_queue_take(&queue));
	assert_int_equal(push_queue_put(&queue, first), 0);
	assert_int_equal(push_queue_put(&queue, second), 0);
	taken = push_queue_take(&queue);
	assert_ptr_equal(taken, first);
	for (unsigned i = 2; i <= PUSH_MAX_QUEUED; i++)
		assert_int_equal(push_queue_put(&queue, item(1)), 0);
	/* What comes back to a full queue is the oldest. */
	assert_int_equal(push_queue_return(&queue, taken), 1);
	assert_int_equal(queue.n, PUSH_MAX_QUEUED);
	assert_ptr_equal(queue.head, second);
	assert_int_equal(push_queue_put(&queue, item(1)), 1);
	assert_int_equal(queue.bytes, PUSH_MAX_QUEUED);
	/* One that is too large stays, alone. */
	assert_int_equal(push_queue_put(&queue, item(PUSH_MAX_QUEUED_BYTES + 1)), PUSH_MAX_QUEUED);
	assert_int_equal(queue.n, 1);
	push_queue_deinit(&queue);
	assert_int_equal(queue.n + queue.bytes, 0);
	taken = item(5);
	assert_int_equal(push_queue_return(&queue, taken), 0);
	assert_int_equal(push_queue_put(&queue, item(6)), 0);
	assert_ptr_equal(queue.head, taken);
	push_queue_deinit(&queue);
}

static void add_sample(struct profile *profile, unsigned number, unsigned depth)
{
	uint32_t stack = 0, location, set;
	char name[32];

	for (unsigned i = 0; i < depth; i++) {
		snprintf(name, sizeof(name), "_ZN2ns5run%02uEv", (number + i) % 60);
		check(profile_location_named(profile, 1, name, &location));
		check(profile_stack_intern(profile, stack, location, &stack));
	}
	snprintf(name, sizeof(name), "%u", number);

	struct profile_label labels[] = {
		{.key = string(profile, "thread"), .text = string(profile, "worker")},
		{.key = string(profile, "tid"), .text = string(profile, name)},
	};

	check(profile_labels_intern(profile, labels, 2, &set));
	check(profile_sample_add(profile, stack, set, (int64_t[]){1, 10 + number}));
}

static struct profile *unpack(struct push_bytes *take_bytes)
{
	struct profile *profile;
	const char *why = NULL;

	check(pprof_read(take_bytes->bytes, take_bytes->size, &why, &profile));
	free(take_bytes->bytes);
	return profile;
}

static struct profile *make(void)
{
	struct profile *profile;
	uint32_t id;

	check(profile_new(&made_spec, &profile));
	check(profile_mapping_add(
		profile, &(struct profile_mapping){.file = string(profile, "/opt/server")}, &id));
	return profile;
}

static void packing(void **state)
{
	struct profile *profile = make(), *sent;
	struct push_bytes bytes;
	const struct profile_label *labels;
	uint32_t n;

	assert_int_equal(push_pack(profile, 100, &bytes), PUSH_EMPTY);
	add_sample(profile, 1, 1);
	add_sample(profile, 61, 1);
	check(push_pack(profile, 100, &bytes));
	sent = unpack(&bytes);
	/* One stack, and what told them apart is gone. */
	assert_int_equal(profile_n_samples(sent), 1);
	assert_int_equal(profile_total(sent, 1), profile_total(profile, 1));
	labels = profile_labels(sent, profile_sample(sent, 0)->labels, &n);
	assert_int_equal(n, 1);
	assert_string_equal(profile_get_string(sent, labels[0].key), "thread");
	assert_string_equal(profile_get_string(sent, profile_function(sent, 1)->name),
			    "ns::run01()");
	assert_string_equal(profile_get_string(sent, profile_function(sent, 1)->system_name),
			    "_ZN2ns5run01Ev");
	profile_free(sent);
	profile_free(profile);
	assert_null(push_pack_config("cpu"));
	assert_non_null(strstr(push_pack_config("heap"), "\"average\""));
	assert_non_null(strstr(push_pack_config("block"), "\"block_count\""));
	assert_non_null(strstr(push_pack_config("mutex"), "\"mutex_duration\""));
}

static void too_many_samples_and_bytes(void **state)
{
	struct profile *profile = make(), *sent;
	struct push_bytes bytes;

	for (unsigned i = 0; i < 60; i++)
		add_sample(profile, i, 3);
	check(push_pack(profile, 10, &bytes));
	sent = unpack(&bytes);
	assert_int_equal(profile_n_samples(sent), 10);
	assert_int_equal(profile_total(sent, 1), profile_total(profile, 1));
	profile_free(sent);
	/* Some 700 bytes each: 16,000 of them would be too many. */
	for (unsigned depth = 400; depth < 640; depth++) {
		for (unsigned i = 0; i < 60; i++)
			add_sample(profile, i, depth);
	}
	check(push_pack(profile, PUSH_MAX_SAMPLES, &bytes));
	sent = unpack(&bytes);
	assert_in_range(profile_n_samples(sent), 1000, 10000);
	assert_int_equal(profile_total(sent, 1), profile_total(profile, 1));
	profile_free(sent);
	profile_free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses), cmocka_unit_test(names_and_labels),
		cmocka_unit_test(queries),   cmocka_unit_test(verdicts),
		cmocka_unit_test(waits),     cmocka_unit_test(the_oldest_go),
		cmocka_unit_test(packing),   cmocka_unit_test(too_many_samples_and_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
