/* SPDX-License-Identifier: Apache-2.0 */
#include "record_options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cmd.h"
#include "options.h"
#include "target.h"

#define MAX_HZ 10000
#define DEFAULT_HZ 100
#define DEFAULT_DURATION 30000000000ULL
#define DEFAULT_DURATION_THREADS 2000000000ULL
#define DEFAULT_MAX_OVERHEAD 0.05

enum {
	OPTION_TID = 256,
	OPTION_TYPE,
	OPTION_UNWINDER,
	OPTION_NO_INLINES,
	OPTION_EXIT_STATUS,
	OPTION_PARKED,
	OPTION_CHILDREN,
	OPTION_MAX_OVERHEAD,
	OPTION_MAX_PAUSE,
};

static const struct option_row rows[] = {
	{'p', "pid", "PID", "profile this running process", OPTION_PID},
	{'n', "name", "NAME", "profile the one process of this name", OPTION_NAME},
	{OPTION_TID, "tid", "TID[,TID...]", "only these of its threads; may be repeated"},
	{'d', "duration", "TIME", "stop after this time, e.g. 30s, 500ms, 1m30s (default 30s)"},
	{'F', "frequency", "HZ", "samples per second and busy thread, 1 to 10000 (default 100)"},
	{'o', "output", "FILE", "where to write; - for stdout (default: the next free name)",
	 OPTION_FILE},
	{OPTION_TYPE, "type", "TYPE[,TYPE...]",
	 "what to measure: cpu (default), wall, block, mutex, threads; a file for each",
	 "cpu wall block mutex threads"},
	{OPTION_PARKED, "parked", NULL, "block: also threads that wait in one place all the time"},
	{OPTION_CHILDREN, "children", NULL, "also the processes that it starts"},
	{OPTION_MAX_OVERHEAD, "max-overhead", "PERCENT",
	 "of its CPU time that stops may take; 0: any (default 5)"},
	{OPTION_MAX_PAUSE, "max-pause", "TIME", "lower the rate when a stop takes longer"},
	{OPTION_UNWINDER, "unwinder", "NAME", "fast (default) or libunwind", "fast libunwind"},
	{OPTION_NO_INLINES, "no-inlines", NULL, "do not expand inlined functions"},
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

static bool parse_tids(struct record_options *options, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	while (copy && (part = strsep(&rest, ","))) {
		pid_t tid, *slot;

		if (!target_parse_pid(part, "--tid", &tid))
			return false;
		slot = vec_push(&options->tids);
		if (slot)
			*slot = tid;
	}
	return copy != NULL;
}

static bool parse_time(const char *text, const char *option, uint64_t *ret_ns)
{
	uint64_t ns;
	int r = parse_duration(text, &ns);

	if (r == 0 && ns > 0) {
		*ret_ns = ns;
		return true;
	}
	if (r == 0)
		fprintf(stderr, "cprof: %s wants more than 0, e.g. 10s.\n", option);
	else if (r == -ERANGE)
		fprintf(stderr, "cprof: '%s' is too long for %s.\n", text, option);
	else
		fprintf(stderr,
			"cprof: %s wants a duration with a unit, e.g. 30s, 500ms or 1m30s, "
			"not '%s'.\n",
			option, text);
	return false;
}

static bool parse_percent(const char *text, double *ret_share)
{
	char *end;
	double percent;

	errno = 0;
	percent = strtod(text, &end);
	if (end != text && *end == '%')
		end++;
	if (end == text || *end || errno || !(percent >= 0 && percent <= 100)) {
		fprintf(stderr,
			"cprof: --max-overhead wants a percentage from 0 to 100, "
			"not '%s'.\n",
			text);
		return false;
	}
	*ret_share = percent / 100;
	return true;
}

static bool parse_type(const char *name, unsigned *types)
{
	const struct session_type *type = session_type_find(name);

	if (type) {
		*types |= type->type;
		return true;
	}
	fprintf(stderr, "cprof: there is no profile type '%s'; known:", name);
	for (unsigned i = 0; (type = session_type_get(i)); i++)
		fprintf(stderr, "%s %s", i ? "," : "", type->name);
	fputs(".\n", stderr);
	return false;
}

static bool parse_types(const char *text, unsigned *types)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	while (copy && (part = strsep(&rest, ","))) {
		if (!parse_type(part, types))
			return false;
	}
	return copy != NULL;
}

