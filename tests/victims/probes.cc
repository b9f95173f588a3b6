/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries of profiles of its own. The stacks that begin with new_client are those of the example
 * in the documentation of Go's runtime/pprof, (*Profile).Add.
 *
 *	probes [LIBRARY]	prints "ready"; at each line on its stdin adds, removes and counts
 *				what is below, then prints "done"; loads the library before, which
 *				has probes too
 */
#include <cstdio>
#include <dlfcn.h>

#include "probes.h"

static volatile int sink;

__attribute__((noinline)) static void new_client(unsigned long key)
{
	cprof_add("skip0", key, 0);
	cprof_add("skip1", key, 1);
	cprof_add("skip2", key, 2);
	cprof_add("skip99", key, 99);
	sink++;
}

__attribute__((noinline)) static void run(unsigned long key)
{
	new_client(key);
	sink++;
}

__attribute__((noinline)) static void with_inlined(unsigned long key)
{
	add_by_inlined(key);
	sink++;
}

__attribute__((noinline)) static void end_clients(unsigned long first, unsigned long n)
{
	for (unsigned long key = first; key < first + n; key++)
		cprof_remove("skip0", key);
	sink++;
}

__attribute__((noinline)) static void account()
{
	cprof_count("bytes", 7);
	cprof_count("bytes", 35);
	sink++;
}

/* As the last thing that it does, where a compiler would rather jump. */
__attribute__((noinline)) static void last_call(volatile void *key)
{
	cprof_add("last", key, 0);
}

static void work(const char *library)
{
	void (*in_library)(unsigned long) = nullptr;

	for (unsigned long key = 1; key <= 30; key++)
		run(key);
	end_clients(1, 10);
	/* A key that is there, and one that is not. */
	run(30);
	end_clients(999, 1);
	account();
	for (unsigned long key = 1; key <= 5; key++) {
		add_inline(key);
		add_template<100>(key);
		add_template<200>(key);
		with_inlined(key);
	}
	last_call(&sink);
	add_elsewhere(1000);
#ifndef NO_LIBRARIES
	if (library) {
		void *handle = dlopen(library, RTLD_NOW);

		in_library = reinterpret_cast<void (*)(unsigned long)>(dlsym(handle, "add_here"));
	}
#else
	(void)library;
#endif
	/* Time to notice it; the caller waits. */
	if (in_library) {
		puts("loaded");
		fflush(stdout);
		if (getchar() != EOF)
			in_library(5000);
	}
}

int main(int argc, char **argv)
{
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF) {
		work(argc > 1 ? argv[1] : nullptr);
		puts("done");
		fflush(stdout);
	}
	return 0;
}
