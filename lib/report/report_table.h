/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions with their values, for a table of them: one row per name for people, as in pprof's
 * granularity "functions". Functions of one name in several files share a row, and so do mangled
 * names that demangle to the same. A location without lines counts for its file, "[libfoo.so]". A
 * line inlined into another is a frame of its own. Recursive functions count once per sample.
 *
 * A table has columns, each of which holds the values of one profile, so that the same functions of
 * several profiles stand beside each other. It may be filled anew: names are made once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "profile/profile.h"

#define REPORT_COLUMNS 2

struct report_row {
	int64_t flat[REPORT_COLUMNS]; /* its own … */
	int64_t cum[REPORT_COLUMNS];  /* … and with what it called */
	/* Strings live as long as the table. They are as they came from the target. */
	const char *name;
	const char *file;   /* source; "" when not known */
	const char *module; /* the mapped file without its folders; "" when not known */
	const char *thread; /* "name tid"; "" unless rows are by thread */
};

struct report_table;

struct report_table_options {
	bool by_thread; /* a row for each thread that a function was seen in */
	/** Name for people of a function's system name; caller frees; NULL: as it is. */
	char *(*demangle)(const char *system_name);
};

/** Makes an empty table. Returns 0 or -ENOMEM. */
int report_table_new(const struct report_table_options *options, struct report_table **ret_table);
struct report_table *report_table_free(struct report_table *table);

/** Fills a column with the values of a sample type (index in the profile), in place of what it
 * held. Returns 0, -ENOMEM, or -EINVAL for a type that the profile does not have. */
int report_table_fill(struct report_table *table, unsigned column, const struct profile *profile,
		      uint32_t value_type);

/** Empties a column. */
void report_table_clear(struct report_table *table, unsigned column);

/** The rows, in no order and also those whose values are zero; valid until the next fill. */
const struct report_row *report_table_rows(const struct report_table *table, uint32_t *ret_n);

/** The sum over all samples of a column's profile. */
int64_t report_table_total(const struct report_table *table, unsigned column);
