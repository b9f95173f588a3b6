/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles pushed while the process runs: one after the other, each from the end of the one before.
 *
 * The types are counted all the time. What is taken here is given to lib/push, which never waits.
 */
#pragma once

#include <stdint.h>

#include "base/sink.h"
#include "push/push.h"
#include "serve/serve_hub.h"
#include "session/session_heap.h"

struct serve_push;

struct serve_push_options {
	unsigned types;       /* of SERVE_TYPES; 0, without `heap`: nothing is pushed */
	bool heap;            /* also that of the heap, if it is counted */
	uint64_t interval_ns; /* of a profile */
};

/** Starts the thread that does it.
 *
 * @param heap	NULL: it is not counted; borrowed
 * @param to	borrowed
 * @return 0 or a negative errno
 */
int serve_push_new(struct serve_hub *hub, struct session_heap *heap, struct push *to,
		   const struct serve_push_options *options, struct serve_push **ret_push);

/**
 * Ends the last profiles now, with what is in them, and waits for their sending. After
 * serve_hub_finish() or the end of the process. Does nothing the second time, or for NULL.
 *
 * @param until	(CLOCK_MONOTONIC) at most
 */
void serve_push_finish(struct serve_push *push, uint64_t until);

/** After serve_hub_finish(), too. */
struct serve_push *serve_push_free(struct serve_push *push);

/** Adds its figures to others. */
void serve_push_count(struct serve_push *push, struct push_stats *stats);

/** Writes figures as Prometheus reads them. Returns 0 or the sink's error. */
int serve_push_write(const struct push_stats *stats, struct sink *sink);
