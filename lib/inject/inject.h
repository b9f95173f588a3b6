/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent in and out of a running process: the only code that writes to a target.
 *
 *	inject_new()	looks at the modules; nothing is touched
 *	inject_start()	maps the agent and points the import tables at it
 *	inject_renew()	now and then: modules that were loaded meanwhile
 *	inject_stop()	gives the import tables back; what was counted can still be read
 *	inject_free()	unmaps the agent's memory
 *
 * All ELF parsing is done before a thread is stopped. Memory is mapped by system calls made in one
 * stopped thread (tracee_call.h); slots of import tables are written through /proc/PID/mem, which
 * passes RELRO, while the threads that run stand still. Blocked ones are left alone: a word is
 * written with one instruction or a few, and they would have to wake and read it in between.
 *
 * The code area stays mapped for good: a program may have copied the address of free(3) out of an
 * import table, as of a destructor, and call it whenever it likes. Its calls go straight on. What a
 * cprof that was killed has left is taken back by the next one.
 *
 * One thread per handle, with SIGCHLD blocked: it is the tracer.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent_wire.h"
#include "base/vec.h"
#include "process/process.h"

struct inject;

/** What a function does to a custom profile. */
struct inject_custom {
	const char *function; /* as it is imported; or the name of a probe */
	struct agent_action action;
	bool is_probe; /* a probe of cprof/probe.h, with the `what` of the action */
	bool required; /* somebody has to import it */
};

/** What is counted. */
struct inject_options {
	uint64_t rate; /* mean bytes between two samples; 1: every allocation; 0: none */
	const struct inject_custom *customs;
	unsigned n_customs;
};

enum inject_result {
	INJECT_OK = 0,
	INJECT_GONE = 1,      /* the process has ended, or become another program by execve */
	INJECT_NO_SLOTS,      /* no module imports an allocator: static, or Go */
	INJECT_OWN_ALLOCATOR, /* the program has its own and calls it directly */
	INJECT_SECCOMP,       /* a thread may not make every system call */
	INJECT_SHADOW_STACK,  /* a thread has one, so it could not come back by itself */
	INJECT_OTHER_AGENT,   /* an agent of another version of cprof is mapped */
	INJECT_NO_CODE,       /* no code that makes a system call was found in it */
	INJECT_NO_THREAD,     /* no thread could be stopped where that is safe */
	INJECT_NO_MEMORY,     /* the target may not map more: a limit, or a policy */
	INJECT_DENIED,        /* tracing it, or writing to it, was refused */
	INJECT_NOT_IMPORTED,  /* no module imports what a custom profile is of */
	INJECT_NO_FRAME,      /* the result of a declared function is needed, and what it may throw
				 could not pass */
	INJECT_SHARED,        /* another thread of this process traces its threads all the time */
};

struct inject_stats {
	uint32_t n_slots, n_modules; /* patched, in so many modules */
	uint32_t n_left;             /* slots that hold a value of somebody else at the end */
	uint32_t n_unresolved;       /* slots that the dynamic linker has yet to fill in */
	/* How long the threads that ran stood still, the first one at most, to point slots at it
	 * and back; and one thread, to map its memory and to unmap it. */
	uint64_t start_ns, stop_ns, map_ns, unmap_ns;
	uint64_t renewals, renewal_ns; /* of inject_renew(), when it had to write; longest */
	uint32_t left_eintr;           /* calls that a stop ended with EINTR */
	bool took_over;                /* an agent was there, which a killed cprof had left */
	bool left_wire;                /* its memory stays mapped: a thread may be inside */
	uint32_t n_left_out; /* slots of functions that look for files next to their caller */
};

/** May a function be wrapped for a custom profile? Not those that return twice or look at who calls
 * them. */
bool inject_may_wrap(const char *function);

/** Is it one that allocates or frees, which options->rate is for? */
bool inject_is_alloc(const char *function);

/**
 * Looks at the modules of a process.
 *
 * @param process	borrowed; for this thread
 * @param options	borrowed until it is freed
 * @return an enum inject_result, -ENOMEM; -EINVAL for a function with more than AGENT_MAX_ACTIONS
 *	   actions, or that is also counted as an allocation
 */
int inject_new(struct process *process, const struct inject_options *options,
	       struct inject **ret_inject);

/** What a process could be asked for. */
struct inject_import {
	const char *module, *function; /* the module's path */
};
struct inject_list {
	VEC(struct inject_import) imports; /* of functions, by module */
	VEC(char *) probes;                /* names, each once */
	VEC(char *) strings;               /* those of the imports */
};

/** Lists the functions that modules import, and the probes in them; the process is not touched.
 * Returns 0, -ESRCH or -ENOMEM; to be released in any case. */
int inject_list_read(struct process *process, struct inject_list *list);
void inject_list_deinit(struct inject_list *list);

/** Has a program that begins not loaded its libraries yet? Also true between two images, and of one
 * that loads a module; false of static ones. Looks only. */
bool inject_is_loading(struct process *process);

/** Brings the agent in. Returns an enum inject_result, after which, unless it is OK, the target is
 * as it was; or -ENOMEM. */
int inject_start(struct inject *inject);

/** Looks for modules loaded since, and slots resolved since, and patches them. Returns OK, GONE or
 * -ENOMEM. */
int inject_renew(struct inject *inject);

/** Target address of the wire; of what is at an entry's number: agent_wire.h. */
uint64_t inject_wire_addr(const struct inject *inject);

/** The figures so far. */
void inject_get_stats(const struct inject *inject, struct inject_stats *ret_stats);

/** Restores the import tables; from here on nothing is counted. Returns OK, GONE or -ENOMEM. */
int inject_stop(struct inject *inject);

/** Stops if need be, unmaps the wire unless a thread is inside the agent, and frees the handle.
 *
 * @param ret_stats	final; may be NULL
 */
struct inject *inject_free(struct inject *inject, struct inject_stats *ret_stats);

/** What an earlier recording has left in a process. */
enum inject_remains {
	INJECT_REMAINS_NONE,
	INJECT_REMAINS_CODE,   /* its code, which nothing leads to but what copied an address */
	INJECT_REMAINS_IN_USE, /* import tables lead to it, or its memory is mapped: a cprof is at
				  work, or was killed */
	INJECT_REMAINS_OTHER,  /* likewise, of another version of cprof */
};

/** Looks for it, without touching the process. Returns an enum inject_result, unless OK of why
 * nothing can be there or be seen; or -ENOMEM. */
int inject_left(struct process *process, enum inject_remains *ret_remains);

/**
 * Takes it out. Not while another cprof is at work there.
 *
 * @param ret_stats	took_over: there was something
 * @return as inject_start()
 */
int inject_cleanup(struct process *process, struct inject_stats *ret_stats);
