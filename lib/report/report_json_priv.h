/* SPDX-License-Identifier: Apache-2.0 */
/* What report_json.c collects of a profile and report_json_write.c makes JSON of. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/map64.h"
#include "base/vec.h"
#include "profile/profile.h"

struct json_frame {
	uint32_t name, file, module, line;
};

struct json_thread {
	uint32_t name, tid, process; /* profile's strings; index in processes */
};

struct json_process {
	uint32_t name, pid; /* profile's strings */
};

struct json_stack {
	uint32_t callers, frame;
};

struct json_sample {
	int64_t value;
	uint32_t stack, thread;
};

/* What the lists of the result are made from. */
struct json_writer {
	const struct profile *profile;
	char *(*demangle)(const char *system_name);
	uint32_t *names; /* function id → index in name_texts + 1; 0: not met yet */
	struct intern *name_texts, *files, *modules;
	struct intern *frames, *threads, *processes; /* of the structs above */
	struct map64 labels;                         /* set of labels → thread */
	struct map64 stacks;                         /* profile's stack → ours */
	struct map64 nodes;                          /* callers << 32 | frame → stack */
	VEC(struct json_stack) tree;                 /* stack 1 is the first */
	VEC(uint32_t) pending;                       /* profile's stacks, callers last */
	struct map64 sums;                           /* stack << 32 | thread → index in samples */
	VEC(struct json_sample) samples;
};

/** A path without its folders. */
const char *report_base_name(const char *path);

/** The JSON of what was collected; NULL when out of memory. */
json_t *report_json_make(const struct json_writer *w, uint32_t value_type);
