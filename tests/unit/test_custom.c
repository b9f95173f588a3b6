/* SPDX-License-Identifier: Apache-2.0 */
/* Custom profiles: how they are declared, and frames that their stacks are to be without. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "session/custom_profile.h"

static struct custom *parse(const char *text)
{
	struct custom_error error;
	struct custom *custom;

	assert_int_equal(custom_parse(text, &custom, &error), 0);
	return custom;
}

static void test_parse(void **state)
{
	struct custom *custom =
		parse(" conn : add=conn_new, add=conn_open:*arg2:int,remove=conn_free , "
		      "size=arg1, add=conn_two:*arg3:pair, size=arg5, remove=conn_end:arg2:ok");
	const struct inject_custom *calls = custom->calls.items;

	assert_string_equal(custom->name, "conn");
	assert_int_equal(custom->calls.n, 5);
	assert_true(custom->has_size);
	assert_string_equal(calls[0].function, "conn_new");
	assert_int_equal(calls[0].action.key, AGENT_KEY_RET);
	assert_int_equal(calls[0].action.size_arg, 2);
	assert_int_equal(calls[1].action.key, AGENT_KEY_OUT);
	assert_int_equal(calls[1].action.key_arg, 2);
	assert_int_equal(calls[1].action.flags, AGENT_INT);
	assert_int_equal(calls[2].action.what, AGENT_REMOVE);
	assert_int_equal(calls[2].action.key, AGENT_KEY_ARG);
	assert_int_equal(calls[2].action.key_arg, 0);
	assert_int_equal(calls[3].action.key, AGENT_KEY_PAIR);
	assert_int_equal(calls[3].action.size_arg, 6);
	assert_int_equal(calls[4].action.flags, AGENT_IF_ZERO);
	assert_int_equal(calls[4].action.key_arg, 2);
	assert_true(calls[0].required);
	custom_free(custom);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *word;
	} cases[] = {
		{"", ""},
		{"x", "x"},
		{"a b: add=f", "a b"},
		{"x:", ""},
		{"x: f", "f"},
		{"x: remove=f", "x"},
		{"x: add=", "add="},
		{"x: add=1f", "add=1f"},
		{"x: add=f:arg6", "add=f:arg6"},
		{"x: add=f:arg10", "add=f:arg10"},
		{"x: add=f:ret:arg0", "add=f:ret:arg0"},
		{"x: add=f:arg0:pair", "add=f:arg0:pair"},
		{"x: add=f, remove=f:ret", "remove=f:ret"},
		{"x: add=f, remove=f:*arg0", "remove=f:*arg0"},
		{"x: add=f, size=7", "size=7"},
		{"x: size=arg0, add=f", "size=arg0"},
		{"x: add=f, size=arg0, add=g", "g"},
		{"x: add=setjmp", "add=setjmp"},
		{"x: add=_Unwind_Resume", "add=_Unwind_Resume"},
		{"x: add=f, add=f, add=f, add=f, add=f", "f"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct custom_error error = {};
		struct custom *custom = NULL;

		assert_int_equal(custom_parse(cases[i].text, &custom, &error), -EINVAL);
		assert_string_equal(error.word, cases[i].word);
		assert_non_null(error.expected);
	}
}

static void test_presets(void **state)
{
	struct custom *custom;
	const char *name;
	unsigned n = 0;

	while ((name = custom_preset_name(n++))) {
		assert_int_equal(custom_preset(name, &custom), 0);
		assert_string_equal(custom->name, name);
		assert_int_equal(custom->is_fd, strcmp(name, "fd") == 0);
		for (size_t i = 0; i < custom->calls.n; i++) {
			const struct inject_custom *call = &custom->calls.items[i];

			assert_false(call->required);
			/* What dup2(2) replaces need not be there; what close(2) ends has to. */
			if (call->action.what == AGENT_REMOVE)
				assert_int_equal((call->action.flags & AGENT_PERHAPS) != 0,
						 strncmp(call->function, "dup", 3) == 0 ||
							 strcmp(call->function, "mremap") == 0);
		}
		custom_free(custom);
	}
	assert_int_equal(custom_preset("nothing", &custom), -ENOENT);
}

/* A stack: f, whose caller g is inlined into h, and main. */
static struct profile *make(uint32_t skip)
{
	static const struct profile_spec spec = {.sample_types = {{"a", "count"}, {"b", "count"}},
						 .n_sample_types = 2};
	static const char *const names[] = {"f", "g", "h", "main"};
	struct profile_label label = {.number = skip};
	struct profile_mapping mapping = {.start = 0x1000, .limit = 0x9000};
	struct profile_line lines[4] = {};
	int64_t values[PROFILE_MAX_TYPES] = {3, 30};
	uint32_t id, labels, stack = 0, locations[3];
	struct profile *profile;

	assert_int_equal(profile_new(&spec, &profile), 0);
	assert_int_equal(profile_mapping_add(profile, &mapping, &id), 0);
	for (unsigned i = 0; i < 4; i++) {
		struct profile_function function = {};

		profile_string(profile, names[i], &function.name);
		profile_function_intern(profile, &function, &lines[i].function);
		lines[i].line = i + 1;
	}
	for (unsigned i = 3; i-- > 0;) {
		static const unsigned first[] = {0, 1, 3}, n[] = {1, 2, 1};

		profile_location_intern(profile, id, 0x2000 + i, &locations[i]);
		profile_location_set_lines(profile, locations[i], lines + first[i], n[i]);
		profile_stack_intern(profile, stack, locations[i], &stack);
	}
	profile_string(profile, CUSTOM_SKIP, &label.key);
	assert_int_equal(profile_labels_intern(profile, &label, 1, &labels), 0);
	assert_int_equal(profile_sample_add(profile, stack, labels, values), 0);
	return profile;
}

/* The names of a stack, leaf first. */
static void names_of(const struct profile *profile, uint32_t stack, char *text)
{
	for (*text = 0; stack; stack = profile_stack_callers(profile, stack)) {
		const struct profile_location *location =
			profile_location(profile, profile_stack_leaf(profile, stack));
		const struct profile_line *lines = profile_location_lines(profile, location);

		for (uint32_t i = 0; i < location->n_lines; i++) {
			const struct profile_function *function =
				profile_function(profile, lines[i].function);

			strcat(strcat(text, profile_get_string(profile, function->name)), " ");
		}
	}
}

static void test_skip(void **state)
{
	static const char *const expected[] = {"f g h main ", "g h main ", "h main ",
					       "main ",       "main ",     "main "};
	struct custom *custom = parse("payment: add=f");
	char text[100];

	for (uint32_t skip = 0; skip < ARRAY_SIZE(expected); skip++) {
		struct profile *from = make(skip), *to;
		uint32_t n;

		assert_int_equal(custom_profile_shape(custom, from, &to), 0);
		assert_int_equal(profile_n_samples(to), 1);
		names_of(to, profile_sample(to, 0)->stack, text);
		assert_string_equal(text, expected[skip]);
		assert_int_equal(profile_sample(to, 0)->values[0], 3);
		(void)profile_labels(to, profile_sample(to, 0)->labels, &n);
		assert_int_equal(n, 0);
		assert_int_equal(profile_get_spec(to)->n_sample_types, 1);
		assert_string_equal(profile_get_spec(to)->sample_types[0].type, "payment");
		profile_free(from);
		profile_free(to);
	}
	custom_free(custom);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_presets),
		cmocka_unit_test(test_skip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
