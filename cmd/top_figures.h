/* SPDX-License-Identifier: Apache-2.0 */
/* The figures of `cprof top`: of the last interval, and since the start or the last reset. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "process/process.h"
#include "report/report_table.h"
#include "session/session.h"
#include "session/session_heap.h"

/* Columns of the table. Of a heap: bytes allocated in the last interval, and in use now. */
enum {
	TOP_LAST,
	TOP_SINCE,
};

/** The type that is not one of the session. */
extern const struct session_type top_figures_heap;

struct top_figures {
	struct session *session; /* borrowed */
	unsigned types;          /* that are measured */
	bool children;
	struct process *process; /* NULL: it has ended */
	struct report_table *table;

	/* Copies of the profile; NULL: none yet. */
	struct profile *base;   /* at the reset */
	struct profile *before; /* at the refresh before the last one */
	struct profile *now;    /* at the last one */
	struct profile *last;   /* now less before */
	struct profile *since;  /* now less base; NULL: as now */

	/* Of the heap, likewise. */
	struct session_heap *heap; /* borrowed; NULL: it is not counted */
	struct profile *heap_now, *heap_last;

	/* What is shown. */
	const struct session_type *type;
	bool by_thread;

	/* For the head of the table. */
	uint64_t last_ns, since_ns;
	double samples_per_second; /* of the type, in the last interval */
	uint64_t samples;          /* of the type, since the start */
	double cpu; /* CPUs that the target used in the last interval; < 0: not known */
	uint32_t threads;
	uint64_t dropped;
	bool stopped;  /* by job control or a debugger */
	char name[64]; /* of the target now: execve changes it; "": not known */

	uint64_t cpu_ns, cpu_at; /* the target's clock, and when it was read */
};

/** @param type	shown first
 * @param heap	may be NULL. Returns 0 or -ENOMEM. */
int top_figures_init(struct top_figures *figures, struct session *session,
		     struct session_heap *heap, unsigned types, bool children,
		     const struct session_type *type);
void top_figures_deinit(struct top_figures *figures);

/** Takes a new copy; what was collected since the last one is the last interval. Returns 0 or
 * -ENOMEM. */
int top_figures_refresh(struct top_figures *figures);

/** Begins anew from the last copy. Returns 0 or -ENOMEM. */
int top_figures_reset(struct top_figures *figures);

/** Makes the table of another type, or with or without threads, from the same copies. Returns 0 or
 * -ENOMEM. */
int top_figures_show(struct top_figures *figures, const struct session_type *type, bool by_thread);
