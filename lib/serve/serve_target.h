/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes that are served. Each has a recording, and a hub that shares it out, of its own.
 *
 * They come and go (on the thread of serve_run()) while requests run (on threads of their own), so
 * a target lives as long as somebody holds it.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "serve/serve.h"
#include "serve/serve_hub.h"
#include "serve/serve_names.h"
#include "session/session_heap.h"

#define SERVE_NAME 64 /* of a process, with room to spare */

/** One process. */
struct serve_target {
	_Atomic unsigned holders;
	struct serve_process process;
	pid_t pid;
	char pid_text[16];
	char last_name[SERVE_NAME]; /* under the lock; see serve_target_name() */
	struct serve_hub *hub;
	struct session_heap *heap; /* also of custom profiles; NULL: not asked for */
	bool heap_is_told;         /* why it is not there, if it is not */
	struct serve_names *names;
	struct serve_push *pusher; /* NULL: nothing is pushed */
	pthread_mutex_t dump_lock;
	struct dump_source *dump_source; /* of the stacks of all threads; NULL: not asked for yet */
};

struct serve_targets {
	pthread_mutex_t lock;
	struct serve_target *items[SERVE_MAX_PROCESSES];
	unsigned n;
	_Atomic bool tracer_hangs; /* of one that is gone: see serve_is_stuck() */
	const struct serve_options *options;
	struct push_stats gone; /* pushes for processes that are gone; under the lock */
};

/** Some of them, each held. */
struct serve_scope {
	struct serve_target *items[SERVE_MAX_PROCESSES];
	unsigned n;
};

/** @param options of the server; borrowed */
void serve_targets_init(struct serve_targets *targets, const struct serve_options *options);
void serve_targets_deinit(struct serve_targets *targets);

/** Starts the recording of a process, and serves it. Takes it, on failure, too. Returns 0, -ENOSPC
 * when there are SERVE_MAX_PROCESSES already, or another negative errno. */
int serve_targets_add(struct serve_targets *targets, const struct serve_process *take_process);

/** Serves it no more. */
void serve_targets_remove(struct serve_targets *targets, struct serve_target *target);

/** Finds a process, and holds it; NULL: it is not served. */
struct serve_target *serve_targets_find(struct serve_targets *targets, pid_t pid);

/** Lets go. Whoever does it last waits for the end of the recording. Accepts NULL, returns NULL. */
struct serve_target *serve_target_put(struct serve_targets *targets, struct serve_target *target);

/** What it is called now, or was called last; valid UTF-8. An execve changes it. */
void serve_target_name(struct serve_targets *targets, struct serve_target *target,
		       char ret_name[static SERVE_NAME]);

/** All of them; to be released with serve_scope_put(). */
void serve_targets_all(struct serve_targets *targets, struct serve_scope *ret_scope);

/** Only this one. */
void serve_scope_one(struct serve_target *target, struct serve_scope *ret_scope);
void serve_scope_put(struct serve_targets *targets, struct serve_scope *scope);

/** Requests that run, and those that come, are to be answered with what there is. What is pushed is
 * sent, for some seconds at most. */
void serve_targets_finish(struct serve_targets *targets);

/** Writes the figures of all pushes as Prometheus reads them; nothing where none is pushed. Returns
 * 0 or the sink's error. */
int serve_targets_write_pushes(struct serve_targets *targets, struct sink *sink);
