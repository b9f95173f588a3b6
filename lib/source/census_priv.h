/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/vec.h"
#include "source/census.h"
#include "source/source_priv.h"

struct census {
	struct process *process; /* borrowed */
	const struct arch *arch;
	struct census_options options;
	struct process_maps maps;
	struct process_mark mark;
	VEC(struct census_thread) threads; /* the places do not move while the census is taken */
	VEC(uint32_t) running;             /* places of those that were not blocked */
	size_t bytes;                      /* of stacks, in all */
	uint64_t maps_at;                  /* when maps were read */
	struct census_stats stats;
	_Atomic uint64_t
		progress; /* grows with each thread looked at, and while stops are awaited */
	_Atomic bool gave_up;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	bool done;
};

enum census_read {
	CENSUS_READ_DONE = 0,
	CENSUS_READ_RUNS = 1, /* it is runnable, or moved each time */
};

/** Reads a thread if it is blocked; how is set. Returns an enum census_read. */
int census_read_blocked(struct census *census, struct census_thread *thread);

/** Room for the stack of a thread whose stack pointer is known, and what to read of it; NULL when
 * there is no memory. */
struct snapshot *census_snapshot_new(struct census *census, const struct census_thread *thread,
				     uint64_t sp, size_t most, size_t *ret_wanted);

/** Stops each of the running threads once. */
void census_stop_running(struct census *census);
