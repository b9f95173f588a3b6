/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One recording: the tracer thread, the consumer thread, and the profile they make.
 *
 *	session_new()      opens the target, starts the tracer thread (and a command, held behind
 *			   its execve), reads the modules
 *	session_run()      samples; the calling thread watches over the tracer and reports progress
 *	session_peek()     meanwhile, from other threads: what there is so far
 *	session_profile()  the symbolized profile
 *
 * Block SIGCHLD in every thread before session_new(). Threads end with session_run().
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/trace.h"
#include "profile/profile.h"
#include "session/session_type.h"
#include "source/sampler.h"
#include "unwind/unwind.h"

struct session;

struct session_progress {
	uint64_t elapsed_ns, samples;
	uint64_t dropped; /* samples for which there was no room */
	uint32_t threads;
	uint64_t pauses[SAMPLER_PAUSES], pause_ns; /* stops, by how long they lasted; all of it */
	uint64_t traces[TRACE_ENDS];               /* stacks, by how they ended */
};

struct session_options {
	struct sampler_options sampler;
	bool inlines;             /* expand inlined calls */
	const char *command_line; /* of cprof, for the profile's comments; borrowed */

	/** Called about five times a second from session_run(); may be NULL. */
	void (*on_progress)(void *user, const struct session_progress *progress);
	void *user;
};

/** A mapped file whose symbols or unwind tables are missing. Strings live as long as the session.
 */
struct session_gap {
	const char *path;
	const char *why;             /* may be NULL when no more is known */
	uint64_t addresses, unnamed; /* distinct addresses sampled in it; of these without a name */
};

struct session_stats {
	struct sampler_stats sampler;
	struct unwind_stats unwind;
	uint64_t traces[TRACE_ENDS];      /* by how they ended */
	uint64_t read_traces[TRACE_ENDS]; /* likewise, of blocked threads, read without a stop */
	uint64_t locations, unnamed;      /* distinct addresses; of these without a function name */
	uint64_t symbolize_ns;            /* after the recording */
	uint64_t naming_ns;               /* CPU time that names took while it ran */
	uint64_t lock_ns, unheld_ns;      /* SAMPLER_MUTEX: waiting for locks; of it with nobody
					     known who held them */
	uint32_t n_gaps;
	const struct session_gap *gaps; /* modules with unnamed addresses, worst first */
	bool watchdog;                  /* the tracer was found stuck, and given up */
};

/** Returns 0; -ESRCH; what execve returned for a command; -EPERM, -EACCES; -ENOMEM. */
int session_new(const struct session_options *options, struct session **ret_session);
struct session *session_free(struct session *session);

/** The process being profiled. */
pid_t session_pid(const struct session *session);

/**
 * Samples until the end that the options name, then unwinds what is left and symbolizes.
 *
 * @return 0, or a negative errno after which the profile still holds what was collected
 */
int session_run(struct session *session);

/** From any thread: the result is not wanted any more, so session_run() need not name what has no
 * name yet when it ends. To be followed by what ends it. */
void session_abandon(struct session *session);

/** How far it is. May be called from any thread. */
void session_progress(const struct session *session, struct session_progress *ret_progress);

/**
 * Changes what is sampled while session_run() runs on another thread; may be called from several.
 * What was sampled so far is in the profile when it returns, and what is sampled from now on is not
 * yet. It takes as long as the stops under way, 0.2 s at most.
 *
 * @param types	of the types of the options, which have on_demand set; 0: nothing is sampled, and
 *the target is not looked at
 * @return 0; -ESRCH when the recording has ended
 */
int session_set_types(struct session *session, unsigned types);

/**
 * A copy of what was collected up to this call, while session_run() runs on another thread; also
 * before it, and until session_free(). May be called from several threads at once.
 *
 * The copy is whole: stacks have the names found so far, threads that wait have been charged up to
 * now, times are those of the copy. (Delays of SAMPLER_BLOCK count when a wait ends; what was not
 * sampled of a thread is known at the end.) The consumer is held up for as long as its tables
 * take to be copied; the rest is done by the caller. It takes up to a tick; from the end of the
 * recording on it waits for session_run() to name and account for the rest, and is the final
 * profile then.
 *
 * @param types		one of the types that were asked for, or all of them
 * @param ret_profile	the caller's
 * @return 0 or -ENOMEM
 */
int session_peek(struct session *session, unsigned types, struct profile **ret_profile);

/**
 * A recording without an end is taken away piece by piece, so that it does not grow. What belongs
 *to one piece is in that one alone; copies that session_peek() makes are of the piece that is under
 * way.
 *
 * @param ret_profile	all types, what was collected since the piece before, times set; as far as
 *			named by now, see session_name(); the caller's
 * @return 0; -ESRCH when the recording has ended (what came last is what session_peek() has then);
 *	-ENOMEM
 */
int session_take_piece(struct session *session, struct profile **ret_profile);

/** As session_peek() of all types. ret_number: how many pieces were taken before the one that the
 * copy is of. */
int session_peek_piece(struct session *session, struct profile **ret_profile, uint64_t *ret_number);

/** One type's part of a profile of all types of this session. Returns 0 or -ENOMEM. */
int session_project(const struct session *session, const struct profile *whole,
		    enum sampler_type type, struct profile **ret_profile);

/** Gives names found meanwhile to a piece, or a copy of one, of all types. From any thread. Returns
 * 0 or -ENOMEM. */
int session_name(struct session *session, struct profile *whole);

/**
 * Waits until what was collected up to now has its names, as far as there are any; the next
 * session_peek() has them. May be called from any thread while session_run() runs.
 *
 * @param ns		at most for so long
 * @param urgent	somebody waits: the finding of names gets a high priority meanwhile
 * @return whether it has
 */
bool session_await_names(struct session *session, uint64_t ns, bool urgent);

/** The result of one of the types that were asked for; owned by the session, and there until
 * another one is asked for. Returns 0 or -ENOMEM. */
int session_profile(struct session *session, enum sampler_type type,
		    const struct profile **ret_profile);
const struct session_stats *session_stats(const struct session *session);
