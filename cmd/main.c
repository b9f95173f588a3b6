/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cmd.h"

const struct cmd cmd_all[] = {
	{"completion", cmd_completion, &completion_options,
	 "print what a shell needs to complete the words of a command line"},
	{"doctor", cmd_doctor, &doctor_options,
	 "tell whether a process can be profiled, how well, and what holds it"},
	{"dump", cmd_dump, &dump_options,
	 "print what all threads of a process do, their stacks and locks, and deadlocks"},
	{"record", cmd_record, &record_options_table,
	 "profile a running process or a new command into a pprof file"},
	{"report", cmd_report, &report_options, "print the top functions of a pprof file"},
	{"serve", cmd_serve, &serve_options,
	 "serve the profiles of a process over HTTP, as /debug/pprof of Go programs"},
	{"top", cmd_top, &top_options,
	 "show the functions of a running process in a table that renews itself"},
	{},
};

static void print_usage(FILE *to)
{
	fputs("Usage: cprof COMMAND [OPTIONS]\n\n"
	      "Profiles native processes from the outside. Commands:\n\n",
	      to);
	for (const struct cmd *cmd = cmd_all; cmd->name; cmd++)
		fprintf(to, "  %-10s %s\n", cmd->name, cmd->about);
	fputs("\n'cprof COMMAND --help' tells more; so do cprof(1) and cprof-COMMAND(1).\n", to);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return CMD_USAGE;
	}
	for (const struct cmd *cmd = cmd_all; cmd->name; cmd++) {
		if (strcmp(argv[1], cmd->name) == 0)
			return cmd->run(argc - 1, argv + 1);
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("cprof " CPROF_VERSION);
		return CMD_OK;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return CMD_OK;
	}
	fprintf(stderr, "cprof: there is no command '%s'. Known:", argv[1]);
	for (const struct cmd *cmd = cmd_all; cmd->name; cmd++)
		fprintf(stderr, "%s %s", cmd == cmd_all ? "" : ",", cmd->name);
	fputs("; see cprof --help.\n", stderr);
	return CMD_USAGE;
}
