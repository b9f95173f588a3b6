/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "base/queue.h"
#include "session/consumer.h"
#include "session/heap_profile.h"
#include "session/session_heap.h"

/* Of the agent. */
enum heap_stage {
	HEAP_STARTING,
	HEAP_IN,
	HEAP_OVER, /* out again, or it never came in */
};

/* A peek goes from hand to hand. */
enum heap_peek {
	HEAP_PEEK_NONE,
	HEAP_PEEK_READER,   /* reads what lives */
	HEAP_PEEK_CONSUMER, /* makes a profile of it; `live` is its own */
	HEAP_PEEK_MADE,
};

struct session_heap {
	struct session_heap_options options;
	VEC(struct inject_custom) calls; /* of all custom profiles, with their numbers */
	struct process *process;         /* the reader's */
	struct queue *queue;
	struct consumer *consumer;
	struct sampler_shared *shared;
	struct heap_profile *heap; /* the consumer thread's, as the consumer */
	pthread_t reader_thread, consumer_thread;
	bool has_reader, has_consumer;
	int consumer_result;
	/* eventfd(2): stop_fd and ask_fd wake the reader, wake_fd the consumer. */
	int stop_fd, ask_fd, wake_fd, end_fd;

	pthread_mutex_t turn; /* one peeks at a time; for what follows */
	struct profile *copy; /* the last one, while somebody may want the same */
	uint64_t copied_at;   /* when it was asked for */
	unsigned copied;      /* of which: 0 the heap, else 1 + number of a custom one */
	_Atomic unsigned n_users;

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	enum heap_stage stage;
	int result;     /* of bringing it in, the first time */
	bool is_shared; /* starting, and not before another thread lets go of the target */
	enum heap_peek peek;
	unsigned peek_which; /* as in `copied` */
	bool peek_forgets;   /* nobody wants a copy: see heap_profile_forget() */
	bool ending;         /* the consumer thread is to end */
	struct allocs_live live;
	struct session_heap_stats stats;
	struct profile *made; /* the answer */
	int made_result;
};

/* --- session_heap_reader.c --- */

/** The thread that has the agent. */
void *session_heap_read(void *heap);

/* --- session_heap_words.c --- */

/** Notes in a profile how it was made and what it lacks. Returns 0 or -ENOMEM. */
int session_heap_comment(struct profile *profile, const char *command_line,
			 const struct session_heap_stats *stats);

/* --- session_custom.c --- */

/** Gives the calls of all custom profiles their numbers. Returns 0, -ENOMEM, or -EINVAL for too
 * many of them. */
int session_custom_calls(struct session_heap *heap);

/** Takes descriptors that are open no more out of what lives; counts them. */
void session_custom_drop_closed(struct session_heap *heap, struct allocs_live *live,
				uint64_t closed[static AGENT_MAX_PROFILES]);

/** Notes in a custom profile, number from 0 on, how it was made and what it lacks. Returns 0 or
 * -ENOMEM. */
int session_custom_comment(struct profile *profile, const struct session_heap *heap,
			   unsigned custom, const struct session_heap_stats *stats);
