/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "profile/profile.h"
#include "profile_made.h"
#include "report/report_json.h"
#include "symbol/symbol.h"

#define HOSTILE "</script><img src=x onerror=\"x()\">\\ \x01 \xe2\x80\xa8 gr\xc3\xbcn"

static uint32_t function(struct profile *profile, const char *name)
{
	struct profile_function from = {.name = string(profile, name),
					.system_name = string(profile, name),
					.file = string(profile, "/src/a \"b\".cc")};
	uint32_t id;

	check(profile_function_intern(profile, &from, &id));
	return id;
}

static uint32_t place(struct profile *profile, uint32_t mapping, uint64_t address,
		      const struct profile_line *lines, uint32_t n)
{
	uint32_t id;

	check(profile_location_add(profile, mapping, address, lines, n, &id));
	return id;
}

static uint32_t push(struct profile *profile, uint32_t callers, uint32_t leaf)
{
	uint32_t id;

	check(profile_stack_intern(profile, callers, leaf, &id));
	return id;
}

static void add(struct profile *profile, uint32_t stack, const char *tid, const char *state,
		int64_t n)
{
	struct profile_label labels[] = {
		{.key = string(profile, "thread"), .text = string(profile, "work \"er\"")},
		{.key = string(profile, "tid"), .text = string(profile, tid)},
		{.key = string(profile, "pid"), .text = string(profile, "7")},
		{.key = string(profile, "state"), .text = string(profile, state)},
	};
	uint32_t id;

	check(profile_labels_intern(profile, labels, 4, &id));
	check(profile_sample_add(profile, stack, id, (int64_t[]){n, n * 10000000}));
}

/* main → run, with spin inlined → a library without names; main → the hostile one. */
static struct profile *make(void)
{
	struct profile *profile;
	uint32_t program, library, root, run;

	check(profile_new(&made_spec, &profile));
	check(profile_mapping_add(profile,
				  &(struct profile_mapping){.file = string(profile, "/opt/server")},
				  &program));
	check(profile_mapping_add(
		profile, &(struct profile_mapping){.file = string(profile, "/lib/libx.so.1")},
		&library));

	struct profile_line at_main = {function(profile, "main"), 12, 3},
			    at_hostile = {function(profile, HOSTILE), 0, 0};
	struct profile_line at_run[] = {{function(profile, "_ZN4work4spinEi"), 22, 7},
					{function(profile, "_ZN4work3runEv"), 33, 9}};

	root = push(profile, 0, place(profile, program, 0x100, &at_main, 1));
	run = push(profile, root, place(profile, program, 0x200, at_run, 2));
	add(profile, run, "8", "running", 5);
	add(profile, run, "8", "runnable", 2);
	/* The same lines at another address are the same frames. */
	add(profile, push(profile, root, place(profile, program, 0x201, at_run, 2)), "8", "running",
	    3);
	add(profile, push(profile, run, place(profile, library, 0x9000, NULL, 0)), "9", "running",
	    20);
	add(profile, push(profile, root, place(profile, program, 0x300, &at_hostile, 1)), "9",
	    "running", 4);
	add(profile, root, "9", "running", 0);
	check(profile_sample_add(profile, root, 0, (int64_t[]){1, 10000000}));
	profile_set_time(profile, 1700000000123456789, 2000000000);
	check(profile_comment_add(profile, "dropped: 3 \"snapshots\""));
	return profile;
}

static json_t *parse(const struct profile *profile, uint32_t type,
		     char *(*demangle)(const char *system_name))
{
	json_t *json;
	size_t size;
	char *text;

	assert_int_equal(report_json(profile, type, demangle, &text, &size), 0);
	assert_null(memchr(text, '\n', size));
	json = json_loadb(text, size, 0, NULL);
	free(text);
	assert_non_null(json);
	return json;
}

