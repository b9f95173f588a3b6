/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a pprof file. What is read must survive being written and read again, and a report.
 *
 * For libFuzzer: clang -fsanitize=fuzzer,address with lib's objects; see replay.c for the tests.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/sink.h"
#include "pprof/pprof.h"
#include "profile/profile.h"
#include "report/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(int holds)
{
	if (!holds)
		abort();
}

static void write_and_read(const struct profile *profile)
{
	struct sink_memory packed;
	struct profile *copy;
	uint32_t n;

	sink_memory_init(&packed);
	require(pprof_write(profile, &packed.sink) == 0);
	require(pprof_read(packed.bytes, packed.size, NULL, &copy) == 0);
	n = profile_n_samples(profile);
	require(profile_n_samples(copy) == n);
	require(profile_n_strings(copy) == profile_n_strings(profile));
	require(profile_n_locations(copy) == profile_n_locations(profile));
	require(profile_n_functions(copy) == profile_n_functions(profile));
	require(profile_total(copy, 0) == profile_total(profile, 0));
	profile_free(copy);
	sink_memory_deinit(&packed);
}

static void report(const struct profile *profile)
{
	struct report_options options = {};
	struct sink_memory text;

	sink_memory_init(&text);
	require(report_top(profile, &options, &text.sink) == 0);
	sink_memory_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct profile *profile = NULL;
	const char *why = NULL;
	int r = pprof_read(bytes, size, &why, &profile);

	if (r < 0) {
		require(!profile && (r != -EBADMSG || why));
		return 0;
	}
	write_and_read(profile);
	report(profile);
	profile_free(profile);
	return 0;
}
