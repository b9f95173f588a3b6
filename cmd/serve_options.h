/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of cprof serve. */
#pragma once

#include "custom_options.h"
#include "push_options.h"
#include "sampling.h"
#include "serve/serve.h"

struct serve_command {
	struct sampling sampling;
	struct serve_options serve;
	struct push_command push;
	struct custom_options custom;
	VEC(pid_t) pids; /* -p */
	bool allow_remote, continuous, has_interval, heap, probes;
	unsigned verbose;
	char token[512];
};

/** Returns CMD_OK, OPTIONS_HELP, or CMD_USAGE or CMD_FAILED after saying what is wrong. To be
 * released in any case. */
int serve_options_parse(struct serve_command *options, int argc, char **argv);
void serve_options_deinit(struct serve_command *command);
