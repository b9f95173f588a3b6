/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles of several processes as one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile_fixture.h"

static uint32_t add_mapping(struct profile *profile, uint64_t start, const char *file,
			    const char *build_id)
{
	struct profile_mapping mapping = {
		.start = start, .limit = start + 0x1000, .offset = 0x2000, .has_functions = true};
	uint32_t id;

	mapping.file = string(profile, file);
	mapping.build_id = string(profile, build_id);
	assert_int_equal(profile_mapping_add(profile, &mapping, &id), 0);
	return id;
}

static uint32_t place(struct profile *profile, uint32_t mapping, uint64_t address, const char *name)
{
	struct profile_function function = {};
	struct profile_line line = {.line = 7};
	uint32_t id;

	assert_int_equal(profile_location_intern(profile, mapping, address, &id), 0);
	if (!name)
		return id;
	function.name = function.system_name = string(profile, name);
	assert_int_equal(profile_function_intern(profile, &function, &line.function), 0);
	assert_int_equal(profile_location_set_lines(profile, id, &line, 1), 0);
	return id;
}

/* program: "", or a build id; its code at `base`, libc's at base + 0x10000. */
static struct profile *make_process(const char *program, const char *build_id, uint64_t base,
				    int64_t value, int64_t time, bool named)
{
	struct profile *profile = make();
	uint32_t main_id = add_mapping(profile, base, program, build_id), root, leaf, labels, id;
	uint32_t libc = add_mapping(profile, base + 0x10000, "/lib/libc.so.6", "c0ffee");
	struct profile_label label = {.key = string(profile, "thread"),
				      .text = string(profile, "worker")};

	assert_int_equal(profile_labels_intern(profile, &label, 1, &labels), 0);
	assert_int_equal(profile_stack_intern(profile, 0,
					      place(profile, main_id, base + 0x10, "main"), &root),
			 0);
	assert_int_equal(
		profile_stack_intern(profile, root,
				     place(profile, libc, base + 0x10020, named ? "read" : NULL),
				     &leaf),
		0);
	profile_mapping(profile, libc)->has_functions = named;
	assert_int_equal(
		profile_sample_add(profile, leaf, labels, (int64_t[]){value, value * 1000}), 0);
	assert_int_equal(profile_location_named(profile, main_id, "[exited threads]", &id), 0);
	assert_int_equal(profile_stack_intern(profile, 0, id, &id), 0);
	assert_int_equal(profile_sample_add(profile, id, 0, (int64_t[]){1, 1000}), 0);
	assert_int_equal(profile_comment_add(profile, "cprof"), 0);
	assert_int_equal(profile_comment_add(profile, program), 0);
	profile_set_time(profile, time, 100);
	return profile;
}

static struct profile *append_all(struct profile *const *from, size_t n)
{
	struct profile *to = make();
	char pid[16];

	for (size_t i = 0; i < n; i++) {
		snprintf(pid, sizeof(pid), "%zu", i + 1);
		assert_int_equal(
			profile_unite(to, from[i],
				      (struct profile_word[]){{"pid", pid}, {"process", "x"}}, 2),
			0);
		profile_free(from[i]);
	}
	return to;
}

static const char *label_of(const struct profile *profile, uint32_t index, const char *key)
{
	uint32_t n;
	const struct profile_label *labels =
		profile_labels(profile, profile_sample(profile, index)->labels, &n);

	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(profile_get_string(profile, labels[i].key), key) == 0)
			return profile_get_string(profile, labels[i].text);
	}
	return "";
}

