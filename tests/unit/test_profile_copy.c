/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a profile, and the difference of two. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "profile_fixture.h"

/* One thread's samples at two places, one of which gets its name between the copies. */
static struct profile *make_copy(bool renumbered, int64_t at_10, int64_t at_20, bool named)
{
	struct profile *profile = make();
	struct profile_mapping mapping = {.start = 0x1, .limit = 0x100};
	struct profile_function function = {};
	struct profile_line line = {};
	struct profile_label label = {};
	uint32_t id, root, labels, other, pseudo;

	/* Other ids, as a part of a profile has. */
	if (renumbered)
		stack(profile, 0, 0x999);
	mapping.file = string(profile, "/bin/program");
	assert_int_equal(profile_mapping_add(profile, &mapping, &id), 0);
	label.key = string(profile, renumbered ? "tid" : "thread");
	label.text = string(profile, "1");
	other = string(profile, renumbered ? "thread" : "tid");
	assert_int_equal(profile_labels_intern(profile,
					       (struct profile_label[]){label, {other, label.text}},
					       2, &labels),
			 0);
	assert_int_equal(profile_location_intern(profile, 1, 0x10, &id), 0);
	assert_int_equal(profile_stack_intern(profile, 0, id, &root), 0);
	if (named) {
		function.name = function.system_name = string(profile, "main");
		assert_int_equal(profile_function_intern(profile, &function, &line.function), 0);
		assert_int_equal(profile_location_set_lines(profile, id, &line, 1), 0);
	}
	assert_int_equal(
		profile_sample_add(profile, root, labels, (int64_t[]){at_10, at_10 * 1000}), 0);
	assert_int_equal(profile_location_named(profile, 1, "[exited threads]", &pseudo), 0);
	assert_int_equal(profile_stack_intern(profile, root, pseudo, &id), 0);
	assert_int_equal(profile_sample_add(profile, id, 0, (int64_t[]){at_20, at_20 * 1000}), 0);
	profile_set_time(profile, 1000, at_10 * 10);
	return profile;
}

static void a_difference_is_what_came(void **state)
{
	for (int renumbered = 0; renumbered < 2; renumbered++) {
		struct profile *earlier = make_copy(renumbered, 3, 5, false);
		struct profile *later = make_copy(false, 7, 5, true), *came, *nothing;
		const struct profile_location *location;

		assert_int_equal(profile_subtract(later, earlier, &came), 0);
		/* What did not change is left out, and names are those of the later one. */
		assert_int_equal(profile_n_samples(came), 1);
		assert_int_equal(profile_sample(came, 0)->values[0], 4);
		assert_int_equal(profile_sample(came, 0)->values[1], 4000);
		location = profile_location(
			came, profile_stack_leaf(came, profile_sample(came, 0)->stack));
		assert_int_equal(location->n_lines, 1);
		assert_int_equal(profile_time(came), 1030);
		assert_int_equal(profile_duration(came), 40);
		assert_int_equal(profile_subtract(later, later, &nothing), 0);
		assert_int_equal(profile_n_samples(nothing), 0);
		profile_free(earlier);
		profile_free(later);
		profile_free(came);
		profile_free(nothing);
	}
}

static void a_copy_has_the_same_ids(void **state)
{
	struct profile *profile = make_copy(true, 3, 5, true), *copy;
	uint32_t id;

	assert_int_equal(profile_clone(profile, &copy), 0);
	assert_int_equal(profile_n_locations(copy), profile_n_locations(profile));
	assert_int_equal(profile_n_strings(copy), profile_n_strings(profile));
	assert_int_equal(profile_n_samples(copy), profile_n_samples(profile));
	assert_int_equal(profile_total(copy, 1), profile_total(profile, 1));
	assert_int_equal(profile_location_intern(profile, 1, 0x10, &id), 0);
	profile_free(profile);
	/* It can be searched, and grows, on its own. */
	assert_string_equal(profile_get_spec(copy)->sample_types[1].type, "cpu");
	assert_int_equal(location(copy, 0x999), 1);
	assert_int_equal(profile_location_intern(copy, 1, 0x10, &(uint32_t){0}), 0);
	assert_string_equal(profile_get_string(copy, profile_function(copy, 1)->name), "main");
	assert_int_equal(string(copy, "main"), profile_function(copy, 1)->name);
	id = location(copy, 0x12345);
	assert_int_equal(id, profile_n_locations(copy));
	profile_free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_difference_is_what_came),
		cmocka_unit_test(a_copy_has_the_same_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
