/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *about;
} commands[] = {
	{"doctor", cmd_doctor,
	 "tell whether a process can be profiled, how well, and what holds it"},
	{"dump", cmd_dump,
	 "print what all threads of a process do, their stacks and locks, and deadlocks"},
	{"record", cmd_record, "profile a running process or a new command into a pprof file"},
	{"report", cmd_report, "print the top functions of a pprof file"},
};

static void print_usage(FILE *to)
{
	fputs("Usage: cprof COMMAND [OPTIONS]\n\n"
	      "Profiles native processes from the outside. Commands:\n\n",
	      to);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].about);
	fputs("\n'cprof COMMAND --help' tells more; so do cprof(1) and cprof-COMMAND(1).\n", to);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		print_usage(stderr);
		return CMD_USAGE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
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
	fprintf(stderr,
		"cprof: there is no command '%s'. Known: doctor, dump, record, report; see cprof "
		"--help.\n",
		argv[1]);
	return CMD_USAGE;
}
