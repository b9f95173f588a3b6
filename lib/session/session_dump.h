/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dump: all threads of a process at about one time, with what each does, its stack, the lock that
 * it waits for and who holds it, and the deadlocks among them.
 *
 * Blocked threads are not stopped. A lock and its owner are told only of threads that have not
 * moved from before their stack was read until after their lock was; a deadlock only where that
 * holds for all of its threads, so that it is true and not put together from different times.
 *
 * SIGCHLD must be blocked in every thread, and module_sigbus_guard() called, before.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/trace.h"
#include "base/vec.h"
#include "process/process_lock.h"
#include "process/process_wait.h"
#include "source/census.h"
#include "symbol/symbol.h"

#define DUMP_NONE UINT32_MAX

/** An address that frames are at. Strings are borrowed, as long as the dump lives. */
struct dump_place {
	uint64_t pc;               /* as found: a return address unless exact */
	const char *path;          /* of the module; NULL: unknown memory */
	uint64_t svma;             /* address in that file */
	uint32_t n_lines;          /* innermost inlined function first; 0: no name is known */
	struct symbol_line *lines; /* owned */
};

/** A stack that one or more threads have. */
struct dump_stack {
	uint32_t n_frames;
	uint32_t *places; /* leaf first; owned */
	enum trace_end end;
	uint32_t n_threads;
};

struct dump_thread {
	pid_t tid;
	pid_t inner_tid; /* in its own pid namespace; 0: not asked for */
	enum census_how how;
	char name[64];
	char state;      /* letter of its stat file; R for one that was stopped */
	int32_t syscall; /* number, -1: in none */
	struct process_wait wait;
	struct process_lock lock;
	char lock_name[128]; /* variable that the lock lies in, "" when that is not known */
	uint32_t owner;      /* index of the owner; DUMP_NONE: not known, or not of this process */
	uint32_t stack;      /* index; DUMP_NONE: none */
	uint32_t cycle;      /* index of the deadlock that it is part of, or DUMP_NONE */
};

/** Threads that wait for each other in a ring: first → its owner → … → first. */
struct dump_cycle {
	uint32_t first, n_threads;
	bool timed; /* one of the waits has a time-out: it ends by itself */
};

struct dump {
	pid_t pid;
	char name[64];
	uint64_t time_ns; /* since the epoch */
	struct census_stats census;
	bool renamed;                    /* the process is in a pid namespace of its own */
	VEC(struct dump_thread) threads; /* by tid */
	VEC(struct dump_stack) stacks;
	VEC(struct dump_place) places;
	VEC(struct dump_cycle) cycles;
	uint32_t n_cut; /* stacks that are not complete */
};

struct dump_options {
	pid_t tid;    /* only this thread; 0: all */
	bool inlines; /* expand inlined calls */
};

struct dump_source;

/**
 * What dumps of a process are made with: its modules, their symbols, their rules. To be kept by who
 * makes several, because reading those takes longer than the rest.
 *
 * @param inlines	expand inlined calls
 * @return 0; -ESRCH, -EPERM, -ENOMEM and others
 */
int dump_source_new(pid_t pid, bool inlines, struct dump_source **ret_source);

/** After the dumps that were made with it. */
struct dump_source *dump_source_free(struct dump_source *source);

/** As dump_new(); -EBUSY after a dump that did not end (census.stuck). @param source borrowed as
 * long as the dump lives; used by one thread at a time */
int dump_make(struct dump_source *source, pid_t tid, struct dump **ret_dump);

/** Makes a dump. Returns 0, also when the process ends meanwhile (see census.ended); -ESRCH when it
 * was gone before anything could be read; -EPERM, -ENOMEM and others. */
int dump_new(pid_t pid, const struct dump_options *options, struct dump **ret_dump);
struct dump *dump_free(struct dump *dump);

/** Deadlocks that do not end by themselves: rings, and threads whose lock the kernel has refused.
 */
uint32_t dump_count_deadlocks(const struct dump *dump);
