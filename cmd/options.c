/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#define MAX_ROWS 40

static void print_help(const struct option_table *table)
{
	char left[64];

	printf("Usage: %s\n\n%s\n\nOptions:\n", table->usage, table->about);
	for (unsigned i = 0; i < table->n_rows; i++) {
		const struct option_row *row = &table->rows[i];
		char letter[8] = "    ";

		if (row->id < 256)
			snprintf(letter, sizeof(letter), "-%c, ", row->id);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, row->name, row->arg ? "=" : "",
			 row->arg ? row->arg : "");
		printf("  %-26s %s\n", left, row->help);
	}
	printf("  %-26s %s\n\nSee %s.\n", "-h, --help", "print this and exit", table->see);
}

int options_next(const struct option_table *table, int argc, char **argv, const char **ret_arg)
{
	struct option longs[MAX_ROWS + 2] = {};
	/* '+': what follows the first argument belongs to a command. */
	char shorts[2 * MAX_ROWS + 4] = "+h";
	size_t n = 2;
	int id;

	for (unsigned i = 0; i < table->n_rows && i < MAX_ROWS; i++) {
		const struct option_row *row = &table->rows[i];

		longs[i] = (struct option){row->name, row->arg ? required_argument : no_argument,
					   NULL, row->id};
		if (row->id >= 256)
			continue;
		shorts[n++] = (char)row->id;
		if (row->arg)
			shorts[n++] = ':';
	}
	longs[table->n_rows] = (struct option){"help", no_argument, NULL, OPTIONS_HELP};
	id = getopt_long(argc, argv, shorts, longs, NULL);
	*ret_arg = optarg;
	if (id == OPTIONS_HELP)
		print_help(table);
	if (id == OPTIONS_BAD)
		fprintf(stderr, "Try '%s --help'.\n", argv[0]);
	return id;
}
