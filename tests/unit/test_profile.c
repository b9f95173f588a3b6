/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile_fixture.h"

static void the_spec_is_copied(void **state)
{
	char type[] = "alloc_space", unit[] = "bytes", preset[] = "alloc_space";
	struct profile_spec spec = {
		.sample_types = {{type, unit}},
		.n_sample_types = 1,
		.period = 524288,
		.default_sample_type = preset,
	};
	struct profile *profile;

	assert_int_equal(profile_new(&spec, &profile), 0);
	memset(type, 'x', sizeof(type) - 1);
	memset(unit, 'x', sizeof(unit) - 1);
	memset(preset, 'x', sizeof(preset) - 1);
	assert_string_equal(profile_get_spec(profile)->sample_types[0].type, "alloc_space");
	assert_string_equal(profile_get_spec(profile)->sample_types[0].unit, "bytes");
	assert_string_equal(profile_get_spec(profile)->default_sample_type, "alloc_space");
	assert_string_equal(profile_get_spec(profile)->period_type.type, "");
	assert_int_equal(profile_get_spec(profile)->period, 524288);
	profile_free(profile);

	spec.n_sample_types = PROFILE_MAX_TYPES + 1;
	assert_int_equal(profile_new(&spec, &profile), -EINVAL);
	assert_null(profile_free(NULL));
}

static void equal_texts_have_one_number(void **state)
{
	struct profile *profile = make();
	uint32_t main_id = string(profile, "main"), n = profile_n_strings(profile);

	assert_int_equal(string(profile, ""), 0);
	assert_int_equal(string(profile, NULL), 0);
	assert_int_equal(string(profile, "main"), main_id);
	assert_int_equal(profile_n_strings(profile), n);
	assert_int_not_equal(string(profile, "main2"), main_id);
	assert_string_equal(profile_get_string(profile, main_id), "main");
	/* The spec's words are in the table from the start. */
	n = profile_n_strings(profile);
	string(profile, "nanoseconds");
	assert_int_equal(profile_n_strings(profile), n);
	profile_free(profile);
}

