/* SPDX-License-Identifier: Apache-2.0 */
#include "record_options.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cmd.h"
#include "heap_options.h"
#include "options.h"
#include "session/session_heap.h"

#define DEFAULT_DURATION 30000000000ULL
#define DEFAULT_DURATION_THREADS 2000000000ULL

enum {
	OPTION_EXIT_STATUS = SAMPLING_OPTIONS_END,
	OPTION_PARKED,
	OPTION_HEAP_RATE,
	OPTION_CUSTOM,
};

static const struct option_row rows[] = {
	SAMPLING_ROW_PID,
	{'n', SAMPLING_NAME},
	SAMPLING_ROW_TID,
	{'d', "duration", "TIME", "stop after this time, e.g. 30s, 500ms, 1m30s (default 30s)"},
	SAMPLING_ROW_FREQUENCY,
	{'o', "output", "FILE", "where to write; - for stdout (default: the next free name)",
	 OPTION_FILE},
	{SAMPLING_TYPE, "type", "TYPE[,TYPE...]",
	 "what to measure: cpu (default), wall, block, mutex, threadcreate, threads; heap, "
	 "allocs, fd, mmap, thread, dlopen, and what --custom and probes name; a file for each",
	 "cpu wall block mutex threadcreate threads heap allocs fd mmap thread dlopen"},
	{OPTION_CUSTOM, "custom", "DECLARATION",
	 "a profile of calls, as 'NAME: add=FUNC[:ret|:argN], remove=FUNC[:argN][, size=argN]'"},
	{OPTION_HEAP_RATE, "heap-rate", "BYTES",
	 "heap, allocs: mean bytes between two samples; 1: all (default 524288)"},
	{OPTION_PARKED, "parked", NULL, "block: also threads that wait in one place all the time"},
	SAMPLING_ROWS_HOW,
	PUSH_ROWS,
	{OPTION_EXIT_STATUS, "exit-status", NULL, "end with the command's own exit status"},
	{'q', "quiet", NULL, "print errors and warnings only"},
	{'v', "verbose", NULL, "print more figures; twice: also internal errors"},
};

const struct option_table record_options_table = {
	.usage = "cprof record [OPTIONS] -p PID | -n NAME\n"
		 "       cprof record [OPTIONS] -- COMMAND [ARGUMENTS]",
	.about = "Samples the stacks of a running process, or of a command from its first "
		 "instruction on,\nand writes a profile that go tool pprof opens.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.see = "cprof-record(1)",
};

/* Heaps are counted, not sampled by ticks: no business of the sampler. */
static bool parse_types(struct record_options *options, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	while (copy && (part = strsep(&rest, ","))) {
		if (strcmp(part, "heap") == 0)
			options->heap = true;
		else if (strcmp(part, "allocs") == 0)
			options->allocs = true;
		else if (session_type_find(part) || !custom_is_name(part)
				 ? !sampling_parse(&options->sampling, SAMPLING_TYPE, part)
				 : !custom_options_want(&options->custom, part))
			return false;
	}
	return copy != NULL;
}

static bool parse_one(struct record_options *options, int option, const char *text)
{
	switch (option) {
	case 'n':
		options->sampling.name = text;
		return true;
	case SAMPLING_TYPE:
		return parse_types(options, text);
	case OPTION_CUSTOM:
		return custom_options_declare(&options->custom, text);
	case OPTION_HEAP_RATE:
		return heap_options_parse_rate(text, &options->heap_rate);
	case 'o':
		options->output_path = text;
		return true;
	case OPTION_PARKED:
		options->sampling.session.sampler.keep_parked = true;
		return true;
	case OPTION_EXIT_STATUS:
		options->exit_status = true;
		return true;
	case 'q':
		options->quiet = true;
		return true;
	case 'v':
		options->verbose++;
		return true;
	default:
		if (option >= PUSH_OPTION_URL)
			return push_options_parse(&options->push, option, text);
		return sampling_parse(&options->sampling, option, text);
	}
}

