/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who holds the lock that a thread waits for.
 *
 * A futex has no owner. The C library's locks have one, in words beside the futex; which lock it
 * is, is told by the functions that the thread is in. Known are glibc's mutexes and read-write
 * locks, musl's mutexes, pthread_join(3) of glibc, and, whatever the library, the kernel's
 * priority-inheriting futexes. What cannot be told for sure stays unknown.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/process.h"
#include "process/process_wait.h"

enum process_libc {
	PROCESS_LIBC_UNKNOWN,
	PROCESS_LIBC_GLIBC,
	PROCESS_LIBC_MUSL,
};

enum process_lock_kind {
	PROCESS_LOCK_NONE, /* it does not wait for a lock, or that cannot be told */
	PROCESS_LOCK_MUTEX,
	PROCESS_LOCK_READ,   /* wants to read, rwlock */
	PROCESS_LOCK_WRITE,  /* wants to write */
	PROCESS_LOCK_THREAD, /* pthread_join(3): the thread is what holds it up */
	/* The kernel has refused a priority-inheriting mutex, since waiting for it would be a
	 * deadlock or its owner has ended, and the library waits for ever; address not known. */
	PROCESS_LOCK_REFUSED,
	PROCESS_LOCK_KINDS, /* not a kind: how many there are */
};

struct process_lock {
	enum process_lock_kind kind;
	uint64_t addr; /* target address of the pthread_mutex_t or pthread_rwlock_t; of the thread
			  id for THREAD */
	pid_t owner;   /* thread id in the target's pid namespace; 0: not known, or nobody */
	uint32_t readers; /* READ and WRITE: readers that hold it; 0: none, or not known */
	bool pi, robust, recursive;
	bool owner_died; /* robust: its owner ended while it held it */
	bool timed;      /* the wait has a time-out */
	bool is_free; /* mutexes: it has been released, and who was woken for it has not run yet */
};

/** How far the functions of a thread's stack are looked at. */
#define PROCESS_LOCK_FUNCTIONS 12

/** What the functions of a thread say that it waits for: NONE, MUTEX, READ, WRITE or THREAD.
 *
 * @param functions	linkage names of the functions that the thread is in, leaf first, as far as
 *			they belong to the C library, and the one that calls it; NULL: not known
 */
enum process_lock_kind process_lock_kind(const char *const *functions, unsigned n);

/** Memory around a futex at one moment: all that tells of which lock it is a word, and its owner.
 */
struct process_lock_words {
	uint64_t addr; /* target address of bytes[0] */
	uint32_t n;    /* bytes that could be read */
	bool is_musl_linked;
	uint8_t bytes[64];
};

/** Reads it. Nothing is told of what lies there. */
void process_lock_words_read(struct process *process, uint64_t futex_addr,
			     struct process_lock_words *ret_words);

/** At most so many threads may be the owner, by what the words would be in each kind of lock. */
#define PROCESS_LOCK_OWNERS 5

/** Who may be the owner, as process_lock_read() would find it: each of these ids or none. Returns
 * how many. */
unsigned process_lock_owners(const struct process_lock_words *words, uint64_t futex_addr,
			     pid_t ret_owners[static PROCESS_LOCK_OWNERS]);

/**
 * Finds the lock that a thread waits for, and its owner when the words were read.
 *
 * @param wait	of kind FUTEX; others give PROCESS_LOCK_NONE
 * @param kind	as of process_lock_kind()
 * @param libc	of the target
 */
void process_lock_read(const struct process_wait *wait, const struct process_lock_words *words,
		       enum process_lock_kind kind, enum process_libc libc,
		       struct process_lock *ret_lock);

/** One word for a kind: "mutex", "read" … */
const char *process_lock_kind_name(enum process_lock_kind kind);
