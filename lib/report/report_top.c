/* SPDX-License-Identifier: Apache-2.0 */
/* The table of functions as text. */
#include "report/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "report/report_priv.h"
#include "report/report_table.h"

struct text_table {
	const struct profile *profile;
	const struct report_options *options;
	struct report_table *table;
	struct report_row *rows; /* sorted */
	uint32_t n;
	int64_t total;
};

static void text_table_deinit(struct text_table *table)
{
	report_table_free(table->table);
	free(table->rows);
}

static int64_t magnitude(int64_t value)
{
	return value == INT64_MIN ? INT64_MAX : value < 0 ? -value : value;
}

/* By size, not sign: in a difference the largest change stands first, up or down. */
static int compare_rows(const void *a_row, const void *b_row)
{
	const struct report_row *a = a_row, *b = b_row;
	int64_t a_flat = magnitude(a->flat[0]), b_flat = magnitude(b->flat[0]);
	int64_t a_cum = magnitude(a->cum[0]), b_cum = magnitude(b->cum[0]);

	if (a_flat != b_flat)
		return a_flat < b_flat ? 1 : -1;
	if (a_cum != b_cum)
		return a_cum < b_cum ? 1 : -1;
	return strcmp(a->name, b->name);
}

static int write_field(struct sink *sink, const char *title, const char *text)
{
	int r;

	if (*text == '\0')
		return 0;
	r = sink_printf(sink, "%s: ", title);
	if (r < 0)
		return err_trace(r);
	r = report_write_name(sink, text);
	if (r < 0)
		return err_trace(r);
	return sink_write(sink, "\n", 1);
}

static int write_times(const struct text_table *table, struct sink *sink)
{
	const struct profile *profile = table->profile;
	const struct profile_spec *spec = profile_get_spec(profile);
	const char *unit = spec->sample_types[table->options->value_type].unit;
	int64_t duration = profile_duration(profile), began = profile_time(profile);
	char text[REPORT_VALUE_SIZE], share[REPORT_VALUE_SIZE], length[32];
	int r;

	if (began > 0) {
		time_t seconds = (time_t)((uint64_t)began / NSEC_PER_SEC);
		struct tm tm;

		if (!localtime_r(&seconds, &tm) ||
		    !strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm))
			text[0] = '\0';
		r = write_field(sink, "Time", text);
		if (r < 0)
			return err_trace(r);
	}
	if (duration <= 0)
		return 0;
	r = sink_printf(sink, "Duration: %s, Total samples = %s",
			format_duration((uint64_t)duration, length),
			report_format_value(table->total, unit, text));
	if (r < 0)
		return err_trace(r);
	/* Of the wall time: more than 100% when several threads ran. */
	if (strcmp(unit, "nanoseconds") == 0)
		r = sink_printf(sink, " (%s)", report_format_share(table->total, duration, share));
	if (r < 0)
		return err_trace(r);
	return sink_write(sink, "\n", 1);
}

static int write_head(const struct text_table *table, struct sink *sink)
{
	const struct profile *profile = table->profile;
	const struct profile_spec *spec = profile_get_spec(profile);
	int r;

	if (profile_n_mappings(profile) > 0) {
		const struct profile_mapping *program = profile_mapping(profile, 1);
		const char *file = profile_get_string(profile, program->file);
		const char *slash = strrchr(file, '/');

		r = write_field(sink, "File", slash ? slash + 1 : file);
		if (r < 0)
			return err_trace(r);
		r = write_field(sink, "Build ID", profile_get_string(profile, program->build_id));
		if (r < 0)
			return err_trace(r);
	}
	r = write_field(sink, "Type", spec->sample_types[table->options->value_type].type);
	if (r < 0)
		return err_trace(r);
	return write_times(table, sink);
}

static int write_row(const struct text_table *table, const struct report_row *row, int64_t sum,
		     struct sink *sink)
{
	const char *unit =
		profile_get_spec(table->profile)->sample_types[table->options->value_type].unit;
	char flat[REPORT_VALUE_SIZE], flat_share[REPORT_VALUE_SIZE], sum_share[REPORT_VALUE_SIZE],
		cum[REPORT_VALUE_SIZE], cum_share[REPORT_VALUE_SIZE];
	int r;

	r = sink_printf(sink, "%10s %7s %7s %10s %7s  ",
			report_format_value(row->flat[0], unit, flat),
			report_format_share(row->flat[0], table->total, flat_share),
			report_format_share(sum, table->total, sum_share),
			report_format_value(row->cum[0], unit, cum),
			report_format_share(row->cum[0], table->total, cum_share));
	if (r < 0)
		return err_trace(r);
	r = report_write_name(sink, row->name);
	if (r < 0)
		return err_trace(r);
	return sink_write(sink, "\n", 1);
}

static int write_rows(const struct text_table *table, struct sink *sink)
{
	size_t limit = table->options->limit, n = table->n;
	int64_t sum = 0;
	int r;

	if (limit && limit < n)
		n = limit;
	r = sink_printf(sink, "Showing %zu of %zu functions\n%10s %7s %7s %10s %7s\n", n,
			(size_t)table->n, "flat", "flat%", "sum%", "cum", "cum%");
	for (size_t i = 0; r == 0 && i < n; i++) {
		sum = profile_value_add(sum, table->rows[i].flat[0]);
		r = write_row(table, &table->rows[i], sum, sink);
	}
	return r < 0 ? err_trace(r) : 0;
}

static int make_rows(struct text_table *table)
{
	const struct report_table_options options = {.demangle = table->options->demangle};
	const struct report_row *rows;
	int r;

	r = report_table_new(&options, &table->table);
	if (r >= 0)
		r = report_table_fill(table->table, 0, table->profile, table->options->value_type);
	if (r < 0)
		return err_trace(r);
	rows = report_table_rows(table->table, &table->n);
	table->total = report_table_total(table->table, 0);
	if (!table->n)
		return 0;
	table->rows = malloc(table->n * sizeof(*rows));
	if (!table->rows)
		return err_trace(-ENOMEM);
	memcpy(table->rows, rows, table->n * sizeof(*rows));
	qsort(table->rows, table->n, sizeof(*rows), compare_rows);
	return 0;
}

int report_top(const struct profile *profile, const struct report_options *options,
	       struct sink *sink)
{
	_cleanup_(text_table_deinit) struct text_table table = {.profile = profile,
								.options = options};
	int r;

	r = make_rows(&table);
	if (r >= 0)
		r = write_head(&table, sink);
	if (r < 0)
		return err_trace(r);
	return write_rows(&table, sink);
}
