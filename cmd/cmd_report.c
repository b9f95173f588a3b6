/* SPDX-License-Identifier: Apache-2.0 */
/* cprof report: a pprof file as a table of functions. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/sink.h"
#include "cmd.h"
#include "options.h"
#include "pprof/pprof.h"
#include "profile/profile.h"
#include "report/report.h"
#include "symbol/symbol.h"

#define DEFAULT_ROWS 30
#define MAX_FILE ((size_t)1 << 30) /* what pprof_read() takes unpacked */

DEFINE_CLEANUP(struct profile *, profile_free)

enum {
	OPTION_SAMPLE_INDEX = 256,
};

static const struct option_row rows[] = {
	{'n', "rows", "ROWS", "print at most so many functions, 0 for all (30)"},
	{OPTION_SAMPLE_INDEX, "sample-index", "TYPE",
	 "which values: a sample type's name or number from 0"},
};

const struct option_table report_options = {
	.usage = "cprof report [OPTIONS] FILE|-",
	.about = "Prints the functions that a pprof file holds, the most expensive first.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.see = "cprof-report(1)",
};

/* Reads all there is. */
static int read_all(int fd, struct sink_memory *bytes)
{
	char piece[65536];

	for (;;) {
		ssize_t n = read(fd, piece, sizeof(piece));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_trace(err_errno());
		if (n == 0)
			return 0;
		if (bytes->size + (size_t)n > MAX_FILE)
			return err_trace(-EFBIG);
		r = sink_write(&bytes->sink, piece, (size_t)n);
		if (r < 0)
			return err_trace(r);
	}
}

static void explain(const char *path, int error, const char *why)
{
	if (error == -EBADMSG)
		fprintf(stderr,
			"cprof: %s is no pprof profile: %s. Give a file that 'cprof record' "
			"or another pprof writer has finished.\n",
			path, why);
	else if (error == -EFBIG)
		fprintf(stderr,
			"cprof: %s is too large: a profile may unpack to 1 GiB and take 4 "
			"GiB "
			"of memory. Record for a shorter time.\n",
			path);
	else
		fprintf(stderr,
			"cprof: cannot read %s: %s. Give the path of a pprof file, or - for "
			"standard input.\n",
			path, strerror(-error));
}

static int load(const char *path, struct profile **ret_profile)
{
	_cleanup_(sink_memory_deinit) struct sink_memory bytes;
	_cleanup_close_ int opened = -1;
	bool is_stdin = strcmp(path, "-") == 0;
	const char *why = "";
	int r;

	sink_memory_init(&bytes);
	if (!is_stdin) {
		opened = open(path, O_RDONLY | O_CLOEXEC);
		if (opened < 0) {
			r = err_errno();
			explain(path, r, why);
			return r;
		}
	}
	r = read_all(is_stdin ? STDIN_FILENO : opened, &bytes);
	if (r == 0)
		r = pprof_read(bytes.bytes, bytes.size, &why, ret_profile);
	if (r < 0)
		explain(is_stdin ? "standard input" : path, r, why);
	return r;
}

/* The type asked for by name or number; NULL: the profile's default, else the last, as pprof does.
 * Returns false when there is none such, after a message. */
static bool find_type(const struct profile_spec *spec, const char *wanted, uint32_t *ret_index)
{
	uint64_t number;

	if (!wanted)
		wanted = spec->default_sample_type;
	for (uint32_t i = 0; wanted && i < spec->n_sample_types; i++) {
		if (strcmp(spec->sample_types[i].type, wanted) == 0) {
			*ret_index = i;
			return true;
		}
	}
	if (wanted && wanted != spec->default_sample_type) {
		if (parse_u64(wanted, 0, spec->n_sample_types - 1, &number) < 0) {
			fprintf(stderr, "cprof: there is no sample type '%s'. Known:", wanted);
			for (uint32_t i = 0; i < spec->n_sample_types; i++)
				fprintf(stderr, " %s", spec->sample_types[i].type);
			fputs("\n", stderr);
			return false;
		}
		*ret_index = (uint32_t)number;
		return true;
	}
	*ret_index = spec->n_sample_types - 1;
	return true;
}

static int print_report(const char *path, uint32_t n_rows, const char *type)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	struct report_options options = {.limit = n_rows, .demangle = symbol_demangle};
	_cleanup_(sink_memory_deinit) struct sink_memory text;
	struct sink_fd out;
	int r;

	sink_memory_init(&text);
	sink_fd_init(&out, STDOUT_FILENO);
	if (load(path, &profile) < 0)
		return CMD_FAILED;
	if (!find_type(profile_get_spec(profile), type, &options.value_type))
		return CMD_USAGE;
	r = report_top(profile, &options, &text.sink);
	if (r == 0)
		r = sink_write(&out.sink, text.bytes, text.size);
	if (r < 0) {
		fprintf(stderr, "cprof: cannot write the table: %s.\n", strerror(-r));
		return CMD_FAILED;
	}
	return CMD_OK;
}

int cmd_report(int argc, char **argv)
{
	const char *arg, *type = NULL;
	uint64_t n_rows = DEFAULT_ROWS;
	int id;

	while ((id = options_next(&report_options, argc, argv, &arg)) != OPTIONS_END) {
		switch (id) {
		case 'n':
			if (parse_u64(arg, 0, UINT32_MAX, &n_rows) < 0) {
				fprintf(stderr, "cprof: -n wants a number of rows, not '%s'.\n",
					arg);
				return CMD_USAGE;
			}
			break;
		case OPTION_SAMPLE_INDEX:
			type = arg;
			break;
		case OPTIONS_HELP:
			return CMD_OK;
		default:
			return CMD_USAGE;
		}
	}
	if (argc - optind != 1) {
		fputs("cprof: give one pprof file, or - for standard input. "
		      "See cprof report --help.\n",
		      stderr);
		return CMD_USAGE;
	}
	return print_report(argv[optind], (uint32_t)n_rows, type);
}