static int64_t number(const json_t *json, const char *list, size_t index)
{
	const json_t *value = json_array_get(json_object_get(json, list), index);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static const char *text_of(const json_t *json, const char *list, size_t index)
{
	return json_string_value(json_array_get(json_object_get(json, list), index));
}

static size_t count(const json_t *json, const char *list)
{
	return json_array_size(json_object_get(json, list));
}

/* "a;b" of a stack, root first, and the line of its leaf. */
static int64_t write_stack(const json_t *json, size_t stack, char text[static 1024])
{
	char callers[1024] = "";
	size_t frame;

	if (stack == 0) {
		*text = '\0';
		return 0;
	}
	assert_true(number(json, "stacks", 2 * stack - 2) < (int64_t)stack);
	write_stack(json, (size_t)number(json, "stacks", 2 * stack - 2), callers);
	frame = (size_t)number(json, "stacks", 2 * stack - 1);
	snprintf(text, 1024, "%s%s%s", callers, *callers ? ";" : "",
		 text_of(json, "names", (size_t)number(json, "frames", 4 * frame)));
	return number(json, "frames", 4 * frame + 3);
}

static void assert_sample(const json_t *json, size_t index, int64_t value, const char *stack,
			  int64_t line, const char *tid)
{
	const json_t *thread = json_array_get(json_object_get(json, "threads"),
					      (size_t)number(json, "samples", 3 * index + 2));
	char text[1024];

	assert_int_equal(number(json, "samples", 3 * index), value);
	assert_int_equal(write_stack(json, (size_t)number(json, "samples", 3 * index + 1), text),
			 line);
	assert_string_equal(text, stack);
	assert_string_equal(json_string_value(json_array_get(thread, 1)), tid);
}

static void stacks_and_values(void **state)
{
	struct profile *profile = make();
	json_t *json = parse(profile, 0, symbol_demangle);
	int64_t sum = 0;

	assert_int_equal(count(json, "samples"), 3 * 4);
	assert_sample(json, 0, 10, "main;work::run();work::spin(int)", 22, "8");
	assert_sample(json, 1, 20, "main;work::run();work::spin(int);[libx.so.1]", 0, "9");
	assert_sample(json, 2, 4, "main;" HOSTILE, 0, "9");
	assert_sample(json, 3, 1, "main", 12, "");
	/* What stacks share is there once. */
	assert_int_equal(count(json, "stacks"), 2 * 5);
	assert_int_equal(count(json, "frames"), 4 * 5);
	for (size_t i = 0; i < 4; i++)
		sum += number(json, "samples", 3 * i);
	assert_int_equal(sum, profile_total(profile, 0));
	json_decref(json);
	profile_free(profile);
}

static void head(void **state)
{
	struct profile *profile = make();
	json_t *json = parse(profile, 1, NULL);
	const char *type, *unit, *program;
	json_int_t period, time_ns, duration, total;

	assert_int_equal(json_unpack(json, "{s:s, s:s, s:s, s:I, s:I, s:I, s:I}", "type", &type,
				     "unit", &unit, "program", &program, "period", &period,
				     "time_ns", &time_ns, "duration_ns", &duration, "total",
				     &total),
			 0);
	assert_string_equal(type, "cpu");
	assert_string_equal(unit, "nanoseconds");
	assert_string_equal(program, "server");
	assert_int_equal(period, 10000000);
	assert_int_equal(time_ns, 1700000000123456789);
	assert_int_equal(duration, 2000000000);
	assert_int_equal(total, 350000000);
	assert_string_equal(text_of(json, "comments", 0), "dropped: 3 \"snapshots\"");
	assert_string_equal(text_of(json, "files", 0), "");
	assert_string_equal(text_of(json, "files", 1), "/src/a \"b\".cc");
	assert_sample(json, 0, 100000000, "main;_ZN4work3runEv;_ZN4work4spinEi", 22, "8");
	json_decref(json);
	profile_free(profile);
}

static void threads_have_processes(void **state)
{
	struct profile *profile = make();
	json_t *json = parse(profile, 0, NULL), *thread, *process;

	assert_int_equal(count(json, "threads"), 3);
	assert_int_equal(count(json, "processes"), 2);
	thread = json_array_get(json_object_get(json, "threads"), 0);
	assert_string_equal(json_string_value(json_array_get(thread, 0)), "work \"er\"");
	process = json_array_get(json_object_get(json, "processes"),
				 (size_t)json_integer_value(json_array_get(thread, 2)));
	assert_string_equal(json_string_value(json_array_get(process, 1)), "7");
	json_decref(json);
	profile_free(profile);
}

static void ends_of_the_range(void **state)
{
	struct profile *profile;
	uint32_t at;
	json_t *json;
	char *text;
	size_t size;

	check(profile_new(&made_spec, &profile));
	json = parse(profile, 1, NULL);
	assert_int_equal(count(json, "samples"), 0);
	json_decref(json);
	assert_int_equal(report_json(profile, 2, NULL, &text, &size), -EINVAL);
	/* A mapping without a name, a negative value, the largest one. */
	at = push(profile, 0, place(profile, 0, 0x10, NULL, 0));
	check(profile_sample_add(profile, at, 0, (int64_t[]){INT64_MAX, -1}));
	json = parse(profile, 0, NULL);
	assert_sample(json, 0, INT64_MAX, "<unknown>", 0, "");
	json_decref(json);
	json = parse(profile, 1, NULL);
	assert_sample(json, 0, -1, "<unknown>", 0, "");
	json_decref(json);
	profile_free(profile);
}

static char *cut_name(const char *system_name)
{
	return strdup("cut \xc3");
}

static void names_that_are_no_utf8(void **state)
{
	struct profile *profile = make();
	json_t *json = parse(profile, 0, cut_name);

	assert_string_equal(text_of(json, "names", 0), "<name that is no UTF-8>");
	json_decref(json);
	profile_free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stacks_and_values),      cmocka_unit_test(head),
		cmocka_unit_test(threads_have_processes), cmocka_unit_test(ends_of_the_range),
		cmocka_unit_test(names_that_are_no_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
