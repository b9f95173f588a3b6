/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of functions.
 *
 * One row per name for people, as in pprof's granularity "functions": functions of one name in
 * several files share a row, and so do mangled names that demangle to the same. A location without
 * lines counts for its file, "[libfoo.so]". A line inlined into another is a frame of its own.
 */
#include "report/report.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/intern.h"
#include "base/parse.h"
#include "base/vec.h"
#include "report/report_priv.h"

struct row {
	int64_t flat, cum;
	uint32_t name;        /* in table.names; the row's index while rows are unsorted */
	uint32_t last_sample; /* index + 1 of the sample that cum was counted for last */
};

struct table {
	const struct profile *profile;
	const struct report_options *options;
	struct intern *names;
	VEC(struct row) rows; /* in step with names */
	uint32_t *functions;  /* function id - 1 → row + 1; 0 = not seen yet */
	uint32_t *mappings;   /* mapping id → row + 1 of its locations without lines */
	int64_t total;
};

static void table_deinit(struct table *table)
{
	intern_free(table->names);
	vec_deinit(&table->rows);
	free(table->functions);
	free(table->mappings);
}

static int table_init(struct table *table)
{
	int r;

	r = intern_new(&table->names);
	if (r < 0)
		return err_trace(r);
	table->functions =
		calloc((size_t)profile_n_functions(table->profile) + 1, sizeof(*table->functions));
	table->mappings =
		calloc((size_t)profile_n_mappings(table->profile) + 1, sizeof(*table->mappings));
	return table->functions && table->mappings ? 0 : err_trace(-ENOMEM);
}

/* Finds or adds the row of a name; ret_row is its index plus one. */
static int row_of_name(struct table *table, const char *name, uint32_t *ret_row)
{
	uint32_t index;
	int r;

	r = vec_reserve(&table->rows, table->rows.n + 1);
	if (r < 0)
		return err_trace(r);
	r = intern_put(table->names, name, strlen(name), &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0)
		vec_push(&table->rows)->name = index;
	*ret_row = index + 1;
	return 0;
}

static int row_of_function(struct table *table, uint32_t id, uint32_t *ret_row)
{
	const struct profile_function *function = profile_function(table->profile, id);
	const char *name = profile_get_string(table->profile, function->name);
	const char *system_name = profile_get_string(table->profile, function->system_name);
	_cleanup_free_ char *demangled = NULL;

	if (*name == '\0')
		name = system_name;
	/* A name that differs from the system's was made for people already. */
	if (table->options->demangle && strcmp(name, system_name) == 0) {
		demangled = table->options->demangle(system_name);
		if (!demangled)
			return err_trace(-ENOMEM);
		name = demangled;
	}
	return row_of_name(table, name, ret_row);
}

static int row_of_mapping(struct table *table, uint32_t id, uint32_t *ret_row)
{
	_cleanup_free_ char *name = NULL;
	const char *file, *slash;

	if (id == 0)
		return row_of_name(table, "<unknown>", ret_row);
	file = profile_get_string(table->profile, profile_mapping(table->profile, id)->file);
	slash = strrchr(file, '/');
	if (slash)
		file = slash + 1;
	/* "[vdso]" has its brackets already. */
	if (asprintf(&name, *file == '[' ? "%s" : "[%s]", file) < 0) {
		name = NULL;
		return err_trace(-ENOMEM);
	}
	return row_of_name(table, *file ? name : "<unknown>", ret_row);
}

/* The row of a line, or of a location without lines (line NULL). */
static int find_row(struct table *table, const struct profile_location *location,
		    const struct profile_line *line, struct row **ret_row)
{
	uint32_t *known =
		line ? &table->functions[line->function - 1] : &table->mappings[location->mapping];
	int r = 0;

	if (*known == 0)
		r = line ? row_of_function(table, line->function, known)
			 : row_of_mapping(table, location->mapping, known);
	if (r < 0)
		return err_trace(r);
	*ret_row = &table->rows.items[*known - 1];
	return 0;
}

static int add_frame(struct table *table, const struct profile_location *location,
		     const struct profile_line *line, uint32_t sample, bool leaf)
{
	int64_t value = profile_sample(table->profile, sample)->values[table->options->value_type];
	struct row *row = NULL;
	int r;

	r = find_row(table, location, line, &row);
	if (r < 0)
		return err_trace(r);
	if (leaf)
		row->flat = profile_value_add(row->flat, value);
	if (row->last_sample != sample + 1)
		row->cum = profile_value_add(row->cum, value);
	row->last_sample = sample + 1;
	return 0;
}

