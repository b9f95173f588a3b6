/* SPDX-License-Identifier: Apache-2.0 */
/* What `cprof record` was asked for. */
#pragma once

#include <stdbool.h>

#include "custom_options.h"
#include "push_options.h"
#include "sampling.h"

struct record_options {
	struct sampling sampling;
	struct push_command push;
	const char *output_path;
	bool heap, allocs;            /* types that are not sampled by ticks … */
	struct custom_options custom; /* … and others that are not */
	bool heap_only;               /* there are none that are */
	uint64_t heap_rate;           /* of heap and allocs; 0: neither is wanted */
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

/** Is there something that the agent brings? */
static inline bool record_options_by_agent(const struct record_options *options)
{
	return options->heap || options->allocs || options->custom.n_wanted;
}

void record_options_deinit(struct record_options *options);
