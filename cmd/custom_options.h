/* SPDX-License-Identifier: Apache-2.0 */
/* Custom profiles on the command line: --custom, and names of --type that are no built-in type. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "session/custom.h"
#include "session/session_heap.h"

struct custom_options {
	VEC(struct custom *) declared; /* by --custom */
	VEC(const char *) names;       /* by --type; owned */
	/* What is to be recorded, once it is resolved; before that only their number. */
	const struct custom **wanted;
	unsigned n_wanted;
	VEC(struct custom *) made; /* presets, and those of probes */
	bool takes_all;            /* an unknown name is one of probes that will come */
};

/** Takes the argument of --custom. False after saying what is wrong with which word. */
bool custom_options_declare(struct custom_options *options, const char *text);

/** Takes a name of --type. False after saying why not. */
bool custom_options_want(struct custom_options *options, const char *name);

/** After the last option: what is declared is wanted if nothing else is. False: too many. */
bool custom_options_check(struct custom_options *options);

/** One of the names that are wanted, for messages. */
const char *custom_options_first(const struct custom_options *options);

/** Wants all probes that a process has. False after saying that it has none. */
bool custom_options_want_probes(struct custom_options *options, pid_t pid);

/** Finds what each name stands for: declared, a preset, or probes in the process. False after
 * saying which there are. */
bool custom_options_resolve(struct custom_options *options, pid_t pid);

/** May they be recorded beside a heap, and beside each other? False after saying why not. */
bool custom_options_go_together(const struct custom_options *options, bool heap);

/** Says which function is imported nowhere, and what is instead. */
void custom_options_explain(const struct custom_options *options, pid_t pid);

/** Says what is missing; returns whether something is. */
bool custom_options_losses(const struct custom_options *options,
			   const struct session_heap_stats *stats);

/** The figures of a recording. */
void custom_options_print(const struct custom_options *options,
			  const struct session_heap_stats *stats);

void custom_options_deinit(struct custom_options *options);
