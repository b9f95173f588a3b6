/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <time.h>

#include "process/process.h"

struct process {
	pid_t pid;
	_Atomic pid_t mm_tid; /* a thread that still has the memory, see process_mm.c */
	int dirfd;            /* /proc/PID; the kernel ties it to the process, not to the number */
	int pidfd;
	bool left;           /* see process_leave() */
	clockid_t clock;     /* its CPU time */
	uint64_t start_time; /* clock ticks since boot */
};

/**
 * Does the number still belong to our process? To be asked after a call that takes the number: a
 * pid is not given out anew before the process is reaped, so a yes covers the call before it.
 *
 * @return 0 or -ESRCH
 */
int process_check_alive(const struct process *process);

/** The error to report for a failed access below /proc/PID: -ESRCH when the process is gone,
 * whichever errno the kernel chose for that. */
int process_error(const struct process *process, int error);

/** Reads the beginning of task/TID/NAME, NUL-terminated. Returns its length, or -1 with errno. */
ssize_t process_task_file_read(const struct process *process, pid_t tid, const char *name,
			       char *text, size_t size);

/** Reads an open file of /proc whole; see process_file_read(). */
int process_fd_read(const struct process *process, int fd, char **ret_text, size_t *ret_size);

/**
 * Opens a file of /proc/PID that belongs to the memory or the root rather than to the leader: maps,
 * mem, exe, root. A leader that has ended before its threads has none of them any more.
 *
 * @return a descriptor, or a negative errno
 */
int process_mm_open(struct process *process, const char *name, int flags);

/** Looks for a thread that has the memory, after a call by process->mm_tid failed. True when it is
 * another one than before: try again. */
bool process_mm_move(struct process *process);

/**
 * Opens a regular file below a root directory without leaving it.
 *
 * @param rootfd	the directory that "/" means (borrowed)
 * @param flags		further flags of open(2): 0, or O_PATH to identify the file only
 * @return 0; -EINVAL when it is to be read and is not a regular file; a negative errno
 */
int process_open_below(int rootfd, const char *path, int flags, int *ret_fd);
