/* SPDX-License-Identifier: Apache-2.0 */
/* How the reports of this room write numbers and names. */
#pragma once

#include <stdint.h>

#include "base/sink.h"

#define REPORT_VALUE_SIZE 64

/** Writes a value in a unit that suits its size: "1.23s", "450ms", "12kB", "42". Units that pprof
 * does not scale are put behind the number; "count" is left out. Returns buffer. */
char *report_format_value(int64_t value, const char *unit, char buffer[static REPORT_VALUE_SIZE]);

/** Writes a share of the total as a percentage of at most 7 characters; 0 of 0 is 0%. Returns
 * buffer. */
char *report_format_share(int64_t value, int64_t total, char buffer[static REPORT_VALUE_SIZE]);

/** Writes a name that came from another program: control characters (C0, DEL, C1), with which it
 * could command a terminal, become '?'. Returns 0 or the sink's error. */
int report_write_name(struct sink *sink, const char *name);
