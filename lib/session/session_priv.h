/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "session/consumer.h"
#include "session/session.h"

enum session_stage {
	SESSION_STARTING,
	SESSION_READY, /* sampler_new() has returned */
	SESSION_GO,    /* the tracer thread may sample; or end, if cancelled */
	SESSION_DONE,  /* the tracer thread will not touch the session any more */
};

/* Who may touch the profile. */
enum session_owner {
	SESSION_NOBODY,    /* it does not change: before the run, and after it */
	SESSION_CONSUMER,  /* the consumer thread */
	SESSION_FINISHING, /* who called session_run(), after the consumer thread has ended */
};

/* See session_peek.c. */
struct session_peek {
	pthread_mutex_t turn;     /* one asks at a time; protects `copy` and `copied_at` */
	struct profile *copy;     /* the last one, while somebody may want the same */
	uint64_t copied_at;       /* when it was asked for */
	uint64_t copy_number;     /* of the piece that it is of */
	_Atomic unsigned n_users; /* threads in session_peek() */
	_Atomic bool wanted;      /* by the one whose turn it is, from the consumer … */
	uint64_t asked_at;        /* … since; set before `wanted` */
	bool take;                /* not a copy, but itself; likewise */
	struct profile *made;     /* the answer; under session.lock, as what follows */
	uint64_t number;
	int result;
};

/* What the profile holds: since when, and how many pieces were taken before. Belongs to who owns
 * the profile. */
struct session_piece {
	uint64_t begun_at, begun_wall; /* CLOCK_MONOTONIC and since the epoch; 0: not yet */
	uint64_t number;
};

struct session {
	struct session_options options;
	struct sampler_shared shared;
	struct queue *queue;
	struct sampler *sampler;
	struct consumer *consumer;
	struct profile *profile; /* of all types */
	struct profile *part;    /* of one, if there are several */
	struct session_stats stats;
	struct session_peek peek;
	struct session_piece piece;
	_Atomic uint64_t begun_at; /* CLOCK_MONOTONIC; 0: not yet */
	int wake_fd;
	int types_fd, types_done_fd; /* see sampler_set_types() */
	pthread_mutex_t types_turn;  /* one changes them at a time */
	pthread_t tracer_thread, consumer_thread;
	bool tracer_started, cancelled;
	_Atomic bool done;    /* the tracer puts nothing into the queue any more */
	_Atomic bool gave_up; /* the watchdog on the tracer */
	_Atomic bool abandoned;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	enum session_stage stage;
	enum session_owner owner;
	int tracer_result, consumer_result;
};

/* --- session_peek.c --- */

void session_peek_init(struct session *session);
void session_peek_deinit(struct session *session);

/** On the consumer's thread: all snapshots taken before `upto` (CLOCK_MONOTONIC) are in the
 * profile. Makes a copy if somebody waits for one. */
void session_peek_serve(struct session *session, uint64_t upto);

/** Hands the profile over. */
void session_peek_pass(struct session *session, enum session_owner owner);

/* --- session_comment.c --- */

/** Notes in the profile how it was made and what it lacks. Returns 0 or -ENOMEM. */
int session_comment(struct session *session);
