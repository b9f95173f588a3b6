/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lock that an unwound thread waits for: from its frames to the names that process_lock_read()
 * decides by, and from a lock's address to the variable that it is.
 *
 * Belongs to one image of a process and to the thread that owns its module map.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/trace.h"
#include "module/module.h"
#include "process/process_lock.h"

struct session_locks {
	struct process *process;    /* borrowed */
	struct module_map *map;     /* borrowed */
	struct module *libc_module; /* whose C library was looked at last … */
	enum process_libc libc;     /* … and is this one */
};

/** Which kind of lock a thread that waits for a futex waits for, by its trace, and in the code of
 * which C library. */
enum process_lock_kind session_lock_kind(struct session_locks *locks, const struct trace *trace,
					 enum process_libc *ret_libc);

/**
 * Finds the lock, with its owner of now.
 *
 * @param trace	of the thread
 * @param wait	what it waits for
 */
void session_lock_read(struct session_locks *locks, const struct trace *trace,
		       const struct process_wait *wait, struct process_lock *ret_lock);

/** Writes the variable, and the offset in it, that an address lies in: "lock", "locks+0x28"; ""
 * when that is not known. Goes through the symbol table. Clean, as of text_clean(). */
void session_lock_name(struct session_locks *locks, uint64_t addr, char *text, size_t cap);