static void bad_utf8_is_replaced(void **state)
{
	static const struct {
		const char *text, *repaired;
	} cases[] = {
		{"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
		{"\xe2\x82\xac \xf0\x9f\x98\x80", "\xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf",
		 "\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf"},
		{"a\xff"
		 "b",
		 "a\xef\xbf\xbd"
		 "b"},
		{"\x80", "\xef\xbf\xbd"},
		{"cut \xe2\x82", "cut \xef\xbf\xbd\xef\xbf\xbd"},
		{"\xc3", "\xef\xbf\xbd"},
		{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf0\x8f\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
		{"\xf5\xc3\xbc", "\xef\xbf\xbd\xc3\xbc"},
		{"\xc3(", "\xef\xbf\xbd("},
	};
	struct profile *profile = make();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t id = string(profile, cases[i].text);

		assert_string_equal(profile_get_string(profile, id), cases[i].repaired);
		assert_int_equal(profile_is_utf8(cases[i].text),
				 strcmp(cases[i].text, cases[i].repaired) == 0);
		assert_int_equal(string(profile, cases[i].repaired), id);
	}
	profile_free(profile);
}

static void long_texts_are_cut_at_a_character(void **state)
{
	struct profile *profile = make();
	char *text = malloc(PROFILE_MAX_STRING * 2 + 2);
	const char *kept;

	assert_non_null(text);
	memset(text, 'a', PROFILE_MAX_STRING);
	text[PROFILE_MAX_STRING] = '\0';
	assert_string_equal(profile_get_string(profile, string(profile, text)), text);

	/* U+00FC from an odd offset: the limit lies in the middle of one. */
	for (size_t i = 1; i < PROFILE_MAX_STRING * 2; i += 2)
		memcpy(text + i, "\xc3\xbc", 2);
	text[PROFILE_MAX_STRING * 2 + 1] = '\0';
	kept = profile_get_string(profile, string(profile, text));
	assert_true(profile_is_utf8(kept));
	assert_int_equal(strlen(kept), PROFILE_MAX_STRING - 1 + 3);
	assert_string_equal(kept + PROFILE_MAX_STRING - 1, "\xe2\x80\xa6");
	free(text);
	profile_free(profile);
}

static void functions_are_interned(void **state)
{
	struct profile *profile = make();
	struct profile_function function = {.name = string(profile, "f"),
					    .system_name = string(profile, "_Z1fv"),
					    .file = string(profile, "f.cc"),
					    .start_line = 3};
	uint32_t a, b;

	assert_int_equal(profile_function_intern(profile, &function, &a), 0);
	assert_int_equal(a, 1);
	assert_int_equal(profile_function_intern(profile, &function, &b), 0);
	assert_int_equal(b, 1);
	function.start_line = 4;
	assert_int_equal(profile_function_intern(profile, &function, &b), 0);
	assert_int_equal(b, 2);
	assert_int_equal(profile_n_functions(profile), 2);
	assert_int_equal(profile_function(profile, 1)->start_line, 3);
	function.file = profile_n_strings(profile);
	assert_int_equal(profile_function_intern(profile, &function, &b), -EINVAL);
	profile_free(profile);
}

static void locations_are_told_apart_by_mapping_and_address(void **state)
{
	struct profile *profile = make();
	struct profile_mapping mapping = {
		.start = 0x1000, .limit = 0x9000, .file = string(profile, "/bin/a")};
	uint32_t first, second, a, b, c, again;

	assert_int_equal(profile_mapping_add(profile, &mapping, &first), 0);
	assert_int_equal(profile_mapping_add(profile, &mapping, &second), 0);
	assert_int_equal(first, 1);
	assert_int_equal(second, 2);
	profile_mapping(profile, 2)->has_functions = true;
	assert_false(profile_mapping(profile, 1)->has_functions);
	assert_int_equal(profile_location_intern(profile, 1, 0x2000, &a), 0);
	assert_int_equal(profile_location_intern(profile, 2, 0x2000, &b), 0);
	assert_int_equal(profile_location_intern(profile, 1, 0x2001, &c), 0);
	assert_int_equal(profile_location_intern(profile, 1, 0x2000, &again), 0);
	assert_int_equal(a, 1);
	assert_int_equal(b, 2);
	assert_int_equal(c, 3);
	assert_int_equal(again, 1);
	assert_int_equal(profile_location(profile, 2)->mapping, 2);
	assert_int_equal(profile_location(profile, 3)->address, 0x2001);
	assert_int_equal(profile_n_locations(profile), 3);
	assert_int_equal(profile_location_intern(profile, 3, 0x2000, &a), -EINVAL);
	profile_free(profile);
}

static void lines_are_set_once(void **state)
{
	struct profile *profile = make();
	struct profile_function function = {.name = string(profile, "f")};
	struct profile_line lines[] = {{.line = 10, .column = 5}, {.line = 20}};
	uint32_t id = location(profile, 0x10), other = location(profile, 0x20);
	const struct profile_line *kept;

	assert_int_equal(profile_location_set_lines(profile, id, lines, 2), -EINVAL);
	assert_int_equal(profile_function_intern(profile, &function, &lines[0].function), 0);
	lines[1].function = lines[0].function;
	assert_int_equal(profile_location_set_lines(profile, other, lines, 1), 0);
	assert_int_equal(profile_location_set_lines(profile, id, lines, 2), 0);
	assert_int_equal(profile_location_set_lines(profile, id, lines, 2), -EINVAL);
	assert_int_equal(profile_location_set_lines(profile, 3, lines, 2), -EINVAL);
	assert_int_equal(profile_location(profile, id)->n_lines, 2);
	kept = profile_location_lines(profile, profile_location(profile, id));
	assert_int_equal(kept[0].line, 10);
	assert_int_equal(kept[0].column, 5);
	assert_int_equal(kept[1].line, 20);
	profile_free(profile);
}

static void named_locations_are_found_by_name(void **state)
{
	struct profile *profile = make();
	uint32_t a, b, again, plain = location(profile, 0);
	const struct profile_line *line;

	assert_int_equal(profile_location_named(profile, 0, "[exited threads]", &a), 0);
	assert_int_equal(profile_location_named(profile, 0, "[lost]", &b), 0);
	assert_int_equal(profile_location_named(profile, 0, "[exited threads]", &again), 0);
	assert_int_not_equal(a, b);
	assert_int_not_equal(a, plain);
	assert_int_equal(a, again);
	assert_int_equal(profile_location(profile, a)->n_lines, 1);
	line = profile_location_lines(profile, profile_location(profile, a));
	assert_string_equal(
		profile_get_string(profile, profile_function(profile, line->function)->name),
		"[exited threads]");
	profile_free(profile);
}

static void added_locations_are_never_merged(void **state)
{
	struct profile *profile = make();
	uint32_t a, b;

	assert_int_equal(profile_location_add(profile, 0, 0, NULL, 0, &a), 0);
	assert_int_equal(profile_location_add(profile, 0, 0, NULL, 0, &b), 0);
	assert_int_equal(a, 1);
	assert_int_equal(b, 2);
	assert_int_equal(location(profile, 0), 1);
	assert_int_equal(location(profile, 7), 3);
	profile_free(profile);
}

static void stacks_share_their_callers(void **state)
{
	struct profile *profile = make();
	uint32_t root = stack(profile, 0, 0x10), middle = stack(profile, root, 0x20),
		 leaf = stack(profile, middle, 0x30), id;

	assert_int_equal(stack(profile, stack(profile, stack(profile, 0, 0x10), 0x20), 0x30), leaf);
	assert_int_not_equal(stack(profile, root, 0x30), leaf);
	assert_int_not_equal(stack(profile, 0, 0x30), leaf);
	assert_int_equal(profile_stack_leaf(profile, leaf), location(profile, 0x30));
	assert_int_equal(profile_stack_callers(profile, leaf), middle);
	assert_int_equal(profile_stack_callers(profile, middle), root);
	assert_int_equal(profile_stack_callers(profile, root), 0);
	assert_int_equal(profile_stack_intern(profile, 999, 1, &id), -EINVAL);
	assert_int_equal(profile_stack_intern(profile, 0, 0, &id), -EINVAL);
	assert_int_equal(profile_stack_intern(profile, 0, 4, &id), -EINVAL);
	profile_free(profile);
}

static void label_order_does_not_matter(void **state)
{
	struct profile *profile = make();
	struct profile_label tid = {.key = string(profile, "tid"), .text = string(profile, "12")};
	struct profile_label size = {
		.key = string(profile, "size"), .number = 64, .unit = string(profile, "bytes")};
	struct profile_label cpu = {.key = string(profile, "core"), .text = string(profile, "3")};
	struct profile_label one[] = {tid, size, cpu}, two[] = {cpu, tid, size};
	uint32_t a, b, n;
	const struct profile_label *kept;

	assert_int_equal(profile_labels_intern(profile, one, 3, &a), 0);
	assert_int_equal(profile_labels_intern(profile, two, 3, &b), 0);
	assert_int_not_equal(a, 0);
	assert_int_equal(a, b);
	kept = profile_labels(profile, a, &n);
	assert_int_equal(n, 3);
	assert_int_equal(kept[0].key, tid.key);
	assert_int_equal(kept[1].number, 64);
	assert_int_equal(kept[2].text, cpu.text);

	/* What no file can hold beside a text does not make a set of its own. */
	one[0].unit = size.unit;
	one[0].number = 3;
	assert_int_equal(profile_labels_intern(profile, one, 3, &b), 0);
	assert_int_equal(a, b);

	one[1].number = 65;
	assert_int_equal(profile_labels_intern(profile, one, 3, &b), 0);
	assert_int_not_equal(a, b);
	assert_int_equal(profile_labels_intern(profile, two, 2, &b), 0);
	assert_int_not_equal(a, b);
	profile_free(profile);
}

static void a_key_has_one_label(void **state)
{
	struct profile *profile = make();
	uint32_t tid = string(profile, "tid"), a, n;
	struct profile_label labels[] = {{.key = tid, .text = string(profile, "1")},
					 {.key = tid, .text = string(profile, "2")},
					 {.key = string(profile, "empty")}};
	struct profile_label many[PROFILE_MAX_LABELS + 1] = {};
	const struct profile_label *kept;

	assert_int_equal(profile_labels_intern(profile, labels, 3, &a), 0);
	kept = profile_labels(profile, a, &n);
	assert_int_equal(n, 1);
	assert_int_equal(kept[0].text, labels[0].text);

	/* What says nothing makes no set. */
	assert_int_equal(profile_labels_intern(profile, &labels[2], 1, &a), 0);
	assert_int_equal(a, 0);
	assert_int_equal(profile_labels_intern(profile, NULL, 0, &a), 0);
	assert_int_equal(a, 0);
	assert_null(profile_labels(profile, 0, &n));
	assert_int_equal(n, 0);
	assert_int_equal(profile_labels_intern(profile, many, PROFILE_MAX_LABELS + 1, &a), -EINVAL);
	labels[0].text = profile_n_strings(profile);
	assert_int_equal(profile_labels_intern(profile, labels, 1, &a), -EINVAL);
	profile_free(profile);
}

static void samples_add_up(void **state)
{
	struct profile *profile = make();
	struct profile_label label = {.key = string(profile, "tid"), .text = string(profile, "1")};
	uint32_t a = stack(profile, 0, 0x10), b = stack(profile, a, 0x20), labels;
	static const int64_t values[] = {1, 10000000};

	assert_int_equal(profile_labels_intern(profile, &label, 1, &labels), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(profile_sample_add(profile, a, 0, values), 0);
	assert_int_equal(profile_sample_add(profile, b, 0, values), 0);
	assert_int_equal(profile_sample_add(profile, a, labels, values), 0);
	/* (stack, labels) and not (labels, stack): both are small numbers. */
	assert_int_equal(profile_sample_add(profile, 0, a, values), 0);
	assert_int_equal(profile_n_samples(profile), 4);
	assert_int_equal(profile_sample(profile, 0)->stack, a);
	assert_int_equal(profile_sample(profile, 0)->values[0], 3);
	assert_int_equal(profile_sample(profile, 0)->values[1], 30000000);
	assert_int_equal(profile_sample(profile, 2)->labels, labels);
	assert_int_equal(profile_sample(profile, 2)->values[0], 1);
	assert_int_equal(profile_total(profile, 0), 6);
	assert_int_equal(profile_total(profile, 1), 60000000);
	assert_int_equal(profile_sample_add(profile, 3, 0, values), -EINVAL);
	assert_int_equal(profile_sample_add(profile, a, labels + 1, values), -EINVAL);
	profile_free(profile);
}

static void sums_do_not_overflow(void **state)
{
	struct profile *profile = make();
	uint32_t a = stack(profile, 0, 0x10);
	static const int64_t values[] = {INT64_MAX, INT64_MIN};

	assert_int_equal(profile_sample_add(profile, a, 0, values), 0);
	assert_int_equal(profile_sample_add(profile, a, 0, values), 0);
	assert_true(profile_sample(profile, 0)->values[0] == INT64_MAX);
	assert_true(profile_sample(profile, 0)->values[1] == INT64_MIN);
	assert_int_equal(profile_sample_add(profile, 0, 0, values), 0);
	assert_true(profile_total(profile, 0) == INT64_MAX);
	profile_free(profile);
}

static void comments_and_times_are_kept(void **state)
{
	struct profile *profile = make();

	profile_set_time(profile, 1700000000000000000, 30000000000);
	assert_int_equal(profile_comment_add(profile, "dropped: 3"), 0);
	assert_int_equal(profile_comment_add(profile, "dropped: 3"), 0);
	assert_int_equal(profile_n_comments(profile), 2);
	assert_string_equal(profile_get_string(profile, profile_comment(profile, 1)), "dropped: 3");
	assert_true(profile_time(profile) == 1700000000000000000);
	assert_true(profile_duration(profile) == 30000000000);
	profile_free(profile);
}

/* Two threads in two functions of two mappings, with values of two kinds. */
static struct profile *make_two_kinds(void)
{
	static const struct profile_spec spec = {
		.sample_types = {{"samples", "count"}, {"cpu", "nanoseconds"}, {"delay", "count"}},
		.n_sample_types = 3,
	};
	static const int64_t values[][3] = {{1, 10, 0}, {2, 20, 5}, {0, 0, 7}};
	static const uint32_t modes[] = {0, 1, 1}, places[] = {0, 0, 1};
	struct profile *profile;
	uint32_t root, stacks[2], mappings[3], set;

	assert_int_equal(profile_new(&spec, &profile), 0);
	for (int i = 0; i < 3; i++) {
		struct profile_mapping mapping = {.start = 0x1000, .has_functions = i == 2};

		mapping.file = string(profile, i == 2 ? "/lib/b.so" : "/bin/a");
		assert_int_equal(profile_mapping_add(profile, &mapping, &mappings[i]), 0);
	}
	assert_int_equal(profile_location_named(profile, mappings[1], "main", &root), 0);
	assert_int_equal(profile_stack_intern(profile, 0, root, &root), 0);
	for (uint64_t i = 0; i < 2; i++) {
		struct profile_function function = {.start_line = 7};
		struct profile_line line = {.line = 70 + (uint32_t)i, .column = 3};
		uint32_t id;

		function.name = function.system_name = string(profile, i ? "waits" : "works");
		assert_int_equal(profile_function_intern(profile, &function, &line.function), 0);
		assert_int_equal(profile_location_intern(profile, mappings[i + 1], 0x1100, &id), 0);
		assert_int_equal(profile_location_set_lines(profile, id, &line, 1), 0);
		assert_int_equal(profile_stack_intern(profile, root, id, &stacks[i]), 0);
	}
	for (int i = 0; i < 3; i++) {
		struct profile_label labels[] = {
			{.key = string(profile, "tid"), .text = string(profile, "1")},
			{.key = string(profile, "mode"),
			 .text = string(profile, modes[i] ? "kernel" : "user")}};

		assert_int_equal(profile_labels_intern(profile, labels, 2, &set), 0);
		assert_int_equal(profile_sample_add(profile, stacks[places[i]], set, values[i]), 0);
	}
	profile_set_time(profile, 12, 34);
	assert_int_equal(profile_comment_add(profile, "why"), 0);
	return profile;
}

static void a_part_has_what_it_uses(void **state)
{
	static const char *const keys[] = {"tid", NULL};
	const struct profile_part part = {
		.spec = {.sample_types = {{"cpu", "nanoseconds"}, {"samples", "count"}},
			 .n_sample_types = 2,
			 .period_type = {"cpu", "nanoseconds"},
			 .period = 99},
		.columns = {1, 0},
		.label_keys = keys,
	};
	struct profile *from = make_two_kinds(), *profile;
	const struct profile_location *leaf;
	const struct profile_label *labels;
	uint32_t n, stack;

	assert_int_equal(profile_project(from, &part, &profile), 0);
	profile_free(from);
	assert_int_equal(profile_get_spec(profile)->period, 99);
	assert_string_equal(profile_get_spec(profile)->sample_types[1].type, "samples");
	/* Apart by mode only: one now. What waits is gone, with all that only it used. */
	assert_int_equal(profile_n_samples(profile), 1);
	assert_int_equal(profile_sample(profile, 0)->values[0], 30);
	assert_int_equal(profile_sample(profile, 0)->values[1], 3);
	labels = profile_labels(profile, profile_sample(profile, 0)->labels, &n);
	assert_int_equal(n, 1);
	assert_string_equal(profile_get_string(profile, labels[0].key), "tid");
	assert_string_equal(profile_get_string(profile, labels[0].text), "1");
	assert_int_equal(profile_n_locations(profile), 2);
	assert_int_equal(profile_n_functions(profile), 2);
	stack = profile_sample(profile, 0)->stack;
	leaf = profile_location(profile, profile_stack_leaf(profile, stack));
	assert_int_equal(leaf->address, 0x1100);
	assert_int_equal(leaf->n_lines, 1);
	assert_int_equal(profile_location_lines(profile, leaf)->line, 70);
	assert_int_equal(profile_location_lines(profile, leaf)->column, 3);
	n = profile_location_lines(profile, leaf)->function;
	assert_string_equal(profile_get_string(profile, profile_function(profile, n)->system_name),
			    "works");
	assert_int_equal(profile_function(profile, n)->start_line, 7);
	/* The first mapping is the program's, used or not. */
	assert_int_equal(profile_n_mappings(profile), 2);
	assert_int_equal(leaf->mapping, 2);
	stack = profile_stack_callers(profile, stack);
	assert_int_equal(profile_stack_callers(profile, stack), 0);
	assert_int_equal(profile_time(profile), 12);
	assert_int_equal(profile_duration(profile), 34);
	assert_int_equal(profile_n_comments(profile), 1);
	profile_free(profile);
}

static void parts_add_up_to_the_whole(void **state)
{
	static const char *const keys[] = {"mode", "tid", NULL};
	struct profile_part part = {
		.spec = {.sample_types = {{"delay", "count"}}, .n_sample_types = 1},
		.columns = {2},
		.label_keys = keys,
	};
	struct profile *from = make_two_kinds(), *profile, *again;

	assert_int_equal(profile_project(from, &part, &profile), 0);
	assert_int_equal(profile_n_samples(profile), 2);
	assert_int_equal(profile_total(profile, 0), profile_total(from, 2));
	assert_int_equal(profile_n_locations(profile), 3);
	assert_true(profile_mapping(profile, 3)->has_functions);
	/* A part of all is the same again. */
	part.columns[0] = 0;
	assert_int_equal(profile_project(profile, &part, &again), 0);
	assert_int_equal(profile_n_samples(again), 2);
	assert_int_equal(profile_n_strings(again), profile_n_strings(profile));
	profile_free(again);
	profile_free(profile);

	part.columns[0] = 3;
	assert_int_equal(profile_project(from, &part, &profile), -EINVAL);
	profile_free(from);
}

static void the_root_has_no_stack(void **state)
{
	static const char *const keys[] = {NULL};
	const struct profile_part part = {
		.spec = {.sample_types = {{"a", "b"}}, .n_sample_types = 1}, .label_keys = keys};
	static const int64_t values[] = {1, 1};
	struct profile *from = make(), *profile;

	assert_int_equal(profile_sample_add(from, 0, 0, values), 0);
	assert_int_equal(profile_project(from, &part, &profile), 0);
	assert_int_equal(profile_n_samples(profile), 1);
	assert_int_equal(profile_sample(profile, 0)->stack, 0);
	assert_int_equal(profile_n_mappings(profile), 0);
	profile_free(profile);
	profile_free(from);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_spec_is_copied),
		cmocka_unit_test(equal_texts_have_one_number),
		cmocka_unit_test(bad_utf8_is_replaced),
		cmocka_unit_test(long_texts_are_cut_at_a_character),
		cmocka_unit_test(functions_are_interned),
		cmocka_unit_test(locations_are_told_apart_by_mapping_and_address),
		cmocka_unit_test(lines_are_set_once),
		cmocka_unit_test(named_locations_are_found_by_name),
		cmocka_unit_test(added_locations_are_never_merged),
		cmocka_unit_test(stacks_share_their_callers),
		cmocka_unit_test(label_order_does_not_matter),
		cmocka_unit_test(a_key_has_one_label),
		cmocka_unit_test(samples_add_up),
		cmocka_unit_test(sums_do_not_overflow),
		cmocka_unit_test(comments_and_times_are_kept),
		cmocka_unit_test(a_part_has_what_it_uses),
		cmocka_unit_test(parts_add_up_to_the_whole),
		cmocka_unit_test(the_root_has_no_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
