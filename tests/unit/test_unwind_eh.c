/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules read here beside those of libdw, for pcs all over the text of every module of this program;
 * and of the libraries given as arguments.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/process.h"
#include "unwind/unwind_eh.h"

#define RBX 3
#define STEP 13 /* bytes between two pcs */
#define MOST_TEXT (64u << 20)

static struct unwind_rule of_libdw(struct module *module, uint64_t pc)
{
	struct unwind_slow slow = {};
	struct unwind_rule rule;

	unwind_rule_make(module, arch_native(), pc, &rule, &slow);
	free(slow.frame);
	/* elfutils takes register 0 for rbx, which is 3, and so says of rbx that nothing is known
	 * until it is saved (backends/x86_64_cfi.c, 0.188). The psABI preserves it. */
	for (unsigned i = 0; i < arch_native()->n_saved; i++) {
		if (arch_native()->saved[i] != RBX || rule.slots[i] != UNWIND_UNDEFINED)
			continue;
		rule.slots[i] = UNWIND_SAME;
		rule.saved &= ~(1U << i);
	}
	return rule;
}

static void differ(struct module *module, uint64_t pc, const struct unwind_rule *mine,
		   const struct unwind_rule *theirs)
{
	const struct unwind_rule *both[] = {mine, theirs};

	for (int i = 0; i < 2; i++) {
		printf("kind %u, cfa %u%+d, ra %u, saved %x:", both[i]->kind, both[i]->cfa_reg,
		       both[i]->cfa_offset, both[i]->ra_slot, both[i]->saved);
		for (unsigned k = 0; k < UNWIND_MAX_SAVED; k++)
			printf(" %u", both[i]->slots[k]);
		printf("\n");
	}
	fail_msg("%s: another rule than libdw's at %#llx", module_path(module),
		 (unsigned long long)(pc - module_bias(module)));
}

static void compare(const struct module_mapping *m, unsigned *sum, unsigned *sum_here)
{
	uint64_t end = m->end - m->start > MOST_TEXT ? m->start + MOST_TEXT : m->end;
	unsigned here = 0, n = 0;
	struct unwind_slow slow;
	struct unwind_eh eh;

	unwind_eh_init(&eh, m->module);
	for (uint64_t pc = m->start; pc < end; pc += STEP) {
		struct unwind_rule mine, theirs = of_libdw(m->module, pc);
		enum unwind_eh_result result = unwind_eh_rule(&eh, arch_native(), pc, &mine);

		n += theirs.kind != UNWIND_NO_CFI;
		if (result == UNWIND_EH_ASK)
			continue;
		if (result == UNWIND_EH_NONE)
			unwind_rule_make_debug(m->module, arch_native(), pc, &mine, &slow);
		here += result == UNWIND_EH_RULE;
		if (memcmp(&mine, &theirs, sizeof(mine)) != 0)
			differ(m->module, pc, &mine, &theirs);
	}
	printf("%s: %u of %u pcs with a rule read here\n", module_path(m->module), here, n);
	*sum += n;
	*sum_here += here;
}

static void rules_are_those_of_libdw(void **state)
{
	struct process *process;
	struct module_map *map;
	unsigned n = 0, here = 0;

	assert_int_equal(process_open(getpid(), &process), 0);
	assert_int_equal(module_map_new(process, &map), 0);
	assert_true(module_map_refresh(map) > 0);
	assert_true(module_map_count(map) > 5);
	for (uint32_t i = 0; i < module_map_count(map); i++)
		compare(module_map_at(map, i), &n, &here);
	assert_true(n > 10000);
	/* What is left are linkage tables and hand-written assembly. */
	assert_true(here > n / 100 * 95);
	module_map_free(map);
	process_close(process);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rules_are_those_of_libdw)};

	for (int i = 1; i < argc; i++) {
		if (!dlopen(argv[i], RTLD_LAZY))
			fprintf(stderr, "%s\n", dlerror());
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
