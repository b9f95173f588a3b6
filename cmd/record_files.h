/* SPDX-License-Identifier: Apache-2.0 */
/* The files of a recording: one for each type. */
#pragma once

#include <stdbool.h>

#include "output.h"
#include "session/custom.h"
#include "session/session.h"

#define RECORD_MAX_FILES 44

struct record_file {
	const char *name;                /* of the type */
	const struct session_type *type; /* NULL: that of a heap, or a custom one */
	const struct custom *custom;
	struct profile *heap; /* of these two, the profile once it is there; owned */
	struct output output;
	int written; /* result of writing it */
};

struct record_files {
	struct record_file items[RECORD_MAX_FILES];
	unsigned n;
};

/* Of what there is to be a file. */
struct record_wanted {
	unsigned types;                      /* of a session */
	bool heap, allocs;                   /* two types that are none of the session, … */
	const struct custom *const *customs; /* … and others; borrowed */
	unsigned n_customs;
};

/**
 * Opens a file for each of the types. To be closed in any case.
 *
 * @param path	of the only one; with several, what their names are made from: the type comes in
 *		front of the ending. NULL: as output_open()
 * @param name	for the default name
 * @return true, or false after printing why not
 */
bool record_files_open(struct record_files *files, const struct record_wanted *wanted,
		       const char *path, const char *name);

/** Gives the file of a custom type its profile. */
void record_files_set_custom(struct record_files *files, const struct custom *custom,
			     struct profile *take_profile);

/** Gives heap and allocs their profile. Returns 0 or -ENOMEM. */
int record_files_set_heap(struct record_files *files, struct profile *take_profile);

/** There are no profiles that are none of the session: they are not written. */
void record_files_drop_heap(struct record_files *files);

/** Those not finished are removed when memory runs out: see memory_limit_guard(). */
void record_files_guard(const struct record_files *files);

/** Writes each type's profile and gives the files their names. The session may be NULL where there
 * are only those of a heap. Returns 0, 1 or a negative errno, as
 * output_finish(), the worst of all. */
int record_files_write(struct record_files *files, struct session *session);

/** Says how to look at them. */
void record_files_print(const struct record_files *files);

void record_files_close(struct record_files *files);
