/* SPDX-License-Identifier: Apache-2.0 */
/* One table per subcommand makes both the parser and the text of --help. */
#pragma once

/* Arguments that a shell finds by itself. */
#define OPTION_PID "<pid>"
#define OPTION_NAME "<name>"
#define OPTION_FILE "<file>"

struct option_row {
	int id;           /* the short option's letter, or a number above 255 without one */
	const char *name; /* long form, without dashes */
	const char *arg;  /* what the argument is called; NULL: none */
	const char *help; /* one line, without a full stop */
	/* What the argument can be, for completion: words separated by blanks, one of OPTION_PID …
	 * or NULL. */
	const char *values;
};

struct option_table {
	const char *usage;             /* lines behind "Usage: " */
	const char *about;             /* a sentence */
	const struct option_row *rows; /* `help` is added */
	unsigned n_rows;
	const char *see; /* man page */
};

/** What options_next() returns beside the ids of the table. */
enum options_next {
	OPTIONS_END = -1,   /* the rest are arguments, from optind on */
	OPTIONS_BAD = '?',  /* a message was printed; exit with CMD_USAGE */
	OPTIONS_HELP = 'h', /* the help was printed; exit with CMD_OK */
};

/** The next option; its argument is in *ret_arg. Options end at the first argument or "--". */
int options_next(const struct option_table *table, int argc, char **argv, const char **ret_arg);
