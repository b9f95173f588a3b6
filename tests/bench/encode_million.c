/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile of 1,000,000 samples over 50,000 different stacks, written to a file.
 *
 *	encode_million FILE
 *
 * Stacks of 10 to 50 frames over 20,000 addresses of 4,000 functions, which are called like a tree:
 * what is deep in the stack is shared by many. The same at every run. Prints the nanoseconds that
 * adding the samples took, and those that writing took.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/sink.h"
#include "pprof/pprof.h"
#include "profile/profile.h"
#include "profile_made.h"

enum {
	SAMPLES = 1000000,
	STACKS = 50000,
	FUNCTIONS = 4000,
	ADDRESSES = 20000,
};

static uint32_t addresses[ADDRESSES], stacks[STACKS];
static uint64_t state = 1;

static uint32_t pick(uint32_t below)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((state >> 33) % below);
}

static void make_locations(struct profile *profile)
{
	struct profile_mapping mapping = {.start = 0x400000,
					  .limit = 0x4000000,
					  .file = string(profile, "/opt/bin/server"),
					  .has_functions = true};
	uint32_t functions[FUNCTIONS], id;
	char text[128];

	check(profile_mapping_add(profile, &mapping, &id));
	for (uint32_t i = 0; i < FUNCTIONS; i++) {
		struct profile_function f = {.start_line = 10 + pick(5000)};

		snprintf(text, sizeof(text), "server::part%u::Handler<%u>::run(request const&)",
			 i % 97, i);
		f.name = string(profile, text);
		snprintf(text, sizeof(text), "_ZN6server6part%02u7HandlerILi%uEE3runERK7request",
			 i % 97, i);
		f.system_name = string(profile, text);
		snprintf(text, sizeof(text), "/src/server/part%u/handler_%u.cc", i % 97, i / 16);
		f.file = string(profile, text);
		check(profile_function_intern(profile, &f, &functions[i]));
	}
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		struct profile_line line = {functions[i % FUNCTIONS], 10 + pick(5000), 0};

		check(profile_location_intern(profile, 1, 0x400000 + i * 64, &addresses[i]));
		check(profile_location_set_lines(profile, addresses[i], &line, 1));
	}
}

/* Each stack is another one with its top taken off and grown again. */
static void make_stacks(struct profile *profile)
{
	for (uint32_t i = 0; i < STACKS;) {
		uint32_t stack = i ? stacks[pick(i)] : 0, before, n = 1 + pick(8), depth = 0;

		for (uint32_t take = pick(8); take && stack; take--)
			stack = profile_stack_callers(profile, stack);
		for (uint32_t at = stack; at; at = profile_stack_callers(profile, at))
			depth++;
		for (n += depth < 10 ? 10 - depth : 0; n && depth < 50; n--, depth++)
			check(profile_stack_intern(profile, stack, addresses[pick(ADDRESSES)],
						   &stack));
		before = i ? stacks[i - 1] : 0;
		/* New stacks have new, larger ids. */
		if (stack > before)
			stacks[i++] = stack;
	}
}

static void add_samples(struct profile *profile)
{
	uint32_t labels[8], key = string(profile, "thread");
	char text[32];

	for (uint32_t i = 0; i < 8; i++) {
		struct profile_label label = {.key = key};

		snprintf(text, sizeof(text), "worker/%u", i);
		label.text = string(profile, text);
		check(profile_labels_intern(profile, &label, 1, &labels[i]));
	}
	/* A thread by stack, so that there are as many samples as stacks in the file. */
	for (uint32_t i = 0; i < SAMPLES; i++) {
		uint32_t at = i < STACKS ? i : pick(pick(STACKS) + 1);

		check(profile_sample_add(profile, stacks[at], labels[at % 8],
					 (int64_t[]){1, 9000000 + pick(2000000)}));
	}
}

int main(int argc, char **argv)
{
	struct profile *profile;
	struct sink_fd out;
	uint64_t t0, t1, t2, t3;
	int fd;

	if (argc != 2)
		return 64;
	fd = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return 2;
	check(profile_new(&made_spec, &profile));
	make_locations(profile);
	make_stacks(profile);
	t0 = clock_now_ns();
	add_samples(profile);
	t1 = clock_now_ns();
	sink_fd_init(&out, fd);
	t2 = clock_now_ns();
	check(pprof_write(profile, &out.sink));
	t3 = clock_now_ns();
	printf("%lu %lu %u\n", (unsigned long)(t1 - t0), (unsigned long)(t3 - t2),
	       profile_n_samples(profile));
	profile_free(profile);
	close(fd);
	return 0;
}
