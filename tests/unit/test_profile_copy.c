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

/* Of the second one nothing is made twice, and its name serves both. */
static void appending_adds_up(void **state)
{
	struct profile *sum = make(), *other;
	struct profile_spec spec = {.n_sample_types = 1, .sample_types = {{"a", "count"}}};
	static const bool named[] = {false, true, false};
	const struct profile_location *at_10;
	int64_t pseudo = 0;

	for (size_t i = 0; i < 3; i++) {
		struct profile *piece = make_copy(i == 1, 3, 5, named[i]);

		assert_int_equal(profile_comment_add(piece, "how it was made"), 0);
		assert_int_equal(profile_append(sum, piece), 0);
		profile_free(piece);
	}
	assert_int_equal(profile_n_samples(sum), 2);
	assert_int_equal(profile_n_locations(sum), 2);
	assert_int_equal(profile_n_mappings(sum), 1);
	assert_int_equal(profile_n_comments(sum), 1);
	assert_int_equal(profile_total(sum, 0), 24);
	assert_int_equal(profile_total(sum, 1), 24000);
	at_10 = profile_location(sum, 1);
	assert_int_equal(at_10->address, 0x10);
	assert_int_equal(at_10->n_lines, 1);
	for (uint32_t i = 0; i < 2; i++) {
		if (profile_sample(sum, i)->labels == 0)
			pseudo = profile_sample(sum, i)->values[0];
	}
	assert_int_equal(pseudo, 15);
	assert_int_equal(profile_new(&spec, &other), 0);
	assert_int_equal(profile_append(sum, other), -EINVAL);
	profile_free(other);
	profile_free(sum);
}

/* A mapping claims what holds for all of it that is used. */
static void appending_keeps_claims_true(void **state)
{
	struct profile *sum = make();

	for (int i = 0; i < 3; i++) {
		struct profile *piece = make_copy(false, 1, 0, true);

		profile_mapping(piece, 1)->has_functions = true;
		profile_mapping(piece, 1)->has_filenames = i < 2;
		assert_int_equal(profile_append(sum, piece), 0);
		assert_true(profile_mapping(sum, 1)->has_functions);
		assert_int_equal(profile_mapping(sum, 1)->has_filenames, i < 2);
		assert_false(profile_mapping(sum, 1)->has_line_numbers);
		profile_free(piece);
	}
	profile_free(sum);
}

/* Ids of locations go on to mean the same; words that only labels had are gone. */
static void a_renewed_profile_is_empty(void **state)
{
	struct profile *profile = make_copy(true, 3, 5, true), *renewed;
	uint32_t label = string(profile, "of a thread that has ended"), id, pseudo;
	uint32_t n = profile_n_locations(profile), strings = profile_n_strings(profile);

	assert_true(label > 0);
	assert_int_equal(profile_location_named(profile, 1, "[exited threads]", &pseudo), 0);
	assert_int_equal(profile_renew(profile, &renewed), 0);
	assert_int_equal(profile_n_samples(renewed), 0);
	assert_int_equal(profile_n_locations(renewed), n);
	assert_true(profile_n_strings(renewed) < strings);
	for (uint32_t i = 1; i <= n; i++) {
		assert_int_equal(profile_location(renewed, i)->address,
				 profile_location(profile, i)->address);
		assert_int_equal(profile_location(renewed, i)->n_lines,
				 profile_location(profile, i)->n_lines);
	}
	assert_int_equal(profile_location_named(renewed, 1, "[exited threads]", &id), 0);
	assert_int_equal(id, pseudo);
	assert_int_equal(location(renewed, 0x999), location(profile, 0x999));
	assert_int_equal(profile_stack_intern(renewed, 0, 1, &id), 0);
	assert_int_equal(id, 1);
	profile_free(profile);
	profile_free(renewed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appending_adds_up),
		cmocka_unit_test(appending_keeps_claims_true),
		cmocka_unit_test(a_renewed_profile_is_empty),
		cmocka_unit_test(a_difference_is_what_came),
		cmocka_unit_test(a_copy_has_the_same_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
