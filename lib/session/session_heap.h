/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The heap of a process, counted while it runs.
 *
 *	session_heap_new()	opens the process; it is not touched
 *	session_heap_start()	brings the agent in, by a thread of its own, as soon as the process
 *				has loaded its libraries
 *	session_heap_peek()	what was counted so far, any number of times
 *	session_heap_finish()	takes the agent out: the final profile
 *	session_heap_free()	takes it out, if it still is in
 *
 * What is allocated is added up since the start, in use is what was allocated since then and is not
 * freed now. An execve(2) is followed: of what ran before, only allocations are kept. A process
 * without the agent is none the worse for it: peeks then say why.
 *
 * It goes well with a session of the same process. SIGCHLD must be blocked in every thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"
#include "session/custom.h"
#include "session/session.h"
#include "source/allocs.h"

struct session_heap;

/** As Go's runtime.MemProfileRate. */
#define SESSION_HEAP_RATE (512 * 1024)

struct session_heap_options {
	pid_t pid;
	uint64_t rate;            /* mean bytes between two samples; 1: every allocation; 0: none */
	bool allocs;              /* the default sample type is alloc_space, else inuse_space */
	bool inlines;             /* expand inlined calls */
	const char *command_line; /* of cprof, for the profile's comments; borrowed */
	/* Custom profiles beside or instead of it, up to AGENT_MAX_PROFILES; borrowed. */
	const struct custom *const *customs;
	unsigned n_customs;
};

struct session_heap_stats {
	struct allocs_stats allocs;    /* of all images */
	uint64_t begun_wall, begun_at; /* since the epoch, and CLOCK_MONOTONIC; 0: not yet */
	uint64_t elapsed_ns;           /* since then, up to the end of the process */
	uint64_t traces[TRACE_ENDS];   /* by how they ended */
	uint64_t in_use;               /* samples that lived at the last peek, or the end */
	uint32_t images;               /* programs that had it, one after the other */
	uint32_t stacks;               /* different ones, with different sizes */
	int why;                       /* an enum inject_result: how bringing it in went */
	bool has_ended;                /* nothing is counted any more */
	struct agent_profile profiles[AGENT_MAX_PROFILES]; /* of custom ones, likewise … */
	uint64_t closed[AGENT_MAX_PROFILES]; /* … and descriptors that were open no more */
};

/** Opens a process. Returns 0; -ESRCH, -ENOMEM and others. */
int session_heap_new(const struct session_heap_options *options, struct session_heap **ret_heap);

/** Takes the agent out and waits for that. */
struct session_heap *session_heap_free(struct session_heap *heap);

/** Starts to count; the agent comes in a moment later. Returns 0, -ENOMEM, or what
 * pthread_create(3) says. */
int session_heap_start(struct session_heap *heap);

/** Waits until the agent is in. From any thread. Returns an enum inject_result, or -ENOMEM;
 * INJECT_SHARED: it will come when another thread of this process lets go of the target. */
int session_heap_await(struct session_heap *heap);

/** An eventfd(2), readable when nothing will be counted any more: the process has ended, or does
 * not have the agent. Borrowed. */
int session_heap_end_fd(const struct session_heap *heap);

/**
 * A copy of what was counted up to this call, with the names found within two seconds. From any
 * threads, after session_heap_start().
 *
 * @param ret_profile	the caller's; time and duration are since the start
 * @return as session_heap_await(), with a profile for INJECT_OK only
 */
int session_heap_peek(struct session_heap *heap, struct profile **ret_profile);

/** The same of a custom profile, by its number in the options. */
int session_heap_peek_custom(struct session_heap *heap, unsigned custom,
			     struct profile **ret_profile);

/** The figures so far. From any thread. */
void session_heap_get_stats(struct session_heap *heap, struct session_heap_stats *ret_stats);

/** Lets it begin to take the agent out, and does not wait. From any thread; accepts NULL. */
void session_heap_stop(struct session_heap *heap);

/** Takes the agent out. Not beside peeks, and only once. The rest as in session_heap_peek(), with
 * all names. ret_profile: that of the heap; NULL: it is not wanted. */
int session_heap_finish(struct session_heap *heap, struct session_heap_stats *ret_stats,
			struct profile **ret_profile);

/** A custom profile, by its number in the options, after session_heap_finish() has returned
 * INJECT_OK. Returns 0 or -ENOMEM. */
int session_heap_finish_custom(struct session_heap *heap, unsigned custom,
			       struct profile **ret_profile);

/** Why a process cannot have the agent, and the way out, as one sentence or two for people.
 *
 * @param why	an enum inject_result, not INJECT_OK
 */
void session_heap_explain(pid_t pid, int why, char *text, size_t size);
