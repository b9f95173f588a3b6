/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The census: every thread of a process once.
 *
 * Blocked threads are read without a stop, as a seqlock is: schedstat, /proc/…/syscall (for pc, sp,
 * and what it waits for), stack, schedstat; if the last is like the first, what lies between
 * belongs together, and census_is_same() can tell later whether the thread is still in that wait.
 * Threads that run are stopped, copied and released, each for itself; one that does not come to its
 * stop in time has no stack.
 *
 * All of it happens on a thread of its own that ends with the census, so that the kernel lets go of
 * whatever had not stopped yet. SIGCHLD must be blocked in every thread of the process, and nobody
 * else may wait for children meanwhile.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/process.h"
#include "snapshot/snapshot.h"

struct census;

/** Threads taken; more are counted only. */
#define CENSUS_MAX_THREADS 65536

/** How long a running thread may take to come to its stop. */
#define CENSUS_STOP_LIMIT_MS 200

enum census_how {
	CENSUS_READ,      /* blocked, and read without a stop */
	CENSUS_STOPPED,   /* it ran, and was stopped for its registers and its stack */
	CENSUS_ENDED,     /* a zombie: no stack */
	CENSUS_LATE,      /* no stack: it did not come to its stop in time */
	CENSUS_DENIED,    /* no stack: not ours to stop; another tracer has it */
	CENSUS_NOT_64BIT, /* no stack: it runs 32-bit code */
	CENSUS_NO_MEMORY, /* no stack: we have no memory for it */
	CENSUS_UNREAD,    /* no stack: its memory never came, and the census was given up */
	CENSUS_GONE,      /* it ended before it was looked at; no more in the list afterwards */
};

struct census_thread {
	pid_t tid;
	enum census_how how;
	char name[64];
	char state;                  /* letter of its stat file */
	struct process_turns turns;  /* READ: during the whole of it */
	struct process_syscall call; /* nr -1: in no call */
	struct snapshot *snapshot;   /* owned; NULL: no stack */
};

struct census_stats {
	uint32_t n_threads;             /* of the process when the list was read */
	uint32_t stops;                 /* threads stopped and released */
	uint32_t left_eintr, cut_short; /* see source_mend() */
	uint64_t longest_stop_ns;       /* from asking to release */
	bool ended;                     /* the process ended meanwhile */
	bool exec;  /* it called execve(2) meanwhile: what was read is of two programs */
	bool stuck; /* memory of the target that never comes held the reader up */
};

struct census_options {
	pid_t tid; /* only this thread; 0: all */
};

/**
 * Takes the census. Returns within some 200 ms for the stops and what the reading takes.
 *
 * @param process	borrowed; must outlive the census
 * @return 0; -ESRCH when the process, or the thread that was asked for, is gone; -ENOMEM and others
 */
int census_new(struct process *process, const struct census_options *options,
	       struct census **ret_census);
struct census *census_free(struct census *census);

/** The threads, by their ids; n from census_count(). */
struct census_thread *census_at(const struct census *census, size_t index);
size_t census_count(const struct census *census);
const struct census_stats *census_stats(const struct census *census);

/** Is a thread that was read still in the same wait? */
bool census_is_same(const struct census *census, const struct census_thread *thread);

/** Reads the stack of a blocked thread again, as much of it as is allowed. True when it has more
 * now and still belongs to the same wait; else nothing is changed. */
bool census_read_more(struct census *census, struct census_thread *thread);