static bool parse_one(struct record_options *options, int option, const char *text)
{
	struct sampler_options *sampler = &options->session.sampler;
	uint64_t hz;

	switch (option) {
	case 'p':
		return target_parse_pid(text, "-p", &sampler->pid);
	case 'n':
		options->name = text;
		return true;
	case OPTION_TID:
		return parse_tids(options, text);
	case 'd':
		options->has_duration = true;
		return parse_time(text, "-d", &sampler->duration_ns);
	case 'F':
		if (parse_u64(text, 1, MAX_HZ, &hz) < 0) {
			fprintf(stderr,
				"cprof: -F wants a rate from 1 to %d per second, not '%s'.\n",
				MAX_HZ, text);
			return false;
		}
		sampler->hz = (unsigned)hz;
		return true;
	case 'o':
		options->output_path = text;
		return true;
	case OPTION_TYPE:
		return parse_types(text, &sampler->types);
	case OPTION_PARKED:
		sampler->keep_parked = true;
		return true;
	case OPTION_CHILDREN:
		sampler->children = true;
		return true;
	case OPTION_MAX_OVERHEAD:
		return parse_percent(text, &sampler->max_overhead);
	case OPTION_MAX_PAUSE:
		return parse_time(text, "--max-pause", &sampler->max_pause_ns);
	case OPTION_UNWINDER:
		if (strcmp(text, "fast") != 0 && strcmp(text, "libunwind") != 0) {
			fprintf(stderr,
				"cprof: there is no unwinder '%s'; known: fast, libunwind.\n",
				text);
			return false;
		}
		sampler->engine = text[0] == 'l' ? SAMPLER_LIBUNWIND : SAMPLER_COPY;
		return true;
	case OPTION_NO_INLINES:
		options->session.inlines = false;
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
		return false;
	}
}

static int parse(struct record_options *options, int argc, char **argv)
{
	struct sampler_options *sampler = &options->session.sampler;
	const char *text;
	int option;

	while ((option = options_next(&record_options_table, argc, argv, &text)) != OPTIONS_END) {
		if (option == OPTIONS_HELP)
			return OPTIONS_HELP;
		if (option == OPTIONS_BAD || !parse_one(options, option, text))
			return CMD_USAGE;
	}
	if (optind < argc)
		sampler->argv = argv + optind;
	if ((sampler->pid != 0) + (options->name != NULL) + (sampler->argv != NULL) != 1) {
		fprintf(stderr, "cprof: say what to profile: one of -p PID, -n NAME and "
				"-- COMMAND.\nTry 'record --help'.\n");
		return CMD_USAGE;
	}
	if (options->exit_status && !sampler->argv) {
		fprintf(stderr, "cprof: --exit-status goes with -- COMMAND only.\n");
		return CMD_USAGE;
	}
	if (options->tids.n && sampler->argv) {
		fprintf(stderr, "cprof: --tid goes with -p or -n only.\n");
		return CMD_USAGE;
	}
	if (options->tids.n && sampler->children) {
		fprintf(stderr, "cprof: --tid names threads of one process; it does not go with "
				"--children.\n");
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
	if (!options->has_duration && sampler->types == SAMPLER_THREADS)
		sampler->duration_ns = DEFAULT_DURATION_THREADS;
	else if (!options->has_duration && !sampler->argv)
		sampler->duration_ns = DEFAULT_DURATION;
	return CMD_OK;
}

static void remember_command_line(struct record_options *options, int argc, char **argv)
{
	size_t at = (size_t)snprintf(options->command_line, sizeof(options->command_line), "cprof");

	for (int i = 0; i < argc && at < sizeof(options->command_line) - 1; i++)
		at += (size_t)snprintf(options->command_line + at,
				       sizeof(options->command_line) - at, " %s", argv[i]);
	options->session.command_line = options->command_line;
}

int record_options_parse(struct record_options *options, int argc, char **argv)
{
	*options = (struct record_options){
		.session = {.sampler = {.hz = DEFAULT_HZ, .max_overhead = DEFAULT_MAX_OVERHEAD},
			    .inlines = true},
	};
	remember_command_line(options, argc, argv);
	return parse(options, argc, argv);
}

void record_options_deinit(struct record_options *options)
{
	vec_deinit(&options->tids);
}
