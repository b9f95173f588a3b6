/* SPDX-License-Identifier: Apache-2.0 */
/* What `cprof record` was asked for. */
#pragma once

#include <stdbool.h>

#include "push_options.h"
#include "sampling.h"

struct record_options {
	struct sampling sampling;
	struct push_command push;
	const char *output_path;
	bool heap, allocs;  /* types that are not sampled by ticks */
	bool heap_only;     /* there are no others */
	uint64_t heap_rate; /* of these */
	bool exit_status, quiet;
	unsigned verbose;
};

/**
 * Fills in the defaults and reads the command line.
 *
 * @return CMD_OK; OPTIONS_HELP after printing the help; CMD_USAGE after saying what is wrong. To be
 *	   released in any case.
 */
int record_options_parse(struct record_options *options, int argc, char **argv);
void record_options_deinit(struct record_options *options);
