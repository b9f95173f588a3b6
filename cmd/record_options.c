/* SPDX-License-Identifier: Apache-2.0 */
#include "record_options.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "cmd.h"
#include "options.h"

#define DEFAULT_DURATION 30000000000ULL
#define DEFAULT_DURATION_THREADS 2000000000ULL

enum {
	OPTION_EXIT_STATUS = SAMPLING_OPTIONS_END,
	OPTION_PARKED,
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
	 "what to measure: cpu (default), wall, block, mutex, threadcreate, threads; a file for "
	 "each",
	 "cpu wall block mutex threadcreate threads"},
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

static bool parse_one(struct record_options *options, int option, const char *text)
{
	switch (option) {
	case 'n':
		options->sampling.name = text;
		return true;
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
	if (!sampling_check(&options->sampling, argc, argv, "-n NAME") ||
	    !push_options_check(&options->push))
		return CMD_USAGE;
	if (options->exit_status && !sampler->argv) {
		fprintf(stderr, "cprof: --exit-status goes with -- COMMAND only.\n");
		return CMD_USAGE;
	}
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
}
