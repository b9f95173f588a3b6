/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a profile of known content to standard output, for test_pprof_tool.py to compare with
 * what `go tool pprof` says about it. */
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sink.h"
#include "pprof/pprof.h"
#include "profile/profile.h"
#include "profile_made.h"

static uint32_t function(struct profile *profile, const char *name, uint32_t start_line)
{
	struct profile_function from = {.name = string(profile, name),
					.system_name = string(profile, name),
					.file = string(profile, "/src/server.cc"),
					.start_line = start_line};
	uint32_t id;

	check(profile_function_intern(profile, &from, &id));
	return id;
}

static uint32_t mapping(struct profile *profile, const char *file, const char *build_id,
			uint64_t start, bool symbolized)
{
	struct profile_mapping from = {.start = start,
				       .limit = start + 0x10000,
				       .offset = 0x2000,
				       .file = string(profile, file),
				       .build_id = string(profile, build_id),
				       .has_functions = symbolized,
				       .has_filenames = symbolized,
				       .has_line_numbers = symbolized,
				       .has_inline_frames = symbolized};
	uint32_t id;

	check(profile_mapping_add(profile, &from, &id));
	return id;
}

static uint32_t push(struct profile *profile, uint32_t callers, uint32_t leaf)
{
	uint32_t id;

	check(profile_stack_intern(profile, callers, leaf, &id));
	return id;
}

static void add(struct profile *profile, uint32_t stack, const char *thread, int64_t n)
{
	struct profile_label labels[] = {
		{.key = string(profile, "thread"), .text = string(profile, thread)},
		{.key = string(profile, "request"),
		 .number = 4096,
		 .unit = string(profile, "bytes")},
	};
	uint32_t id;

	check(profile_labels_intern(profile, labels, 2, &id));
	for (int64_t i = 0; i < n; i++)
		check(profile_sample_add(profile, stack, id, (int64_t[]){1, 10000000}));
}

static void fill(struct profile *profile)
{
	uint32_t program = mapping(profile, "/opt/bin/server", "c0ffee0123", 0x400000, true);
	uint32_t library = mapping(profile, "/usr/lib/libwork.so.1", "ab", 0x7f0000000000, false);
	struct profile_line outer = {function(profile, "main", 10), 12, 3};
	struct profile_line inlined[] = {{function(profile, "_ZN4work4spinEi", 20), 22, 7},
					 {function(profile, "_ZN4work3runEv", 30), 33, 9}};
	uint32_t at_main, at_spin, in_library, ended, root;

	check(profile_location_intern(profile, program, 0x400100, &at_main));
	check(profile_location_set_lines(profile, at_main, &outer, 1));
	check(profile_location_intern(profile, program, 0x400200, &at_spin));
	check(profile_location_set_lines(profile, at_spin, inlined, 2));
	check(profile_location_intern(profile, library, 0x7f0000000123, &in_library));
	check(profile_location_named(profile, program, "[exited threads]", &ended));
	root = push(profile, 0, at_main);
	add(profile, push(profile, root, at_spin), "worker/1", 70);
	add(profile, push(profile, root, in_library), "gr\xc3\xbcn \xff", 25);
	check(profile_sample_add(profile, push(profile, 0, ended), 0, (int64_t[]){5, 50000000}));
	check(profile_comment_add(profile, "dropped: 3 snapshots"));
	profile_set_time(profile, 1700000000000000000, 2000000000);
}

int main(void)
{
	struct profile *profile;
	struct sink_fd out;

	check(profile_new(&made_spec, &profile));
	fill(profile);
	sink_fd_init(&out, STDOUT_FILENO);
	check(pprof_write(profile, &out.sink));
	profile_free(profile);
	return 0;
}
