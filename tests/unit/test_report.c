/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sink.h"
#include "profile/profile.h"
#include "report/report.h"
#include "report/report_priv.h"

static const struct profile_spec cpu_spec = {
	.sample_types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
	.n_sample_types = 2,
	.period_type = {"cpu", "nanoseconds"},
	.period = 10000000,
};

static uint32_t string(struct profile *profile, const char *text)
{
	uint32_t id;

	assert_int_equal(profile_string(profile, text, &id), 0);
	return id;
}

static struct profile *make(void)
{
	struct profile *profile;

	assert_int_equal(profile_new(&cpu_spec, &profile), 0);
	return profile;
}

/* A location at `address` with a line per name, innermost first, NULL at the end. */
static uint32_t location(struct profile *profile, uint64_t address, const char *const *names)
{
	struct profile_line lines[8];
	uint32_t id, n = 0;

	for (; names[n]; n++) {
		struct profile_function function = {.name = string(profile, names[n]),
						    .system_name = string(profile, names[n])};

		lines[n] = (struct profile_line){};
		assert_int_equal(profile_function_intern(profile, &function, &lines[n].function),
				 0);
	}
	assert_int_equal(profile_location_intern(profile, 0, address, &id), 0);
	if (profile_location(profile, id)->n_lines == 0)
		assert_int_equal(profile_location_set_lines(profile, id, lines, n), 0);
	return id;
}

#define LOCATION(profile, address, ...)                                                            \
	location(profile, address, (const char *const[]){__VA_ARGS__, NULL})

static uint32_t push(struct profile *profile, uint32_t callers, uint32_t leaf)
{
	uint32_t id;

	assert_int_equal(profile_stack_intern(profile, callers, leaf, &id), 0);
	return id;
}

static void add(struct profile *profile, uint32_t stack, int64_t ms)
{
	assert_int_equal(
		profile_sample_add(profile, stack, 0, (int64_t[]){ms / 10, ms * INT64_C(1000000)}),
		0);
}

static char *top(const struct profile *profile, const struct report_options *options)
{
	struct sink_memory sink;

	sink_memory_init(&sink);
	assert_int_equal(report_top(profile, options, &sink.sink), 0);
	assert_int_equal(sink_write(&sink.sink, "", 1), 0);
	return sink.bytes;
}

static void assert_top(const struct profile *profile, uint32_t limit, uint32_t type,
		       const char *expected)
{
	struct report_options options = {.limit = limit, .value_type = type};
	char *text = top(profile, &options);

	assert_string_equal(text, expected);
	free(text);
}

/* main → work → spin; main → work; main → idle */
static struct profile *make_tree(void)
{
	struct profile *profile = make();
	uint32_t root = push(profile, 0, LOCATION(profile, 0x10, "main"));
	uint32_t work = push(profile, root, LOCATION(profile, 0x20, "work"));

	add(profile, push(profile, work, LOCATION(profile, 0x30, "spin")), 700);
	add(profile, push(profile, work, LOCATION(profile, 0x31, "spin")), 50);
	add(profile, work, 200);
	add(profile, push(profile, root, LOCATION(profile, 0x40, "idle")), 50);
	return profile;
}

static void rows_are_sorted_and_summed(void **state)
{
	struct profile *profile = make_tree();

	assert_top(profile, 0, 1,
		   "Type: cpu\n"
		   "Showing 4 of 4 functions\n"
		   "      flat   flat%    sum%        cum    cum%\n"
		   "     750ms  75.00%  75.00%      750ms  75.00%  spin\n"
		   "     200ms  20.00%  95.00%      950ms  95.00%  work\n"
		   "      50ms   5.00%  100.0%       50ms   5.00%  idle\n"
		   "         0   0.00%  100.0%         1s  100.0%  main\n");
	assert_top(profile, 2, 0,
		   "Type: samples\n"
		   "Showing 2 of 4 functions\n"
		   "      flat   flat%    sum%        cum    cum%\n"
		   "        75  75.00%  75.00%         75  75.00%  spin\n"
		   "        20  20.00%  95.00%         95  95.00%  work\n");
	profile_free(profile);
}

static void recursion_counts_once(void **state)
{
	struct profile *profile = make();
	uint32_t f = LOCATION(profile, 0x10, "f"), g = LOCATION(profile, 0x20, "g");
	uint32_t stack = 0;

	for (int i = 0; i < 5; i++) {
		stack = push(profile, stack, f);
		stack = push(profile, stack, g);
	}
	add(profile, stack, 100);
	assert_top(profile, 0, 1,
		   "Type: cpu\n"
		   "Showing 2 of 2 functions\n"
		   "      flat   flat%    sum%        cum    cum%\n"
		   "     100ms  100.0%  100.0%      100ms  100.0%  g\n"
		   "         0   0.00%  100.0%      100ms  100.0%  f\n");
	profile_free(profile);
}

