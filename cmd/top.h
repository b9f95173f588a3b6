/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of `cprof top` share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "sampling.h"
#include "top_figures.h"
#include "top_view.h"

struct top {
	struct sampling sampling;
	uint64_t interval_ns;
	uint64_t count;  /* of refreshes; 0: any */
	uint32_t n_rows; /* of a table in plain lines; 0: all */
	bool plain, by_thread;

	bool live;      /* a table on the terminal */
	bool suspended; /* the terminal is not ours for now … */
	bool continued; /* … though this process was stopped and runs again */
	int signal_fd, stop_fd, suspend_fd, done_fd; /* see cmd_top.c */
	char name[64];                               /* of the target */
	struct session *session;
	bool has_heap, heap_first;
	struct session_heap *heap; /* NULL: not counted */
	struct top_figures figures;
	struct top_view view;
	const char *note; /* for the last line of the screen; NULL: none */
};

/* --- top_loop.c --- */

/**
 * Shows the table until somebody wants to quit, enough was shown, or the recording is over.
 *
 * @return 0; -EPIPE when nobody reads the output any more; another negative errno
 */
int top_loop(struct top *top);

/* --- top_options.c --- */

/** As record_options_parse(). */
int top_options_parse(struct top *top, int argc, char **argv);

/* --- top_plain.c --- */

/** Prints the table. Returns 0 or a negative errno. */
int top_plain_print(const struct top *top);

/* --- top_screen.c --- */

/** Draws everything anew, for the window as it is. */
void top_screen_draw(struct top *top);

/* --- top_keys.c --- */

enum top_key {
	TOP_KEY_DONE = 0,
	TOP_KEY_QUIT,
	TOP_KEY_REFRESH, /* figures are wanted at once */
};

/** Reads the keys that were typed, and does what they say. Returns an enum top_key or -ENOMEM. */
int top_keys_read(struct top *top);

/** What --help cannot tell: a line per key; NULL behind the last. */
extern const char *const top_keys_help[];
