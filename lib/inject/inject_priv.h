/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/agent.h"
#include "arch/arch.h"
#include "base/vec.h"
#include "inject/inject.h"
#include "module/module.h"
#include "tracee/tracee.h"
#include "tracee/tracee_wake.h"

/* Who is wrapped; what the implementation calls in turn must not be counted twice. */
enum inject_when {
	INJECT_ALWAYS,
	INJECT_WITH_MALLOC, /* only where the same module defines malloc: else it forwards to it */
	INJECT_NOT_FROM_LIBC, /* that of a C library calls realloc through its own import table */
	INJECT_CUSTOM,        /* whatever it is, if it is code */
	INJECT_AS_MAIN        /* likewise, where the caller may as well be the main program */
};

/* A function that allocates or frees, one that a custom profile is of, or a probe. */
struct inject_name {
	const char *name;
	enum agent_kind kind;
	enum agent_size size;
	enum inject_when when;
	const char *nothrow; /* the form of it that does not throw, NULL: it never does */
	struct agent_action actions[AGENT_MAX_ACTIONS]; /* of AGENT_CALL and AGENT_PROBE */
	bool required;
};

struct inject_names {
	VEC(struct inject_name) items;
};

/** Those that allocate and free, if options->rate is set, and the custom ones. Returns 0, -EINVAL
 * or -ENOMEM, as inject_new() says. */
int inject_names_fill(struct inject_names *names, const struct inject_options *options);

/** A function's number, or -1. */
int inject_name_find(const struct inject_names *names, const char *name);

/** That of a probe of a name, or -1. */
int inject_name_probe(const struct inject_names *names, const char *name, unsigned what);

/** Offset in the code area of what handles it. */
uint32_t inject_name_handler(const struct inject_name *name);

/* A word that the dynamic linker fills in with the address of a function. */
struct inject_slot {
	uint64_t addr; /* target address of the word */
	uint64_t old, new;
	int name;     /* -1: none that is wanted, but an agent may be in it */
	bool lazy;    /* of a linkage table: may still lead to the dynamic linker */
	bool defined; /* the module has such a function itself */
	bool wanted;  /* to be written at the next stop */
};

struct inject_module {
	struct module *module;
	uint64_t start, end; /* of all its mappings */
	uint64_t dynamic;    /* target address of its dynamic section, 0: none */
	bool mapped;         /* at the last look */
	bool defines_malloc, is_libc, is_glibc;
	bool has_path;       /* looks for libraries in directories of its own */
	uint64_t *exports;   /* by name: target addresses, 0: none */
	uint64_t *canonical; /* of an entry in its linkage table that stands for the function
				everywhere (psABI, "Function Addresses"); 0: none */
	VEC(struct inject_slot) slots;
	VEC(uint64_t) others; /* slots of other names: of an agent that was left, perhaps */
};

/* An address in `exports` that cannot be told: several versions, or a resolver. */
#define INJECT_AMBIGUOUS UINT64_MAX

struct inject {
	struct process *process;
	const struct arch *arch;
	struct inject_options options;
	struct inject_names names;
	struct process_mark mark; /* of the image that all of this is in */
	struct module_map *map;
	struct process_maps maps;
	VEC(struct inject_module *) modules;
	VEC(struct inject_module *) order; /* as they are searched for a symbol; borrowed */
	struct tracee_set *set;
	struct tracee_wake wake; /* by stops */
	struct process_tasks tasks, checked;
	VEC(pid_t) stopped;
	int mem_fd;
	pid_t inner_pid;             /* in the target's own pid namespace */
	uint64_t asked_at;           /* when the first one that is to stand still was asked to */
	int result;                  /* of what was done while threads stood still */
	uint64_t call_pc, resume_pc; /* see arch->call_code */
	uint64_t code, wire;         /* target addresses, 0: not mapped, or not ours to unmap */
	uint64_t wire_left;          /* bytes of the wire that are mapped */
	struct agent_table table;    /* as in the target */
	bool patched;                /* slots may be ours */
	struct inject_stats stats;
};

/* --- inject.c --- */

/** Unmaps the wire as soon as nobody uses it; it stays if somebody goes on to. */
void inject_remove_wire(struct inject *inject);

/* --- inject_left.c --- */

/** Takes out what a cprof that was killed has left. Returns INJECT_OK, also when there was nothing,
 * or another outcome. */
int inject_take_over(struct inject *inject);

/* --- inject_module.c --- */

/** What a module exports and imports of the names. Returns 0 or -ENOMEM. */
int inject_module_new(struct module *module, const struct arch *arch,
		      const struct inject_names *names, struct inject_module **ret_module);
struct inject_module *inject_module_free(struct inject_module *module);

