/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One recording of a heap: the thread that has the agent, and the profile that the caller's thread
 * makes of what it brings.
 *
 * In use is what was allocated since the recording began and is not freed when it ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"
#include "session/session.h"
#include "source/allocs.h"

/** As Go's runtime.MemProfileRate. */
#define SESSION_HEAP_RATE (512 * 1024)

struct session_heap_options {
	pid_t pid;
	uint64_t rate;            /* mean bytes between two samples; 1: every allocation */
	uint64_t duration_ns;     /* 0: until stopped or the target ends */
	bool allocs;              /* the default sample type is alloc_space, else inuse_space */
	bool inlines;             /* expand inlined calls */
	const char *command_line; /* of cprof, for the profile's comments; borrowed */
	int stop_fd;              /* readable = stop; borrowed */
};

struct session_heap_stats {
	struct allocs_stats allocs;
	uint64_t elapsed_ns;
	uint64_t traces[TRACE_ENDS]; /* by how they ended */
	uint64_t in_use;             /* samples that live at the end */
};

/**
 * Counts the allocations of a process for some time. The target is as before when it returns.
 * SIGCHLD must be blocked in every thread.
 *
 * @param ret_profile	the caller's
 * @return an enum inject_result: unless it is OK, nothing was recorded; a negative errno
 */
int session_heap_run(const struct session_heap_options *options,
		     struct session_heap_stats *ret_stats, struct profile **ret_profile);