static void inlined_lines_are_frames(void **state)
{
	struct profile *profile = make();

	add(profile, push(profile, 0, LOCATION(profile, 0x10, "inner", "middle", "outer")), 10);
	assert_top(profile, 0, 1,
		   "Type: cpu\n"
		   "Showing 3 of 3 functions\n"
		   "      flat   flat%    sum%        cum    cum%\n"
		   "      10ms  100.0%  100.0%       10ms  100.0%  inner\n"
		   "         0   0.00%  100.0%       10ms  100.0%  middle\n"
		   "         0   0.00%  100.0%       10ms  100.0%  outer\n");
	profile_free(profile);
}

static void the_head_names_file_and_times(void **state)
{
	struct profile_mapping program = {}, library = {};
	struct profile *profile = make();
	uint32_t id, in_library, in_vdso, nowhere;

	program.file = string(profile, "/opt/bin/server");
	program.build_id = string(profile, "c0ffee");
	assert_int_equal(profile_mapping_add(profile, &program, &id), 0);
	library.file = string(profile, "/usr/lib/libz.so.1");
	assert_int_equal(profile_mapping_add(profile, &library, &id), 0);
	assert_int_equal(profile_location_intern(profile, id, 0x10, &in_library), 0);
	library.file = string(profile, "[vdso]");
	assert_int_equal(profile_mapping_add(profile, &library, &id), 0);
	assert_int_equal(profile_location_intern(profile, id, 0x20, &in_vdso), 0);
	assert_int_equal(profile_location_intern(profile, 0, 0x30, &nowhere), 0);
	add(profile, push(profile, 0, in_library), 3000);
	add(profile, push(profile, 0, in_vdso), 500);
	add(profile, push(profile, 0, nowhere), 250);
	profile_set_time(profile, 1700000000123456789, 2500000000);
	setenv("TZ", "UTC", 1);
	assert_top(profile, 0, 1,
		   "File: server\n"
		   "Build ID: c0ffee\n"
		   "Type: cpu\n"
		   "Time: 2023-11-14 22:13:20 UTC\n"
		   "Duration: 2.5s, Total samples = 3.75s (150.0%)\n"
		   "Showing 3 of 3 functions\n"
		   "      flat   flat%    sum%        cum    cum%\n"
		   "        3s  80.00%  80.00%         3s  80.00%  [libz.so.1]\n"
		   "     500ms  13.33%  93.33%      500ms  13.33%  [vdso]\n"
		   "     250ms   6.67%  100.0%      250ms   6.67%  <unknown>\n");
	profile_free(profile);
}

static int n_demangled;

static char *demangle(const char *system_name)
{
	n_demangled++;
	return strdup(strncmp(system_name, "_Z", 2) == 0 ? "nice" : system_name);
}

static char *demangle_without_memory(const char *system_name)
{
	return NULL;
}

static void names_are_demangled_once_and_merged(void **state)
{
	struct report_options options = {.value_type = 1, .demangle = demangle};
	struct profile *profile = make();
	struct profile_function ready = {.name = string(profile, "_Zready"),
					 .system_name = string(profile, "_Zother")};
	struct profile_line line = {};
	struct sink_memory sink;
	uint32_t done;
	char *text;

	for (int i = 0; i < 3; i++) {
		add(profile, push(profile, 0, LOCATION(profile, 0x10, "_ZC1")), 10);
		add(profile, push(profile, 0, LOCATION(profile, 0x20, "_ZC2")), 10);
	}
	add(profile, push(profile, 0, LOCATION(profile, 0x30, "c_name")), 20);
	/* A name made by somebody else is left alone. */
	assert_int_equal(profile_function_intern(profile, &ready, &line.function), 0);
	assert_int_equal(profile_location_intern(profile, 0, 0x40, &done), 0);
	assert_int_equal(profile_location_set_lines(profile, done, &line, 1), 0);
	add(profile, push(profile, 0, done), 20);
	text = top(profile, &options);
	assert_string_equal(text, "Type: cpu\n"
				  "Showing 3 of 3 functions\n"
				  "      flat   flat%    sum%        cum    cum%\n"
				  "      60ms  60.00%  60.00%       60ms  60.00%  nice\n"
				  "      20ms  20.00%  80.00%       20ms  20.00%  _Zready\n"
				  "      20ms  20.00%  100.0%       20ms  20.00%  c_name\n");
	assert_int_equal(n_demangled, 3);
	free(text);

	options.demangle = demangle_without_memory;
	sink_memory_init(&sink);
	assert_int_equal(report_top(profile, &options, &sink.sink), -ENOMEM);
	assert_int_equal(sink.size, 0);
	profile_free(profile);
}