static int add_sample(struct table *table, uint32_t sample)
{
	const struct profile *profile = table->profile;
	uint32_t stack = profile_sample(profile, sample)->stack;
	bool leaf = true;
	int r;

	for (; stack; stack = profile_stack_callers(profile, stack)) {
		const struct profile_location *location =
			profile_location(profile, profile_stack_leaf(profile, stack));
		const struct profile_line *lines = profile_location_lines(profile, location);
		uint32_t n = location->n_lines;

		for (uint32_t i = 0; i < MAX(n, 1U); i++) {
			r = add_frame(table, location, n ? &lines[i] : NULL, sample, leaf);
			if (r < 0)
				return err_trace(r);
			leaf = false;
		}
	}
	return 0;
}

static int64_t magnitude(int64_t value)
{
	return value == INT64_MIN ? INT64_MAX : value < 0 ? -value : value;
}

/* By size, not sign: in a difference the largest change stands first, up or down. */
static int compare_rows(const void *a_row, const void *b_row, void *user)
{
	const struct row *a = a_row, *b = b_row;
	const struct table *table = user;

	if (a->flat != b->flat && magnitude(a->flat) != magnitude(b->flat))
		return magnitude(a->flat) < magnitude(b->flat) ? 1 : -1;
	if (a->cum != b->cum && magnitude(a->cum) != magnitude(b->cum))
		return magnitude(a->cum) < magnitude(b->cum) ? 1 : -1;
	return strcmp(intern_get(table->names, a->name, NULL),
		      intern_get(table->names, b->name, NULL));
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

static int write_times(const struct table *table, struct sink *sink)
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

static int write_head(const struct table *table, struct sink *sink)
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

static int write_row(const struct table *table, const struct row *row, int64_t sum,
		     struct sink *sink)
{
	const char *unit =
		profile_get_spec(table->profile)->sample_types[table->options->value_type].unit;
	char flat[REPORT_VALUE_SIZE], flat_share[REPORT_VALUE_SIZE], sum_share[REPORT_VALUE_SIZE],
		cum[REPORT_VALUE_SIZE], cum_share[REPORT_VALUE_SIZE];
	int r;

	r = sink_printf(sink, "%10s %7s %7s %10s %7s  ", report_format_value(row->flat, unit, flat),
			report_format_share(row->flat, table->total, flat_share),
			report_format_share(sum, table->total, sum_share),
			report_format_value(row->cum, unit, cum),
			report_format_share(row->cum, table->total, cum_share));
	if (r < 0)
		return err_trace(r);
	r = report_write_name(sink, intern_get(table->names, row->name, NULL));
	if (r < 0)
		return err_trace(r);
	return sink_write(sink, "\n", 1);
}

static int write_rows(const struct table *table, struct sink *sink)
{
	size_t limit = table->options->limit, n = table->rows.n;
	int64_t sum = 0;
	int r;

	if (limit && limit < n)
		n = limit;
	r = sink_printf(sink, "Showing %zu of %zu functions\n%10s %7s %7s %10s %7s\n", n,
			table->rows.n, "flat", "flat%", "sum%", "cum", "cum%");
	for (size_t i = 0; r == 0 && i < n; i++) {
		sum = profile_value_add(sum, table->rows.items[i].flat);
		r = write_row(table, &table->rows.items[i], sum, sink);
	}
	return r < 0 ? err_trace(r) : 0;
}

int report_top(const struct profile *profile, const struct report_options *options,
	       struct sink *sink)
{
	_cleanup_(table_deinit) struct table table = {.profile = profile, .options = options};
	int r;

	if (options->value_type >= profile_get_spec(profile)->n_sample_types)
		return err_trace(-EINVAL);
	r = table_init(&table);
	if (r < 0)
		return err_trace(r);
	table.total = profile_total(profile, options->value_type);
	for (uint32_t i = 0; i < profile_n_samples(profile); i++) {
		r = add_sample(&table, i);
		if (r < 0)
			return err_trace(r);
	}
	if (table.rows.n)
		qsort_r(table.rows.items, table.rows.n, sizeof(*table.rows.items), compare_rows,
			&table);
	r = write_head(&table, sink);
	if (r < 0)
		return err_trace(r);
	return write_rows(&table, sink);
}