/* Another process of the same program somewhere else in memory, and one of another program. */
static void what_is_the_same_file_becomes_one(void **state)
{
	struct profile *to = append_all(
		(struct profile *[]){make_process("/bin/a", "aa", 0x400000, 3, 5000, true),
				     make_process("/bin/a", "aa", 0x900000, 5, 5010, true),
				     make_process("/bin/b", "bb", 0x400000, 7, 4990, true)},
		3);

	/* a, libc, b */
	assert_int_equal(profile_n_mappings(to), 3);
	assert_string_equal(profile_get_string(to, profile_mapping(to, 1)->file), "/bin/a");
	assert_int_equal(profile_mapping(to, 1)->start, 0x400000);
	/* Main of a, read, the name in brackets of a; main of b, the name in brackets of b. */
	assert_int_equal(profile_n_locations(to), 5);
	for (uint32_t id = 1; id <= profile_n_locations(to); id++) {
		const struct profile_location *location = profile_location(to, id);
		const struct profile_mapping *mapping = profile_mapping(to, location->mapping);

		assert_int_equal(location->n_lines, 1);
		if (location->address)
			assert_in_range(location->address, mapping->start, mapping->limit - 1);
	}
	assert_int_equal(profile_n_samples(to), 6);
	assert_int_equal(profile_total(to, 0), 3 + 5 + 7 + 3);
	assert_int_equal(profile_total(to, 1), 18000);
	for (uint32_t i = 0; i < 6; i++) {
		assert_int_equal(atoi(label_of(to, i, "pid")), i / 2 + 1);
		assert_string_equal(label_of(to, i, "process"), "x");
		assert_string_equal(label_of(to, i, "thread"), i % 2 ? "" : "worker");
	}
	/* From the first beginning to the last end; comments once. */
	assert_int_equal(profile_time(to), 4990);
	assert_int_equal(profile_duration(to), 120);
	assert_int_equal(profile_n_comments(to), 3);
	profile_free(to);
}

/* Without a build id nobody knows that a file is the same. */
static void what_may_be_another_file_stays_apart(void **state)
{
	struct profile *to =
		append_all((struct profile *[]){make_process("/bin/a", "", 0x400000, 3, 1, true),
						make_process("/bin/a", "", 0x400000, 5, 1, true)},
			   2);

	assert_int_equal(profile_n_mappings(to), 3);
	assert_int_equal(profile_n_locations(to), 5);
	assert_int_equal(profile_location(to, 1)->mapping, 1);
	profile_free(to);
}

/* A mapping claims names only when all addresses of it have one; names found later are taken. */
static void claims_hold_for_all(void **state)
{
	for (int second = 0; second < 2; second++) {
		struct profile *to = append_all(
			(struct profile *[]){make_process("/bin/a", "aa", 0x400000, 3, 1, !second),
					     make_process("/bin/b", "bb", 0x500000, 5, 1, second)},
			2);

		assert_false(profile_mapping(to, 2)->has_functions);
		assert_true(profile_mapping(to, 1)->has_functions);
		for (uint32_t id = 1; id <= profile_n_locations(to); id++)
			assert_int_equal(profile_location(to, id)->n_lines, 1);
		profile_free(to);
	}
}

/* A label that is there stays. */
static void a_label_of_its_own_counts(void **state)
{
	struct profile *from = make(), *to = make();
	struct profile_label label = {.key = string(from, "pid"), .text = string(from, "99")};
	uint32_t labels;

	assert_int_equal(profile_labels_intern(from, &label, 1, &labels), 0);
	assert_int_equal(profile_sample_add(from, 0, labels, (int64_t[]){1, 1}), 0);
	assert_int_equal(profile_unite(to, from, (struct profile_word[]){{"pid", "1"}}, 1), 0);
	assert_string_equal(label_of(to, 0, "pid"), "99");
	profile_free(from);
	profile_free(to);
}

static void other_types_are_refused(void **state)
{
	struct profile_spec spec = cpu_spec;
	struct profile *to = make(), *from;

	spec.period = 1;
	assert_int_equal(profile_new(&spec, &from), 0);
	assert_int_equal(profile_unite(to, from, NULL, 0), -EINVAL);
	profile_free(from);
	spec = cpu_spec;
	spec.sample_types[1].type = "wall";
	assert_int_equal(profile_new(&spec, &from), 0);
	assert_int_equal(profile_unite(to, from, NULL, 0), -EINVAL);
	profile_free(from);
	profile_free(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_the_same_file_becomes_one),
		cmocka_unit_test(what_may_be_another_file_stays_apart),
		cmocka_unit_test(claims_hold_for_all),
		cmocka_unit_test(a_label_of_its_own_counts),
		cmocka_unit_test(other_types_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
