/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server has collected, in pieces.
 *
 * A recording that lasts as long as a server would grow with every thread that comes and goes. So
 * while anything is sampled, what was collected is taken out of the recording every few seconds.
 * Pieces are kept for as long as the window reaches back and a reader needs them; what counts for
 * ever is added up.
 *
 *	piece 7  │ piece 8  │ piece 9  │ under way (number 10)
 *	    ▲ a reader began here                     ▲ and takes what came since: the rest of 7,
 *							8, 9 and what is there of 10
 *
 * All functions may be called from any thread.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/vec.h"
#include "profile/profile.h"
#include "session/session.h"

#define SERVE_PIECE_NS (5 * NSEC_PER_SEC)
/* Bits of enum sampler_type. */
#define SERVE_MAX_TYPES 16
/* Types that are counted for ever. */
#define SERVE_TOTALS (SAMPLER_BLOCK | SAMPLER_MUTEX | SAMPLER_CREATE)

struct serve_piece {
	uint64_t number;
	struct profile *profile; /* all types; does not change any more */
};

struct serve_reader;

struct serve_pieces {
	struct session *session; /* borrowed */
	uint64_t window_ns;
	pthread_t thread;
	bool started;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	bool stopped, active, stirred; /* active: something is sampled; stirred: was, since the
					  last piece */
	VEC(struct serve_piece) kept;  /* with consecutive numbers */
	uint64_t next;                 /* of the piece that comes next: all before are put */
	unsigned n_awaiting;           /* threads that wait for a piece to be put */
	struct serve_reader *readers;
	struct profile
		*totals[SERVE_MAX_TYPES]; /* of the types in SERVE_TOTALS, once there is one */
};

/** Reads one type from some moment on. Members are internal. */
struct serve_reader {
	struct serve_pieces *pieces;
	struct serve_reader *next, *previous;
	enum sampler_type type;
	uint64_t number; /* of the first piece that is not read yet */
	struct profile
		*first;      /* what there was of that piece when the reader began; NULL: nothing */
	struct profile *sum; /* of the pieces read; NULL: of none */
	int64_t since, lasted; /* of the pieces read: times as in a profile */
};

/** Starts the thread that takes pieces. @param window_ns how far serve_pieces_past() reaches back.
 * Returns 0 or a negative errno. */
int serve_pieces_init(struct serve_pieces *pieces, struct session *session, uint64_t window_ns);

/** Ends it; to be called before the recording is freed, without readers. */
void serve_pieces_deinit(struct serve_pieces *pieces);

/** Something is sampled from now on, or nothing any more. */
void serve_pieces_activate(struct serve_pieces *pieces, bool active);

/** Takes a piece, as its thread does every SERVE_PIECE_NS while something is sampled; not both at
 * once. Returns 0; -ESRCH when the recording has ended; -ENOMEM. */
int serve_pieces_take(struct serve_pieces *pieces);

/** Begins to read. The reader is to be ended whatever this returns. Returns 0 or -ENOMEM. */
int serve_reader_begin(struct serve_reader *reader, struct serve_pieces *pieces,
		       enum sampler_type type);

/** Reads the pieces that there are; to be called every SERVE_PIECE_NS or so, because pieces are
 * kept until all have read them. Returns 0 or -ENOMEM. */
int serve_reader_follow(struct serve_reader *reader);

/** What came since the reader began, or since this was called last. Waits for names for some
 * seconds. Its time and duration are not set. Returns 0 or -ENOMEM. */
int serve_reader_take(struct serve_reader *reader, struct profile **ret_profile);

void serve_reader_end(struct serve_reader *reader);

/** All that was collected of a type that is in SERVE_TOTALS. Returns 0 or -ENOMEM. */
int serve_pieces_total(struct serve_pieces *pieces, enum sampler_type type,
		       struct profile **ret_profile);

/** What was collected of a type in the last nanoseconds, and up to a piece before; less, if there
 * is less. Times are set. Returns 0 or -ENOMEM. */
int serve_pieces_past(struct serve_pieces *pieces, enum sampler_type type, uint64_t ns,
		      struct profile **ret_profile);

/** Internal, with the lock held: waits until all pieces before a number are put. False: they do not
 * come. */
bool serve_pieces_await(struct serve_pieces *pieces, uint64_t number);