/* What goes with what the agent brings, and with nothing else. */
static bool check_agent(struct record_options *options)
{
	struct sampler_options *sampler = &options->sampling.session.sampler;
	bool heap = options->heap || options->allocs;
	const char *name = options->heap     ? "heap"
			   : options->allocs ? "allocs"
					     : custom_options_first(&options->custom);
	const char *other = sampler->children                    ? "--children"
			    : options->sampling.tids.n           ? "--tid"
			    : (sampler->types & SAMPLER_THREADS) ? "--type threads"
								 : NULL;

	if (!heap && options->heap_rate) {
		fprintf(stderr, "cprof: --heap-rate goes with --type heap and allocs only.\n");
		return false;
	}
	if (!record_options_by_agent(options))
		return true;
	/* A wrong name is told before what it would not go with. */
	if (!options->sampling.name &&
	    (!custom_options_resolve(&options->custom, sampler->pid) ||
	     !custom_options_go_together(&options->custom, heap)))
		return false;
	options->heap_rate = !heap                ? 0
			     : options->heap_rate ? options->heap_rate
						  : SESSION_HEAP_RATE;
	options->heap_only = !sampler->types;
	/* It starts the command and sees its end, and samples nothing. */
	sampler->on_demand = options->heap_only;
	if (sampler->argv && (sampler->types & SAMPLER_CREATE)) {
		fprintf(stderr,
			"cprof: a command's threads are traced all the time for threadcreate, so "
			"that its %s cannot be counted; leave out one of them, or use -p PID.\n",
			name);
		return false;
	}
	if (options->custom.n_wanted && options->push.url) {
		other = "--push";
		name = custom_options_first(&options->custom);
	}
	if (other)
		fprintf(stderr, "cprof: %s does not go with --type %s.\n", other, name);
	return !other;
}

static int parse(struct record_options *options, int argc, char **argv)
{
	struct sampler_options *sampler = &options->sampling.session.sampler;
	const char *text;
	int option;

	while ((option = options_next(&record_options_table, argc, argv, &text)) != OPTIONS_END) {
		if (option == OPTIONS_HELP)
			return OPTIONS_HELP;
		if (option == OPTIONS_BAD || !parse_one(options, option, text))
			return CMD_USAGE;
	}
	if (!custom_options_check(&options->custom))
		return CMD_USAGE;
	if (!sampling_check(&options->sampling, argc, argv, "-n NAME") ||
	    !push_options_check(&options->push))
		return CMD_USAGE;
	if (options->exit_status && !sampler->argv) {
		fprintf(stderr, "cprof: --exit-status goes with -- COMMAND only.\n");
		return CMD_USAGE;
	}
	if (!check_agent(options))
		return CMD_USAGE;
	if (!sampler->types)
		sampler->types = SAMPLER_CPU;
	if (sampler->keep_parked && !(sampler->types & SAMPLER_BLOCK)) {
		fprintf(stderr, "cprof: --parked goes with --type block only.\n");
		return CMD_USAGE;
	}
	if (sampler->types & SAMPLER_THREADS && sampler->types != SAMPLER_THREADS) {
		fprintf(stderr,
			"cprof: --type threads shows one instant and ends by itself; it cannot "
			"be combined with others.\n");
		return CMD_USAGE;
	}
	if (!options->sampling.has_duration && sampler->types == SAMPLER_THREADS)
		sampler->duration_ns = DEFAULT_DURATION_THREADS;
	else if (!options->sampling.has_duration && !sampler->argv)
		sampler->duration_ns = DEFAULT_DURATION;
	return CMD_OK;
}

int record_options_parse(struct record_options *options, int argc, char **argv)
{
	*options = (struct record_options){};
	sampling_init(&options->sampling, argc, argv);
	return parse(options, argc, argv);
}

void record_options_deinit(struct record_options *options)
{
	sampling_deinit(&options->sampling);
	push_options_deinit(&options->push);
	custom_options_deinit(&options->custom);
}
