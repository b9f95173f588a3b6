/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The output file: opened before the target is touched, visible under its name only when whole.
 */
#pragma once

#include <stdbool.h>

#include "base/sink.h"

struct output {
	int fd;          /* -1: not open */
	bool direct;     /* stdout, a device or a FIFO: no temporary file */
	bool numbered;   /* the final name is the next free number … */
	unsigned number; /* … from this one on; 0: from 1 on */
	char *path;      /* final name, or its stem when numbered; owned */
	char *temporary; /* owned; NULL when direct */
};

/**
 * Opens the output.
 *
 * @param path	"-" for stdout; NULL for the next free cprof.NAME.samples.TYPE.NNN.pb.gz
 * @param name, type	for the default name
 * @return true, or false after printing why not
 */
bool output_open(struct output *output, const char *path, const char *name, const char *type);

/** Is there a file of that number? */
bool output_has_number(const struct output *output, unsigned number);

/**
 * Gives the finished file its name. When it cannot be written (`written` is the result of writing,
 * a negative errno), `again` is called with a sink on another place, $TMPDIR or /tmp, so that the
 * recording is not lost.
 *
 * @return 0: done; 1: saved, but elsewhere, which was said; negative: lost, which was said.
 *	   output->path is where it is.
 */
int output_finish(struct output *output, int written, int (*again)(void *user, struct sink *sink),
		  void *user);

/** Removes the temporary file if there still is one, and releases the rest. */
void output_close(struct output *output);
