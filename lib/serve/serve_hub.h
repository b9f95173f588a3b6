/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sampler, many clients.
 *
 * The recording runs on a thread of its own. Whoever wants a type counts it in and out; the union
 * of what is wanted is sampled, and nothing when nobody wants anything. What a client gets is what
 * came between two moments (see serve_pieces.h), so that clients do not know of each other.
 *
 * All functions may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"
#include "serve/serve_pieces.h"
#include "session/session.h"

struct serve_hub;

enum serve_hub_outcome {
	SERVE_HUB_ENDED = 1, /* the process has ended: there is nothing to count any more */
	SERVE_HUB_GONE,      /* the client hung up */
	SERVE_HUB_NOT_KEPT,  /* the type is not sampled all the time */
	SERVE_HUB_NO_HEAP,   /* the process does not have the agent */
};

/** How a type has been counted so far. */
struct serve_hub_count {
	uint64_t since;   /* of the first time: nanoseconds since the epoch; 0: never */
	uint64_t counted; /* for how long, nanoseconds */
	unsigned users;   /* requests that count it now */
};

/**
 * Starts the recording.
 *
 * @param session	borrowed
 * @param stop_fd	eventfd(2) that ends it; borrowed
 * @param continuous	of enum sampler_type: types that are sampled all the time
 * @param window_ns	how far serve_hub_past() reaches back
 * @return 0 or a negative errno
 */
int serve_hub_new(struct session *session, int stop_fd, unsigned continuous, uint64_t window_ns,
		  struct serve_hub **ret_hub);

/** Ends the recording. */
struct serve_hub *serve_hub_free(struct serve_hub *hub);

/**
 * Counts a type for some time.
 *
 * @param ns		for so long, or until the process ends or serve_hub_finish()
 * @param client_fd	socket of who asks: when its peer hangs up, counting ends
 * @param ret_profile	what came in this time, times set; the caller's
 * @return 0, an enum serve_hub_outcome, a negative errno
 */
int serve_hub_collect(struct serve_hub *hub, enum sampler_type type, uint64_t ns, int client_fd,
		      struct profile **ret_profile);

/** Counts a type in, until it is counted out as often. Returns 0 or SERVE_HUB_ENDED, after which it
 * is not counted. */
int serve_hub_enter(struct serve_hub *hub, enum sampler_type type);
void serve_hub_leave(struct serve_hub *hub, enum sampler_type type);

/** For readers of types that are counted in; borrowed. */
struct serve_pieces *serve_hub_pieces(struct serve_hub *hub);

/** What was collected of a type in the last nanoseconds, and up to SERVE_PIECE_NS before; less when
 * there is less. Returns 0, SERVE_HUB_ENDED, SERVE_HUB_NOT_KEPT, -ENOMEM. */
int serve_hub_past(struct serve_hub *hub, enum sampler_type type, uint64_t ns,
		   struct profile **ret_profile);

/** What was counted of a type so far; its time is now, its duration how long it was counted.
 * Returns 0 or -ENOMEM. */
int serve_hub_total(struct serve_hub *hub, enum sampler_type type, struct profile **ret_profile);

/** Waits. Returns 0, also when it ended early because of serve_hub_finish() or the end of the
 * process; SERVE_HUB_GONE. */
int serve_hub_wait(struct serve_hub *hub, uint64_t ns, int client_fd);

void serve_hub_count(struct serve_hub *hub, enum sampler_type type,
		     struct serve_hub_count *ret_count);

/** Requests that run are to be answered now with what there is. */
void serve_hub_finish(struct serve_hub *hub);

/** Readable when the process has ended, or after serve_hub_finish(); borrowed. */
int serve_hub_fd(const struct serve_hub *hub);

/** Has the recording ended? ret_result: what session_run() said. */
bool serve_hub_has_ended(struct serve_hub *hub, int *ret_result);

struct session *serve_hub_session(const struct serve_hub *hub);
