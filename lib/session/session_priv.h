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

struct session {
	struct session_options options;
	struct sampler_shared shared;
	struct queue *queue;
	struct sampler *sampler;
	struct consumer *consumer;
	struct profile *profile; /* of all types */
	struct profile *part;    /* of one, if there are several */
	struct session_stats stats;
	int wake_fd;
	pthread_t tracer_thread, consumer_thread;
	bool tracer_started, cancelled;
	_Atomic bool done;    /* the tracer puts nothing into the queue any more */
	_Atomic bool gave_up; /* the watchdog on the tracer */

	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t changed;
	enum session_stage stage;
	int tracer_result, consumer_result;
};

/** Notes in the profile how it was made and what it lacks. Returns 0 or -ENOMEM. */
int session_comment(struct session *session);
