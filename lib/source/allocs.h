/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of sampled allocations: brings the agent into a process, and takes what it writes out
 * of its shared memory. Nothing is stopped but for bringing it in and out, and for new modules.
 *
 * A handle belongs to one thread, which is the tracer: SIGCHLD is blocked in all threads.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/queue.h"
#include "base/vec.h"
#include "inject/inject.h"
#include "process/process.h"

struct allocs;

/** What there was at one moment. */
struct allocs_live {
	VEC(struct agent_live) items;         /* in use: addresses that live */
	struct agent_lost lost[AGENT_N_LOST]; /* samples whose stacks are lost, so far */
	struct agent_profile profiles[AGENT_MAX_PROFILES]; /* of custom ones, so far */
};

struct allocs_stats {
	struct inject_stats inject;
	uint64_t samples;  /* taken by the agent */
	uint64_t no_stack; /* of them, those it had no place for: their stacks are lost */
	uint64_t not_live; /* … of which it cannot tell whether they live */
	uint64_t dropped;  /* the queue was full: likewise lost */
	bool target_ended; /* or ran another program; what is in use is that of a second before */
};

/** Which of the target's images it is, as in struct snapshot, and what comes before its ids. */
struct allocs_image {
	uint32_t generation;
	uint64_t first_id;
};

/**
 * Looks at a process; it is not touched.
 *
 * @param process, queue	borrowed
 * @param options	what is counted; what it points to is borrowed
 * @return as inject_new()
 */
int allocs_new(struct process *process, struct queue *queue, const struct inject_options *options,
	       struct allocs_image image, struct allocs **ret_allocs);

/** Starts to count. Returns an enum inject_result or -ENOMEM. */
int allocs_start(struct allocs *allocs);

/** To be called some hundred times a second: puts what there is into the queue, as SNAPSHOT_STACK
 * with alloc_id and what else is of allocations. Returns how many; -ESRCH when the target has
 * ended, -ENOMEM. */
int allocs_take(struct allocs *allocs);

/**
 * What there is now. Samples of what is in use are in the queue by then, or lost.
 *
 * @param live	is replaced; its items are to be released
 * @return 0; -ESRCH when the target has ended: then it is that of up to a second before; -ENOMEM
 */
int allocs_look(struct allocs *allocs, struct allocs_live *live);

/** The figures so far. */
void allocs_get_stats(const struct allocs *allocs, struct allocs_stats *ret_stats);

/** Ends counting, gives the target back as it was and puts the rest into the queue.
 *
 * @param live		as in allocs_look(): what was in use at that moment
 * @param ret_stats	final
 */
struct allocs *allocs_free(struct allocs *allocs, struct allocs_live *live,
			   struct allocs_stats *ret_stats);
