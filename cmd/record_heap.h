/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a recording that counts allocations. */
#pragma once

#include <stdbool.h>

#include "record_files.h"
#include "record_options.h"
#include "session/session_heap.h"

/** Starts to count; of a command, as soon as it has loaded its libraries. Returns NULL after saying
 * why not. */
struct session_heap *record_heap_start(const struct record_options *options, pid_t pid);

/** Waits for the end of a recording of nothing else. */
void record_heap_wait(const struct record_options *options, const struct session_heap *heap);

/** Ends counting, and gives the files their profiles. Returns CMD_OK, or CMD_FAILED after saying
 * why. */
int record_heap_finish(const struct record_options *options, struct session_heap *heap, pid_t pid,
		       struct session_heap_stats *ret_stats, struct record_files *files);

/** Says how it went; whether something was lost. */
bool record_heap_print(const struct record_options *options,
		       const struct session_heap_stats *stats);
