/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions that are wrapped: those of custom profiles, and those of the heap: C11 and C23,
 * POSIX, glibc, jemalloc(3), and the replaceable forms of operator new and delete as the Itanium
 * C++ ABI names them on 64-bit CPUs.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
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

static const struct inject_name heap_names[] = {
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

/* They return twice or never, or do what they do for their caller, whom they find by their return
 * address or by unwinding. */
static const char *const not_wrapped[] = {
	"setjmp",
	"_setjmp",
	"__setjmp",
	"sigsetjmp",
	"__sigsetjmp",
	"longjmp",
	"_longjmp",
	"siglongjmp",
	"__longjmp_chk",
	"vfork",
	"__vfork",
	"getcontext",
	"setcontext",
	"swapcontext",
	"dlsym",
	"dlvsym",
	"dlmopen",
	"__tls_get_addr",
	"__libc_start_main",
	"pthread_exit",
	"backtrace",
	"mcount",
	"_mcount",
	"__fentry__",
	"__cxa_throw",
	"__cxa_rethrow",
	"_exit",
	"exit",
	"abort",
	"__stack_chk_fail",
};

bool inject_may_wrap(const char *function)
{
	for (size_t i = 0; i < ARRAY_SIZE(not_wrapped); i++) {
		if (strcmp(function, not_wrapped[i]) == 0)
			return false;
	}
	return strncmp(function, "_Unwind_", strlen("_Unwind_")) != 0;
}

bool inject_is_alloc(const char *function)
{
	for (size_t i = 0; i < ARRAY_SIZE(heap_names); i++) {
		if (strcmp(function, heap_names[i].name) == 0)
			return true;
	}
	return false;
}

static int add_custom(struct inject_names *names, const struct inject_custom *custom)
{
	int at = custom->is_probe ? inject_name_probe(names, custom->function, custom->action.what)
				  : inject_name_find(names, custom->function);
	struct inject_name *name = at < 0 ? vec_push(&names->items) : &names->items.items[at];

	if (!name)
		return err_trace(-ENOMEM);
	if (at < 0)
		*name = (struct inject_name){
			.name = custom->function,
			.kind = custom->is_probe ? AGENT_PROBE : AGENT_CALL,
			/* dlopen(3) searches where its caller's module says. */
			.when = strcmp(custom->function, "dlopen") == 0 ? INJECT_AS_MAIN
									: INJECT_CUSTOM,
		};
	else if (name->kind < AGENT_CALL)
		return -EINVAL;
	name->required |= custom->required;
	for (unsigned i = 0; i < AGENT_MAX_ACTIONS; i++) {
		if (name->actions[i].what == AGENT_NOTHING) {
			name->actions[i] = custom->action;
			return 0;
		}
	}
	return -EINVAL;
}

int inject_names_fill(struct inject_names *names, const struct inject_options *options)
{
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(heap_names) && options->rate; i++) {
		struct inject_name *name = vec_push(&names->items);

		if (!name)
			return err_trace(-ENOMEM);
		*name = heap_names[i];
	}
	for (unsigned i = 0; i < options->n_customs && r == 0; i++)
		r = add_custom(names, &options->customs[i]);
	return r;
}

int inject_name_find(const struct inject_names *names, const char *name)
{
	for (size_t i = 0; i < names->items.n; i++) {
		const struct inject_name *known = &names->items.items[i];

		/* Most names of a table differ in the first bytes. */
		if (known->name[0] == name[0] && known->kind != AGENT_PROBE &&
		    strcmp(known->name, name) == 0)
			return (int)i;
	}
	return -1;
}

int inject_name_probe(const struct inject_names *names, const char *name, unsigned what)
{
	for (size_t i = 0; i < names->items.n; i++) {
		const struct inject_name *known = &names->items.items[i];

		if (known->kind == AGENT_PROBE && known->actions[0].what == what &&
		    strcmp(known->name, name) == 0)
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
	case AGENT_CALL:
	case AGENT_PROBE:
		return agent_places.custom;
	}
	return agent_places.free_arg0;
}
