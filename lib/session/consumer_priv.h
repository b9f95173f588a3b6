/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map64.h"
#include "base/vec.h"
#include "module/module.h"
#include "process/process.h"
#include "session/consumer.h"
#include "unwind/unwind.h"

/* One image of the process: an execve makes the next one. */
struct consumer_image {
	uint32_t generation;
	struct module_map *map;
	struct unwinder *unwinder;
	uint32_t *mapping_ids; /* profile's id by module_mapping.index; 0 = not added yet */
	size_t n_mapping_ids;
};

/* What a location of the profile is an address of; by location id - 1. */
struct consumer_place {
	struct module *module; /* NULL: pseudo location or unknown memory */
};

struct consumer {
	pid_t pid;
	struct process *process;
	struct profile *profile;
	struct sampler_shared *shared;
	VEC(struct consumer_image *) images;
	VEC(struct consumer_place) places;
	VEC(struct session_gap) gaps;
	uint64_t refreshed_at, refresh_cost_ns;
	uint32_t kernel_mapping, cprof_mapping, unknown_mapping; /* ids, 0 until needed */
	uint32_t key_thread, key_tid, key_mode;
	uint32_t text_user, text_kernel;
	uint64_t traces[TRACE_ENDS];
	uint64_t unnamed;
	struct trace trace;
};

/** The place of a location, the table grown to it; NULL when out of memory. */
struct consumer_place *consumer_place(struct consumer *consumer, uint32_t location);