static void names_cannot_command_a_terminal(void **state)
{
	struct profile *profile = make();

	add(profile, push(profile, 0, LOCATION(profile, 0x10, "\x1b[2Jf\n\x7f\xc2\x9bg\xc3\xbc")),
	    10);
	assert_top(profile, 0, 1,
		   "Type: cpu\n"
		   "Showing 1 of 1 functions\n"
		   "      flat   flat%    sum%        cum    cum%\n"
		   "      10ms  100.0%  100.0%       10ms  100.0%  ?[2Jf???g\xc3\xbc\n");
	profile_free(profile);
}

static void a_difference_shows_large_changes_first(void **state)
{
	struct profile *profile = make();

	add(profile, push(profile, 0, LOCATION(profile, 0x10, "faster")), -500);
	add(profile, push(profile, 0, LOCATION(profile, 0x20, "slower")), 300);
	assert_top(profile, 0, 1,
		   "Type: cpu\n"
		   "Showing 2 of 2 functions\n"
		   "      flat   flat%    sum%        cum    cum%\n"
		   "    -500ms  250.0%  250.0%     -500ms  250.0%  faster\n"
		   "     300ms -150.0%  100.0%      300ms -150.0%  slower\n");
	profile_free(profile);
}

static void an_empty_profile_has_an_empty_table(void **state)
{
	struct report_options options = {.value_type = 2};
	struct profile *profile = make();
	struct sink_memory sink;

	assert_top(profile, 0, 0,
		   "Type: samples\n"
		   "Showing 0 of 0 functions\n"
		   "      flat   flat%    sum%        cum    cum%\n");
	sink_memory_init(&sink);
	assert_int_equal(report_top(profile, &options, &sink.sink), -EINVAL);
	profile_free(profile);
}

static int full_write(struct sink *sink, const void *bytes, size_t size)
{
	return -ENOSPC;
}

static void the_sink_s_error_is_returned(void **state)
{
	struct report_options options = {.value_type = 0};
	struct sink full = {.write = full_write};
	struct profile *profile = make_tree();

	assert_int_equal(report_top(profile, &options, &full), -ENOSPC);
	profile_free(profile);
}

static void values_have_units_that_suit(void **state)
{
	static const struct {
		int64_t value;
		const char *unit, *text;
	} cases[] = {
		{0, "nanoseconds", "0"},
		{999, "nanoseconds", "999ns"},
		{1500, "nanoseconds", "1.5us"},
		{1230000000, "nanoseconds", "1.23s"},
		{INT64_C(90000000000), "nanoseconds", "1.5mins"},
		{INT64_C(7200000000000), "nanoseconds", "2hrs"},
		{-2500000, "nanoseconds", "-2.5ms"},
		{2500, "milliseconds", "2.5s"},
		{100, "bytes", "100B"},
		{4096, "bytes", "4kB"},
		{3, "kilobytes", "3kB"},
		{INT64_C(5368709120), "bytes", "5GB"},
		{100000, "count", "100000"},
		{INT64_MIN, "count", "-9223372036854775808"},
		{12, "pages", "12pages"},
	};
	char buffer[REPORT_VALUE_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_string_equal(report_format_value(cases[i].value, cases[i].unit, buffer),
				    cases[i].text);
	assert_string_equal(report_format_share(1, 3, buffer), "33.33%");
	assert_string_equal(report_format_share(99996, 100000, buffer), "100.0%");
	assert_string_equal(report_format_share(5000, 100, buffer), "5000%");
	assert_string_equal(report_format_share(5, 0, buffer), "0.00%");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_sorted_and_summed),
		cmocka_unit_test(recursion_counts_once),
		cmocka_unit_test(inlined_lines_are_frames),
		cmocka_unit_test(the_head_names_file_and_times),
		cmocka_unit_test(names_are_demangled_once_and_merged),
		cmocka_unit_test(names_cannot_command_a_terminal),
		cmocka_unit_test(a_difference_shows_large_changes_first),
		cmocka_unit_test(an_empty_profile_has_an_empty_table),
		cmocka_unit_test(the_sink_s_error_is_returned),
		cmocka_unit_test(values_have_units_that_suit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
