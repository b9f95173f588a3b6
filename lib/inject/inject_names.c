/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that are wrapped: C11 and C23, POSIX, glibc, jemalloc(3), and the replaceable forms
 * of operator new and delete as the Itanium C++ ABI names them on 64-bit CPUs.
 */
#include <string.h>

#include "base/cleanup.h"
#include "inject/inject_priv.h"

#define NEW(name, nothrow)                                                                         \
	{                                                                                          \
		name, AGENT_ALLOC, AGENT_SIZE_ARG0, INJECT_WITH_MALLOC, nothrow                    \
	}
#define DELETE(name)                                                                               \
	{                                                                                          \
		name, AGENT_FREE, AGENT_SIZE_ARG0, INJECT_WITH_MALLOC                              \
	}
#define FREE(name)                                                                                 \
	{                                                                                          \
		name, AGENT_FREE                                                                   \
	}

const struct inject_name inject_names[] = {
	{"malloc", AGENT_ALLOC, AGENT_SIZE_ARG0},
	{"calloc", AGENT_ALLOC, AGENT_SIZE_ARGS01},
	{"realloc", AGENT_REALLOC, AGENT_SIZE_ARG1},
	{"reallocarray", AGENT_REALLOC, AGENT_SIZE_ARGS12, INJECT_NOT_FROM_LIBC},
	{"aligned_alloc", AGENT_ALLOC, AGENT_SIZE_ARG1},
	{"memalign", AGENT_ALLOC, AGENT_SIZE_ARG1},
	{"posix_memalign", AGENT_ALLOC_OUT, AGENT_SIZE_ARG2},
	{"valloc", AGENT_ALLOC, AGENT_SIZE_ARG0},
	{"pvalloc", AGENT_ALLOC, AGENT_SIZE_ARG0},
	{"mallocx", AGENT_ALLOC, AGENT_SIZE_ARG0},
	{"rallocx", AGENT_REALLOC, AGENT_SIZE_ARG1},
	NEW("_Znwm", "_ZnwmRKSt9nothrow_t"),
	NEW("_Znam", "_ZnamRKSt9nothrow_t"),
	NEW("_ZnwmRKSt9nothrow_t", NULL),
	NEW("_ZnamRKSt9nothrow_t", NULL),
	NEW("_ZnwmSt11align_val_t", "_ZnwmSt11align_val_tRKSt9nothrow_t"),
	NEW("_ZnamSt11align_val_t", "_ZnamSt11align_val_tRKSt9nothrow_t"),
	NEW("_ZnwmSt11align_val_tRKSt9nothrow_t", NULL),
	NEW("_ZnamSt11align_val_tRKSt9nothrow_t", NULL),
	FREE("free"),
	FREE("cfree"),
	FREE("free_sized"),
	FREE("free_aligned_sized"),
	FREE("dallocx"),
	FREE("sdallocx"),
	DELETE("_ZdlPv"),
	DELETE("_ZdaPv"),
	DELETE("_ZdlPvm"),
	DELETE("_ZdaPvm"),
	DELETE("_ZdlPvRKSt9nothrow_t"),
	DELETE("_ZdaPvRKSt9nothrow_t"),
	DELETE("_ZdlPvSt11align_val_t"),
	DELETE("_ZdaPvSt11align_val_t"),
	DELETE("_ZdlPvmSt11align_val_t"),
	DELETE("_ZdaPvmSt11align_val_t"),
	DELETE("_ZdlPvSt11align_val_tRKSt9nothrow_t"),
	DELETE("_ZdaPvSt11align_val_tRKSt9nothrow_t"),
};

const unsigned inject_n_names = ARRAY_SIZE(inject_names);
_Static_assert(ARRAY_SIZE(inject_names) <= INJECT_MAX_NAMES, "there is an array of them");

int inject_name_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(inject_names); i++) {
		/* Most names of a table differ in the first bytes. */
		if (inject_names[i].name[0] == name[0] && strcmp(inject_names[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

uint32_t inject_name_handler(const struct inject_name *name)
{
	switch (name->kind) {
	case AGENT_ALLOC:
	case AGENT_ALLOC_OUT:
		switch (name->size) {
		case AGENT_SIZE_ARG0:
			return agent_places.alloc_arg0;
		case AGENT_SIZE_ARG1:
			return agent_places.alloc_arg1;
		case AGENT_SIZE_ARG2:
			return agent_places.alloc_arg2;
		case AGENT_SIZE_ARGS01:
		case AGENT_SIZE_ARGS12:
			return agent_places.alloc_args01;
		}
		break;
	case AGENT_REALLOC:
		return name->size == AGENT_SIZE_ARG1 ? agent_places.realloc_arg1
						     : agent_places.realloc_args12;
	case AGENT_FREE:
		break;
	}
	return agent_places.free_arg0;
}
