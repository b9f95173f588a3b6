/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heap profiles as Go writes them with debug=1 (src/runtime/pprof/pprof.go writeHeapInternal),
 * which pprof reads as those of C++'s heap profiler (google/pprof profile/legacy_profile.go
 * parseHeap). It multiplies what it reads by one over the probability of a sample, from the rate at
 * the end of the first line; so these are the numbers of samples.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "serve/serve_priv.h"

struct row {
	const struct profile_sample *sample;
	int64_t n[2], bytes[2]; /* allocated, in use: of samples */
};

/* The size that a sample is of, or of about which it is. */
static double size_of(const struct profile *profile, const struct profile_sample *sample)
{
	uint32_t n;
	const struct profile_label *labels = profile_labels(profile, sample->labels, &n);

	for (uint32_t i = 0; i < n; i++) {
		if (!labels[i].text &&
		    strcmp(profile_get_string(profile, labels[i].key), "bytes") == 0)
			return (double)labels[i].number;
	}
	for (unsigned i = 0; i < 2; i++) {
		if (sample->values[2 * i] > 0)
			return (double)sample->values[2 * i + 1] / (double)sample->values[2 * i];
	}
	return 0;
}

static void fill(const struct profile *profile, const struct profile_sample *sample,
		 struct row *ret_row)
{
	double rate = (double)profile_get_spec(profile)->period, size = size_of(profile, sample);
	double share = rate > 1 && size > 0 ? -expm1(-size / rate) : 1;

	*ret_row = (struct row){.sample = sample};
	for (unsigned i = 0; i < 2; i++) {
		ret_row->n[i] = llround((double)sample->values[2 * i] * share);
		ret_row->bytes[i] = llround((double)ret_row->n[i] * size);
	}
}

/* As in Go: by bytes in use, then allocated. */
static int largest_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	for (int i = 1; i >= 0; i--) {
		if (x->bytes[i] != y->bytes[i])
			return x->bytes[i] < y->bytes[i] ? 1 : -1;
	}
	return (x->sample > y->sample) - (x->sample < y->sample);
}

/* pprof takes one whose two sums of bytes are equal for one of two columns. */
static int write_head(const struct profile *profile, const struct row *rows, uint32_t n,
		      struct sink *sink)
{
	struct row sum = {};

	for (uint32_t i = 0; i < n; i++) {
		for (unsigned k = 0; k < 2; k++) {
			sum.n[k] = profile_value_add(sum.n[k], rows[i].n[k]);
			sum.bytes[k] = profile_value_add(sum.bytes[k], rows[i].bytes[k]);
		}
	}
	sum.bytes[0] += sum.bytes[0] == sum.bytes[1];
	return sink_printf(sink,
			   "heap profile: %" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64
			   "] @ heap/%" PRId64 "\n",
			   sum.n[1], sum.bytes[1], sum.n[0], sum.bytes[0],
			   2 * profile_get_spec(profile)->period);
}

static int write_row(const struct profile *profile, const struct row *row, struct sink *sink)
{
	int r = sink_printf(sink, "%" PRId64 ": %" PRId64 " [%" PRId64 ": %" PRId64 "] @",
			    row->n[1], row->bytes[1], row->n[0], row->bytes[0]);

	r = r < 0 ? r : serve_text_addresses(profile, row->sample->stack, sink);
	r = r < 0 ? r : sink_printf(sink, "\n");
	return r < 0 ? r : serve_text_frames(profile, row->sample->stack, sink);
}

/* Where Go has the statistics of its allocator. */
static int write_comments(const struct profile *profile, struct sink *sink)
{
	int r = sink_printf(sink, "\n# %s\n", "cprof");

	for (uint32_t i = 0; i < profile_n_comments(profile) && r >= 0; i++) {
		r = sink_printf(sink, "# ");
		r = r < 0 ? r : serve_text_name(sink, profile, profile_comment(profile, i));
		r = r < 0 ? r : sink_printf(sink, "\n");
	}
	return r;
}

int serve_text_write_heap(const struct profile *profile, struct sink *sink)
{
	uint32_t n = profile_n_samples(profile);
	_cleanup_free_ struct row *rows = calloc(n + 1, sizeof(*rows));
	int r;

	if (!rows)
		return err_trace(-ENOMEM);
	for (uint32_t i = 0; i < n; i++)
		fill(profile, profile_sample(profile, i), &rows[i]);
	qsort(rows, n, sizeof(*rows), largest_first);
	r = write_head(profile, rows, n, sink);
	for (uint32_t i = 0; i < n && r >= 0; i++)
		r = write_row(profile, &rows[i], sink);
	return r < 0 ? r : write_comments(profile, sink);
}