/** Tells each function that a module imports. Returns what `tell` did if that is not 0. */
int inject_module_imports(struct module *module, const struct arch *arch,
			  int (*tell)(void *user, const char *function), void *user);

/* --- inject_probe.c --- */

/* A place that cprof/probe.h has made. */
struct inject_probe {
	uint64_t cell;    /* target address of its function pointer */
	const char *name; /* in the module's bytes */
	unsigned what;    /* an enum agent_what */
};

/** Tells each of a module's probes. Returns what `tell` did if that is not 0. */
int inject_module_probes(struct module *module,
			 int (*tell)(void *user, const struct inject_probe *probe), void *user);

/* --- inject_look.c --- */

/** Reads the maps and looks at modules that are new. Returns INJECT_OK, INJECT_GONE or -ENOMEM. */
int inject_look(struct inject *inject);

/** The module that has a target address, or NULL. */
struct inject_module *inject_module_at(const struct inject *inject, uint64_t addr);

/** The main program, or NULL. */
struct inject_module *inject_module_main(const struct inject *inject);

/** What a name that is not bound yet will be bound to: a target address, 0: that cannot be told. */
uint64_t inject_resolve(const struct inject *inject, int name);

/* --- inject_slots.c --- */

/** Decides which slots are to be pointed at the agent, and makes entries for them. Returns how
 * many. */
unsigned inject_plan(struct inject *inject);

/** Which slots point at the agent: wants them back as they were. Returns how many. */
unsigned inject_plan_back(struct inject *inject);

/** Adds those of names that are not wanted now, but pointed at the agent by a cprof that was
 * killed. Returns 0 or -ENOMEM. */
int inject_find_left(struct inject *inject);

/** Finds an agent that is mapped already. Returns INJECT_OK, with inject->code and what its table
 * says if there is one; or INJECT_OTHER_AGENT. */
int inject_find_agent(struct inject *inject);

/* --- inject_frame.c --- */

/** Where in the dynamic linker calls of the agent may return to, as agent_table.frame says. 0:
 * there is no such place. */
uint64_t inject_find_frame(struct inject *inject);

/* --- inject_memory.c --- */

/** Finds call_code and resume_code in mapped files. False: they are nowhere. */
bool inject_find_code(struct inject *inject);

/** Notes in the target where the wire is, and how much of it is mapped. */
bool inject_note_wire(struct inject *inject, uint64_t left);

/** Maps the code area, unless there is one, and the wire. To be called from `then` of
 * inject_use_one(). Returns an enum inject_result, or -ENOMEM. */
int inject_map(struct inject *inject);

/** Unmaps the wire, which nobody uses any more; likewise. */
int inject_unmap(struct inject *inject);

/** Has the program become another one by execve, or ended? */
bool inject_is_gone(struct inject *inject);

/* --- inject_write.c --- */

/** Writes to the target whatever the protection of the page is; false: refused, or not mapped. */
bool inject_write(struct inject *inject, uint64_t addr, const void *bytes, size_t size);

/** Writes the slots that are wanted and hold their old value; the others are counted as left. While
 * the threads that run stand still. */
void inject_write_slots(struct inject *inject);

/* --- inject_stop.c --- */

/** Stops the threads that run; then calls `then`, and lets them go on. Those that another thread of
 * this process traces are waited for.
 *
 * @param ret_ns	how long the first one stood still
 * @return INJECT_OK, INJECT_GONE, INJECT_DENIED, INJECT_SHARED or -ENOMEM
 */
int inject_stopped(struct inject *inject, void (*then)(struct inject *inject), uint64_t *ret_ns);

/** Calls `then`, which picks a thread and makes it do something; lets it go on. The others that run
 * stand still if they are more than there are CPUs: a slice of the scheduler's would pass before
 * each of its steps.
 *
 * @param ret_ns	how long the first one stood still
 * @return as inject_stopped()
 */
int inject_use_one(struct inject *inject, void (*then)(struct inject *inject), uint64_t *ret_ns);

/** Who was asked to stop and has not come is let go when it does; waits for that at most `ns`. Who
 * comes when nobody is there to mend its call may see EINTR. */
void inject_release_late(struct inject *inject, uint64_t ns);

/**
 * A stopped thread whose stack has room: of those that stand still, or else one that runs, or one
 * that waits, which joins them. To be called from `then` of inject_use_one().
 *
 * @param n	how many were picked before and were not fit
 * @return INJECT_OK, or another outcome
 */
int inject_pick(struct inject *inject, unsigned n, pid_t *ret_tid);

/** Waits until no thread that there is now is inside the agent. False: one stayed. */
bool inject_await_outside(struct inject *inject);
