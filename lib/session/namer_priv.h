/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/map64.h"
#include "base/ring.h"
#include "base/vec.h"
#include "session/namer.h"
#include "symbol/symbol.h"

struct namer_clone {
	struct module *module;
	uint32_t tag;
};

struct namer_image {
	struct process *process; /* owned */
	VEC(struct namer_clone) clones;
};

struct namer_message {
	struct module *module;     /* asked of; NULL: the image ends */
	struct namer_image *image; /* that ends, taken */
	uint64_t pc;
	uint32_t location;
	bool keep;
};

struct namer_problem {
	uint32_t tag;
	char *text; /* owned */
};

struct namer {
	struct ring *ring;
	int wake_fd;
	pthread_t thread;
	bool running;
	_Atomic bool stop;
	_Atomic pid_t tid;             /* 0: it has not begun, or has ended */
	_Atomic uint64_t asked, named; /* addresses */

	bool inlines;

	/* For the names, which namer_copy_lines() reads meanwhile; and for the priority. */
	pthread_mutex_t lock;
	unsigned awaiting; /* who waits in namer_await() */
	struct profile *names;
	VEC(uint32_t) locations; /* in names, by location - 1 */

	/* The thread's own, until namer_finish(). */
	struct symbolizer *symbolizer;
	VEC(struct namer_message) batch; /* taken from the ring, in order of their addresses */
	size_t done;                     /* of the batch */
	struct map64 texts;              /* where a string lies → its id in names */
	VEC(struct namer_image *) kept;
	VEC(struct namer_problem) problems;
	uint64_t cpu_ns;
	int result;
};

/** Enters the names of a location. Returns 0 or -ENOMEM. */
int namer_add_lines(struct namer *namer, uint32_t location, const struct symbol_lines *lines);

/** Frees what an image that ended consists of, or keeps it. Takes the image. Returns 0 or -ENOMEM.
 */
int namer_drop_image(struct namer *namer, struct namer_image *take_image, bool keep);
