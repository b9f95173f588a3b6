/* SPDX-License-Identifier: Apache-2.0 */
/* The same probes in another translation unit, or library. */
#include "probes.h"

static volatile int sink;

__attribute__((noinline)) void add_elsewhere(unsigned long key)
{
	add_inline(key);
	add_template<100>(key);
	cprof_add("elsewhere", key, 0);
	sink++;
}

extern "C" __attribute__((visibility("default"))) void add_here(unsigned long key)
{
	cprof_add("elsewhere", key, 0);
	add_inline(key);
	sink++;
}
