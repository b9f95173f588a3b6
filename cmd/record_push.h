/* SPDX-License-Identifier: Apache-2.0 */
/* A recording's profiles, sent to a server once they are in their files. */
#pragma once

#include <stdbool.h>

#include "record_files.h"
#include "record_options.h"

/**
 * Sends them, if --push says so: for 30 s at most, or until a signal that ends a recording comes.
 *
 * @param session	NULL where there are only profiles of a heap
 * @param name	the target's
 * @return false when not all were taken, which was said
 */
bool record_push(struct record_options *options, const struct record_files *files, pid_t pid,
		 struct session *session, const char *name);
