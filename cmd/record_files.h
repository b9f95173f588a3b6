/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a recording: one for each type. */
#pragma once

#include <stdbool.h>

#include "output.h"
#include "session/session.h"

#define RECORD_MAX_FILES 36

struct record_file {
	const char *name;                /* of its type */
	const struct session_type *type; /* NULL: not one of a session */
	struct output output;
	int written; /* result of writing it */
};

struct record_files {
	struct record_file items[RECORD_MAX_FILES];
	unsigned n;
};

/**
 * Opens a file for each of the types. To be closed in any case.
 *
 * @param path	of the only one; with several, what their names are made from: the type comes in
 *		front of the ending. NULL: as output_open()
 * @param name	for the default name
 * @return true, or false after printing why not
 */
bool record_files_open(struct record_files *files, unsigned types, const char *path,
		       const char *name);

/** The same for types that are not of a session. names: up to RECORD_MAX_FILES, borrowed. */
bool record_files_open_named(struct record_files *files, const char *const *names, unsigned n,
			     const char *path, const char *name);

/** Those not finished are removed when memory runs out: see memory_limit_guard(). */
void record_files_guard(const struct record_files *files);

/** Writes each type's profile and gives the files their names. Returns 0, 1 or a negative errno, as
 * output_finish(), the worst of all. */
int record_files_write(struct record_files *files, struct session *session);

/** The same with somebody else's profiles. write: what writes that of a file, by its number. */
int record_files_write_by(struct record_files *files,
			  int (*write)(void *user, unsigned file, struct sink *sink), void *user);

/** Says how to look at them. */
void record_files_print(const struct record_files *files);

void record_files_close(struct record_files *files);
