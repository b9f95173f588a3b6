/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map64.h"
#include "base/vec.h"
#include "module/module.h"
#include "process/process.h"
#include "session/consumer.h"
#include "unwind/unwind.h"

/* A mapping of an image in the profile. */
struct consumer_mapping {
	uint32_t id;    /* 0 = not added yet */
	uint64_t shift; /* added to a pc of the image to get the profile's address */
	/* Who names its addresses, in which image, and what is added to a pc to ask there. */
	struct module *module;
	struct consumer_image *owner;
	uint64_t owner_shift;
};

/* One image of a process: each process and each execve makes one. */
struct consumer_image {
	uint32_t generation;
	bool ended;  /* nothing of it comes any more */
	bool pinned; /* it has a module whose symbols serve other images, too */
	pid_t pid;
	char name[64];
	struct process *process; /* NULL: it had ended before it could be looked at */
	struct module_map *map;
	struct unwinder *unwinder;
	struct consumer_mapping *mappings; /* by module_mapping.index */
	size_t n_mappings;
	uint64_t refreshed_at, refresh_cost_ns;
	uint32_t n_places; /* locations that only its own modules can name */
};

/* What a location of the profile is an address of; by location id - 1. */
struct consumer_place {
	bool waits;                   /* for its name */
	struct consumer_image *image; /* that goes with its module and must not go before */
	struct module *module;        /* NULL: unknown memory */
	uint64_t pc;                  /* in the image of the module */
};

/* A file by its build id, and the module that answers for all that have it mapped. */
struct consumer_file {
	uint32_t build_id; /* string id, not 0 */
	struct module *module;
	struct consumer_image *image; /* pinned */
};

/* A mapping may claim something only if it holds for every location that is used in it: pprof
 * does not symbolize again what claims to be complete. */
struct consumer_flags {
	bool used, no_functions, no_filenames, no_line_numbers;
};

/* What a thread was seen in last. */
struct consumer_slot {
	uint32_t stack;
	int32_t syscall;
	uint32_t labels; /* of its last sample, 0: none was yet; and what they were made from */
	uint32_t generation, state;
	int32_t labels_syscall, tid;
	char name[64];
};

/* A frame of a thread's last trace, and the stack from the root up to it. */
struct consumer_recent_frame {
	uint32_t location, stack;
};

/* Of one thread, or of several in turn: stacks mean the same for all. Root first. */
struct consumer_recent {
	VEC(struct consumer_recent_frame) frames;
};

/* Which mapping of the profile a piece of a file has. */
struct consumer_shared {
	uint32_t id, generation, file, build_id;
	uint64_t offset, size;
};

struct consumer {
	struct consumer_options options;
	struct profile *profile;
	struct sampler_shared *shared;
	VEC(struct consumer_image *) images; /* oldest first */
	size_t n_ended;
	VEC(struct consumer_shared) shared_mappings;
	VEC(struct consumer_file) files;
	VEC(struct consumer_place) places;
	VEC(struct consumer_flags) flags;                        /* by mapping id - 1 */
	VEC(struct consumer_slot) slots;                         /* by snapshot.slot */
	VEC(struct session_gap) gaps;                            /* path and why are owned */
	uint32_t kernel_mapping, cprof_mapping, unknown_mapping; /* ids, 0 until needed */
	uint64_t traces[TRACE_ENDS], read_traces[TRACE_ENDS];
	struct unwind_stats unwind; /* of images that are gone */
	uint64_t unnamed, symbolize_ns;
	struct consumer_recent recent[64]; /* by snapshot.slot, modulo */
	VEC(uint32_t) calls;               /* locations of system calls, by number */
	struct trace trace;
};

/* --- consumer_stack.c --- */

/** The stack of the trace in c->trace, with the system call as its leaf unless that is negative.
 * Returns 0 or -ENOMEM. */
int consumer_stack(struct consumer *consumer, struct consumer_image *image, int32_t syscall,
		   const struct snapshot *snapshot, uint32_t *ret_stack);

/** Puts a name in brackets on top of a stack. mapping: the id of the mapping for such names, 0
 * until it is made. Returns 0 or -ENOMEM. */
int consumer_push_named(struct consumer *consumer, const char *mapping_name, uint32_t *mapping,
			const char *name, uint32_t *stack);

/* --- consumer_image.c --- */

/** The image of a generation, made if it is new. Returns 0 or -ENOMEM. */
int consumer_image_get(struct consumer *consumer, uint32_t generation, pid_t pid,
		       struct consumer_image **ret_image);

/** Nothing of an image comes any more: it may be let go once its locations have names. Returns 0 or
 * -ENOMEM. */
int consumer_image_end(struct consumer *consumer, uint32_t generation);

struct consumer_image *consumer_image_free(struct consumer_image *image);

/** Reads the image's mappings anew; as module_map_refresh(), or -ESRCH. */
int consumer_image_refresh(struct consumer_image *image);

/** The location of a frame. Returns 0 or -ENOMEM. */
int consumer_image_location(struct consumer *consumer, struct consumer_image *image,
			    const struct frame *frame, uint32_t *ret_location);

/** A mapping without addresses, for names in brackets. Returns 0 or -ENOMEM. */
int consumer_pseudo_mapping(struct consumer *consumer, const char *name, uint32_t *id);

/** Adds a mapping of the image to the profile. Returns 0 or -ENOMEM. */
int consumer_image_mapping(struct consumer *consumer, struct consumer_image *image,
			   const struct module_mapping *m);

/* --- consumer_label.c --- */

/** The labels of a snapshot whose thread was in that system call, or in none (-1). Returns 0 or
 * -ENOMEM. */
int consumer_labels(struct consumer *consumer, const struct consumer_image *image,
		    const struct snapshot *snapshot, int32_t syscall, uint32_t *ret_labels);

/* --- consumer_symbols.c --- */

/** Names the locations that hang on an image; NULL: all of them. Returns 0 or -ENOMEM. */
int consumer_symbolize_image(struct consumer *consumer, struct consumer_image *image);
