/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands; argv[0] is the subcommand's name. Each returns the exit code. */
#pragma once

/** Exit codes, as in cprof(1). */
enum cmd_exit {
	CMD_OK = 0,
	CMD_PARTIAL = 1, /* there is a result, but not all of it; a message says what is missing */
	CMD_FAILED = 2,
	CMD_DEADLOCK = 3, /* dump --deadlock: it found one */
	CMD_USAGE = 64,   /* EX_USAGE of sysexits.h */
};

struct option_table;

struct cmd {
	const char *name;
	int (*run)(int argc, char **argv);
	const struct option_table *options;
	const char *about; /* one line, without a full stop */
};

/** All commands, in alphabetical order; the last one has no name. */
extern const struct cmd cmd_all[];

int cmd_completion(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_record(int argc, char **argv);
int cmd_report(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_top(int argc, char **argv);

extern const struct option_table completion_options, doctor_options, dump_options,
	record_options_table, report_options, serve_options, top_options;
