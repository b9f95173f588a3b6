/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands that sample a process have in common: options, checks, the start. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vec.h"
#include "options.h"
#include "session/session.h"

/* Options without a letter; those of a command follow from SAMPLING_OPTIONS_END on. */
enum {
	SAMPLING_TID = 256,
	SAMPLING_TYPE,
	SAMPLING_CHILDREN,
	SAMPLING_MAX_OVERHEAD,
	SAMPLING_MAX_PAUSE,
	SAMPLING_UNWINDER,
	SAMPLING_NO_INLINES,
	SAMPLING_OPTIONS_END,
};

/* Rows of an option_table. A command adds rows of its own for 'd' and SAMPLING_TYPE, whose defaults
 * are its own, and for SAMPLING_NAME, behind an id of its own. */
#define SAMPLING_ROW_PID                                                                           \
	{                                                                                          \
		'p', "pid", "PID", "profile this running process", OPTION_PID                      \
	}
#define SAMPLING_NAME "name", "NAME", "profile the one process of this name", OPTION_NAME
#define SAMPLING_ROW_TID                                                                           \
	{                                                                                          \
		SAMPLING_TID, "tid", "TID[,TID...]", "only these of its threads; may be repeated"  \
	}
#define SAMPLING_ROW_FREQUENCY                                                                     \
	{                                                                                          \
		'F', "frequency", "HZ",                                                            \
			"samples per second and busy thread, 1 to 10000 (default 100)"             \
	}
#define SAMPLING_ROWS_HOW                                                                          \
	{SAMPLING_CHILDREN, "children", NULL, "also the processes that it starts"},                \
		{SAMPLING_MAX_OVERHEAD, "max-overhead", "PERCENT",                                 \
		 "of its CPU time that stops may take; 0: any (default 5)"},                       \
		{SAMPLING_MAX_PAUSE, "max-pause", "TIME",                                          \
		 "lower the rate when a stop takes longer"},                                       \
		{SAMPLING_UNWINDER, "unwinder", "NAME", "fast (default) or libunwind",             \
		 "fast libunwind"},                                                                \
	{                                                                                          \
		SAMPLING_NO_INLINES, "no-inlines", NULL, "do not expand inlined functions"         \
	}

struct sampling {
	struct session_options session; /* borrows from what follows, and from argv */
	VEC(pid_t) tids;
	const char *name;
	char command_line[1024];
	bool has_duration;
	enum sampler_type first_type; /* that was named; 0: none */
};

/** Fills in the defaults. To be released in any case. */
void sampling_init(struct sampling *sampling, int argc, char **argv);
void sampling_deinit(struct sampling *sampling);

/** Takes one of the options above. False after saying what is wrong with it, or for one that is
 * none of them. */
bool sampling_parse(struct sampling *sampling, int option, const char *text);

/** A time as an option's argument, more than 0. False after saying what is wrong. */
bool sampling_parse_time(const char *text, const char *option, uint64_t *ret_ns);

/**
 * After the last option: takes the command, if there is one, and checks that options go together.
 *
 * @param name_option	how a process is named, e.g. "-n NAME"
 * @return false after saying what is wrong
 */
bool sampling_check(struct sampling *sampling, int argc, char **argv, const char *name_option);

/** Finds the process, and whether it can be profiled; it is not touched. False after saying why
 * not. */
bool sampling_find(struct sampling *sampling);

/** What the target is called, fit for a file name. */
void sampling_target_name(const struct sampling *sampling, char name[static 64]);

/** Starts a session, and the command if there is one. False after saying why not. */
bool sampling_start(const struct sampling *sampling, struct session **ret_session);
