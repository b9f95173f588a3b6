/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cmd.h"
#include "options.h"
#include "top.h"

#define DEFAULT_INTERVAL NSEC_PER_SEC
/* A refresh takes milliseconds. */
#define MIN_INTERVAL (50 * NSEC_PER_MSEC)
#define MAX_COUNT UINT32_MAX
#define DEFAULT_ROWS 20

enum {
	OPTION_NAME_ID = SAMPLING_OPTIONS_END,
	OPTION_INTERVAL,
	OPTION_ROWS,
	OPTION_PLAIN,
	OPTION_BY_THREAD,
	OPTION_SORT,
};

static const struct option_row rows[] = {
	SAMPLING_ROW_PID,
	{OPTION_NAME_ID, SAMPLING_NAME},
	SAMPLING_ROW_TID,
	{'d', "duration", "TIME", "end after this time, e.g. 30s (default: when the target ends)"},
	{'n', "count", "N", "end after so many refreshes"},
	{OPTION_INTERVAL, "interval", "TIME", "between refreshes, e.g. 500ms (default 1s)"},
	{OPTION_PLAIN, "plain", NULL, "print lines, as into a file, even on a terminal"},
	{OPTION_ROWS, "rows", "N", "functions in each table in plain lines; 0: all (default 20)"},
	{OPTION_BY_THREAD, "by-thread", NULL, "a row for each thread that a function was seen in"},
	{OPTION_SORT, "sort", "KEY",
	 "self (default) or total, of the last interval; self-since or total-since, of all; "
	 "thread, "
	 "name, module",
	 "self total self-since total-since thread name module"},
	{SAMPLING_TYPE, "type", "TYPE[,TYPE...]",
	 "what to measure: cpu, wall, block, heap (default cpu,wall); shows the first one",
	 "cpu wall block heap"},
	SAMPLING_ROW_FREQUENCY,
	SAMPLING_ROWS_HOW,
};

const struct option_table top_options = {
	.usage = "cprof top [OPTIONS] -p PID | --name NAME\n"
		 "       cprof top [OPTIONS] -- COMMAND [ARGUMENTS]",
	.about =
		"Shows the functions that a process spends its time in, while it runs: a table "
		"that renews\nitself, with keys (h shows them), or plain lines where the output is "
		"no terminal.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.see = "cprof-top(1)",
};

static bool parse_number(const char *text, const char *option, uint64_t min, uint64_t *ret_number)
{
	if (parse_u64(text, min, MAX_COUNT, ret_number) == 0)
		return true;
	fprintf(stderr, "cprof: %s wants a number from %d on, not '%s'.\n", option, (int)min, text);
	return false;
}

static bool parse_sort(struct top *top, const char *text)
{
	for (int i = 0; i < TOP_SORTS; i++) {
		if (strcmp(top_sort_name((enum top_sort)i), text) != 0)
			continue;
		top->view.sort = (enum top_sort)i;
		return true;
	}
	fprintf(stderr, "cprof: there is no sort key '%s'; known:", text);
	for (int i = 0; i < TOP_SORTS; i++)
		fprintf(stderr, "%s %s", i ? "," : "", top_sort_name((enum top_sort)i));
	fputs(".\n", stderr);
	return false;
}

/* The heap is counted, beside what is sampled. */
static bool parse_types(struct top *top, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	while (copy && (part = strsep(&rest, ","))) {
		if (strcmp(part, "heap") == 0) {
			top->heap_first |= !top->sampling.session.sampler.types;
			top->has_heap = true;
		} else if (!sampling_parse(&top->sampling, SAMPLING_TYPE, part)) {
			return false;
		}
	}
	return copy != NULL;
}

static bool parse_one(struct top *top, int option, const char *text)
{
	uint64_t number;

	switch (option) {
	case OPTION_NAME_ID:
		top->sampling.name = text;
		return true;
	case 'n':
		return parse_number(text, "-n", 1, &top->count);
	case OPTION_INTERVAL:
		if (!sampling_parse_time(text, "--interval", &top->interval_ns))
			return false;
		if (top->interval_ns >= MIN_INTERVAL)
			return true;
		fprintf(stderr, "cprof: --interval wants 50ms or more, not '%s'.\n", text);
		return false;
	case OPTION_ROWS:
		if (!parse_number(text, "--rows", 0, &number))
			return false;
		top->n_rows = (uint32_t)number;
		return true;
	case OPTION_PLAIN:
		top->plain = true;
		return true;
	case OPTION_BY_THREAD:
		top->by_thread = true;
		return true;
	case OPTION_SORT:
		return parse_sort(top, text);
	case SAMPLING_TYPE:
		return parse_types(top, text);
	default:
		return sampling_parse(&top->sampling, option, text);
	}
}

int top_options_parse(struct top *top, int argc, char **argv)
{
	struct sampler_options *sampler = &top->sampling.session.sampler;
	const char *text;
	int option;

	sampling_init(&top->sampling, argc, argv);
	top->interval_ns = DEFAULT_INTERVAL;
	top->n_rows = DEFAULT_ROWS;
	while ((option = options_next(&top_options, argc, argv, &text)) != OPTIONS_END) {
		if (option == OPTIONS_HELP)
			return OPTIONS_HELP;
		if (option == OPTIONS_BAD || !parse_one(top, option, text))
			return CMD_USAGE;
	}
	if (!sampling_check(&top->sampling, argc, argv, "--name NAME"))
		return CMD_USAGE;
	if (sampler->types & SAMPLER_THREADS) {
		fputs("cprof: --type threads is one instant, of which there is nothing to follow; "
		      "use cprof dump, or record.\n",
		      stderr);
		return CMD_USAGE;
	}
	if (!sampler->types) {
		sampler->types = SAMPLER_CPU | SAMPLER_WALL;
		top->sampling.first_type = SAMPLER_CPU;
	}
	return CMD_OK;
}
