/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/intern.h"
#include "base/map64.h"
#include "module/module.h"
#include "session/session_dump.h"
#include "session/session_lock.h"
#include "unwind/unwind.h"

/* The strings of dumps live in the modules. */
struct dump_source {
	pid_t pid;
	struct process *process;
	struct module_map *map;
	struct unwinder *unwinder;
	struct symbolizer *symbolizer;
	struct process_waits *waits;
	struct session_locks lock_finder;
	bool stuck; /* a thread of ours still uses it */
};

/* What a dump is made with. */
struct dump_maker {
	struct dump dump; /* first: what is handed out */
	struct dump_source *source;
	bool owns_source;
	struct census *census;
	struct intern *stacks; /* places and end → index of the stack */
	struct map64 places;   /* lookup pc → index + 1 */
	struct trace *trace;
	struct map64 locks; /* address of a lock → first thread that waits for it + 1 */
	bool refreshed;     /* the modules, since the census */
};

/** Unwinds the snapshot of a thread and enters its stack. Returns 0 or -ENOMEM. */
int dump_add_stack(struct dump_maker *maker, struct census_thread *from,
		   struct dump_thread *thread);

/** Finds the lock that a thread waits for, whose trace is the last one. */
void dump_find_lock(struct dump_maker *maker, const struct census_thread *from,
		    struct dump_thread *thread);

/** Finds the owners of the locks, and the deadlocks. Returns 0 or -ENOMEM. */
int dump_find_deadlocks(struct dump_maker *maker);
