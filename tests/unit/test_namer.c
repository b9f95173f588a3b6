/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "module_fixture.h"
#include "session/namer.h"

/* The system name of the function that a location lies in. */
static const char *name_of(const struct namer *namer, uint32_t location)
{
	const struct profile *names = namer_names(namer);
	uint32_t id = namer_location(namer, location);
	const struct profile_location *l;
	const struct profile_line *lines;

	if (!id)
		return NULL;
	l = profile_location(names, id);
	lines = profile_location_lines(names, l);
	return profile_get_string(
		names, profile_function(names, lines[l->n_lines - 1].function)->system_name);
}

static struct namer_image *image_of(const struct fixture *f, struct module **ret_module)
{
	struct namer_image *image = NULL;

	assert_int_equal(namer_image_new(f->process, &image), 0);
	assert_int_equal(namer_image_add(image, module_of(f, &name_of), 1, ret_module), 0);
	return image;
}

/* Whatever the thread has come to: all that was asked is named, once. */
static void names_what_was_asked(void **state)
{
	for (int round = 0; round < 20; round++) {
		struct module *module = NULL;
		struct namer *namer = NULL;
		struct namer_image *image = image_of(*state, &module);
		unsigned nap = (unsigned)round * 500;

		assert_int_equal(namer_new(true, &namer), 0);
		for (uint32_t id = 1; id <= 300; id++)
			assert_true(namer_ask(namer, id, module,
					      id % 2 ? (uintptr_t)name_of : (uintptr_t)image_of));
		usleep(nap);
		namer_finish(namer);
		assert_true(namer_ask(namer, 301, module, 4096));
		assert_true(namer_end_image(namer, image, true));
		assert_int_equal(namer_rest(namer), 0);
		for (uint32_t id = 1; id <= 300; id++)
			assert_string_equal(name_of(namer, id), id % 2 ? "name_of" : "image_of");
		assert_null(name_of(namer, 301));
		assert_null(name_of(namer, 302));
		assert_int_equal(namer_rest(namer), 0);
		namer_free(namer);
	}
}

static void works_while_it_is_asked(void **state)
{
	struct module *module = NULL;
	struct namer *namer = NULL;
	struct namer_image *image = image_of(*state, &module);
	uint32_t id = 0;

	assert_int_equal(namer_new(true, &namer), 0);
	/* More than the queue holds: it must be emptied meanwhile. */
	while (id < 20000) {
		if (namer_ask(namer, id + 1, module, (uintptr_t)name_of + id % 3))
			id++;
		else
			usleep(100);
	}
	assert_true(namer_end_image(namer, image, false));
	namer_finish(namer);
	assert_true(namer_cpu_ns(namer) > 0);
	assert_int_equal(namer_rest(namer), 0);
	for (id = 1; id <= 20000; id++)
		assert_string_equal(name_of(namer, id), "name_of");
	namer_free(namer);
}

static void note(void *user, uint32_t tag, const char *problem)
{
	assert_int_equal(tag, 7);
	assert_string_equal(problem, "no file behind this memory");
	(*(int *)user)++;
}

/* Images come and go, with their modules in the same memory. */
static void images_end_in_order(void **state)
{
	struct fixture *f = *state;
	struct namer *namer = NULL;
	void *area = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int n_problems = 0;

	assert_true(module_map_refresh(f->map) >= MODULE_REFRESH_ADDED);
	assert_int_equal(namer_new(true, &namer), 0);
	for (uint32_t i = 0; i < 30; i++) {
		struct module *module = NULL, *none = NULL;
		struct namer_image *image = image_of(f, &module);

		assert_int_equal(namer_image_add(image, module_of(f, area), 7, &none), 0);
		assert_true(namer_ask(namer, 2 * i + 1, module, (uintptr_t)name_of));
		assert_true(namer_ask(namer, 2 * i + 2, none, (uintptr_t)area));
		assert_true(namer_end_image(namer, image, i % 2));
	}
	namer_finish(namer);
	assert_int_equal(namer_rest(namer), 0);
	for (uint32_t i = 0; i < 30; i++) {
		assert_string_equal(name_of(namer, 2 * i + 1), "name_of");
		assert_null(name_of(namer, 2 * i + 2));
	}
	namer_problems(namer, note, &n_problems);
	assert_int_equal(n_problems, 30);
	namer_free(namer);
	munmap(area, 4096);
}

/* Given up in the middle: nothing is lost but names. */
static void can_be_freed_at_any_time(void **state)
{
	for (unsigned round = 0; round < 20; round++) {
		struct module *module = NULL;
		struct namer *namer = NULL;
		struct namer_image *image = image_of(*state, &module);

		assert_int_equal(namer_new(true, &namer), 0);
		for (uint32_t id = 1; id <= 100; id++)
			assert_true(namer_ask(namer, id, module, (uintptr_t)name_of));
		assert_true(namer_end_image(namer, image, round % 2));
		usleep(round * 100);
		namer_free(namer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_what_was_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(works_while_it_is_asked, set_up, tear_down),
		cmocka_unit_test_setup_teardown(images_end_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(can_be_freed_at_any_time, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
