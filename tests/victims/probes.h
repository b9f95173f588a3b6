/* SPDX-License-Identifier: Apache-2.0 */
/* Probes in what is in several translation units: which copy is kept is up to the linker. */
#pragma once

#include <cprof/probe.h>

inline void add_inline(unsigned long key)
{
	cprof_add("inline", key, 0);
}

template <int N> void add_template(unsigned long key)
{
	cprof_add("template", key + N, 0);
}

/* An inlined call at the leaf. */
__attribute__((always_inline)) static inline void add_by_inlined(unsigned long key)
{
	cprof_add("inlined", key, 0);
	cprof_add("skipped", key, 1);
}

/* Never called, and not kept. */
static inline void add_never(unsigned long key)
{
	cprof_add("never", key, 0);
}

void add_elsewhere(unsigned long key);
