/* SPDX-License-Identifier: Apache-2.0 */
/* `cprof record --type heap` and `--type allocs`. */
#pragma once

#include "record_options.h"

/** Records and writes the file; signals are blocked, stop_fd of the options is set. Returns an enum
 * cmd_exit. */
int record_heap(struct record_options *options);
