/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles as Go writes them with debug=1 (src/runtime/pprof/pprof.go: printCountProfile,
 * writeProfileInternal), which is also what pprof reads as its legacy text formats
 * (google/pprof profile/legacy_profile.go). Its addresses are return addresses, but for the first.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "serve/serve_priv.h"

#define MAX_FRAMES 16384
#define MAX_NAME 4096 /* of a name, here */

static uint32_t last_type(const struct profile *profile)
{
	return profile_get_spec(profile)->n_sample_types - 1;
}

int serve_text_name(struct sink *sink, const struct profile *profile, uint32_t string)
{
	const char *name = profile_get_string(profile, string);
	char text[MAX_NAME];

	return sink_write(sink, text, text_clean(text, sizeof(text), name, strlen(name)));
}

struct row {
	const struct profile_sample *sample;
	int64_t value;
};

static int largest_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->value != y->value ? (x->value < y->value) - (x->value > y->value)
				    : (x->sample > y->sample) - (x->sample < y->sample);
}

/* A leaf is where it is; callers are at the instruction before. */
static uint64_t text_address(const struct profile *profile, uint32_t stack, bool is_leaf)
{
	uint32_t leaf = profile_stack_leaf(profile, stack);
	uint64_t address = profile_location(profile, leaf)->address;

	return address && !is_leaf ? address + 1 : address;
}

int serve_text_addresses(const struct profile *profile, uint32_t stack, struct sink *sink)
{
	bool is_leaf = true;
	int r = 0;

	for (uint32_t at = stack, n = 0; at && n < MAX_FRAMES && r >= 0; n++) {
		uint64_t address = text_address(profile, at, is_leaf);

		/* Names in brackets have none; a row without addresses is none to pprof. */
		if (address || (is_leaf && !profile_stack_callers(profile, at)))
			r = sink_printf(sink, " %#" PRIx64, address ? address : 1);
		at = profile_stack_callers(profile, at);
		/* What is in brackets stands before the frame that it came from. */
		is_leaf &= !address;
	}
	return r;
}

static int write_labels(const struct profile *profile, uint32_t id, struct sink *sink)
{
	uint32_t n;
	const struct profile_label *labels = profile_labels(profile, id, &n);
	const char *separator = "\n# labels: {";
	int r = 0;

	for (uint32_t i = 0; i < n && r >= 0; i++) {
		if (!labels[i].text)
			continue;
		r = sink_printf(sink, "%s\"", separator);
		r = r < 0 ? r : serve_text_name(sink, profile, labels[i].key);
		r = r < 0 ? r : sink_printf(sink, "\":\"");
		r = r < 0 ? r : serve_text_name(sink, profile, labels[i].text);
		r = r < 0 ? r : sink_printf(sink, "\"");
		separator = ", ";
	}
	return r < 0 || *separator != ',' ? r : sink_printf(sink, "}");
}

static int write_line(const struct profile *profile, uint64_t address,
		      const struct profile_line *line, struct sink *sink)
{
	const struct profile_function *function = profile_function(profile, line->function);
	int r = sink_printf(sink, "#\t%#" PRIx64 "\t", address);

	r = r < 0 ? r : serve_text_name(sink, profile, function->name);
	if (r >= 0 && function->file) {
		r = sink_printf(sink, "\t");
		r = r < 0 ? r : serve_text_name(sink, profile, function->file);
		r = r < 0 ? r : sink_printf(sink, ":%u", line->line);
	}
	return r < 0 ? r : sink_printf(sink, "\n");
}

int serve_text_frames(const struct profile *profile, uint32_t stack, struct sink *sink)
{
	bool is_leaf = true;
	int r = 0;

	for (uint32_t at = stack, n = 0; at && n < MAX_FRAMES && r >= 0; n++) {
		uint64_t address = text_address(profile, at, is_leaf);
		const struct profile_location *location =
			profile_location(profile, profile_stack_leaf(profile, at));
		const struct profile_line *lines = profile_location_lines(profile, location);

		for (uint32_t i = 0; i < location->n_lines && r >= 0; i++)
			r = write_line(profile, address, &lines[i], sink);
		if (!location->n_lines)
			r = sink_printf(sink, "#\t%#" PRIx64 "\n", address);
		at = profile_stack_callers(profile, at);
		/* What is in brackets stands before the frame that it came from. */
		is_leaf &= !address;
	}
	return r < 0 ? r : sink_printf(sink, "\n");
}

static int write_head(const struct profile *profile, const char *name, enum sampler_type type,
		      struct sink *sink)
{
	if (type == SAMPLER_BLOCK)
		return sink_printf(sink, "--- contention:\ncycles/second=1000000000\n");
	if (type == SAMPLER_MUTEX)
		return sink_printf(sink,
				   "--- mutex:\ncycles/second=1000000000\nsampling period=1\n");
	return sink_printf(sink, "%s profile: total %" PRId64 "\n", name,
			   profile_total(profile, last_type(profile)));
}

static int write_row(const struct profile *profile, const struct row *row, bool is_delay,
		     struct sink *sink)
{
	const struct profile_sample *sample = row->sample;
	int r;

	if (is_delay)
		r = sink_printf(sink, "%" PRId64 " %" PRId64 " @", row->value, sample->values[0]);
	else
		r = sink_printf(sink, "%" PRId64 " @", row->value);
	if (r >= 0)
		r = serve_text_addresses(profile, sample->stack, sink);
	if (r >= 0)
		r = write_labels(profile, sample->labels, sink);
	if (r >= 0)
		r = sink_printf(sink, "\n");
	return r < 0 ? r : serve_text_frames(profile, sample->stack, sink);
}

int serve_text_write(const struct profile *profile, const char *name, enum sampler_type type,
		     struct sink *sink)
{
	uint32_t n = profile_n_samples(profile);
	bool is_delay = type == SAMPLER_BLOCK || type == SAMPLER_MUTEX;
	_cleanup_free_ struct row *rows = calloc(n + 1, sizeof(*rows));
	int r;

	if (!rows)
		return err_trace(-ENOMEM);
	for (uint32_t i = 0; i < n; i++) {
		rows[i].sample = profile_sample(profile, i);
		rows[i].value = rows[i].sample->values[last_type(profile)];
	}
	qsort(rows, n, sizeof(*rows), largest_first);
	r = write_head(profile, name, type, sink);
	for (uint32_t i = 0; i < n && r >= 0; i++)
		r = write_row(profile, &rows[i], is_delay, sink);
	return r;
}
