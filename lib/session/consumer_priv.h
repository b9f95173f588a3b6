/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "base/map64.h"
#include "base/vec.h"
#include "module/module.h"
#include "process/process.h"
#include "process/process_wait.h"
#include "session/consumer.h"
#include "session/namer.h"
#include "session/session_lock.h"
#include "unwind/unwind.h"

/* A mapping of an image in the profile. */
struct consumer_mapping {
	uint32_t id;    /* 0 = not added yet */
	uint64_t shift; /* added to a pc of the image to get the profile's address */
	/* Who names its addresses (borrowed from the namer's image; NULL: unknown memory), where
	 * those without a name count, and what is added to a pc to ask there. */
	struct module *names;
	uint32_t gap; /* index + 1 */
	uint64_t names_shift;
};

/* One image of a process: each process and each execve makes one. */
struct consumer_image {
	uint32_t generation;
	bool pinned; /* it has a module that names the addresses of other images, too */
	pid_t pid;
	char name[64];
	struct process *process;     /* NULL: it had ended before it could be looked at */
	struct process_waits *waits; /* of that; NULL until it is needed */
	struct session_locks locks;
	struct map64 lock_names; /* address → string */
	struct module_map *map;
	struct unwinder *unwinder;
	struct namer_image *naming;        /* NULL until there is something to name */
	struct consumer_mapping *mappings; /* by module_mapping.index */
	size_t n_mappings;
	uint64_t refreshed_at;
	uint64_t refresh_spent_ns, earned_at; /* see earn_refresh() */
};

/* What a location of the profile is an address of; by location id - 1. */
struct consumer_place {
	bool waits; /* for its name */
	uint32_t gap;
	struct module *names; /* NULL: unknown memory */
	uint64_t pc;          /* in the image of that module */
};

/* A file by its build id, and the module that names it for all that have it mapped. */
struct consumer_file {
	uint32_t build_id; /* string id, not 0 */
	uint32_t gap;
	struct module *names;
	uint64_t bias; /* of that module */
};

/* An image that has ended, to be given back to the namer once all its places were asked for. */
struct consumer_ended {
	struct namer_image *naming;
	bool keep;
	size_t n_places; /* when it ended */
};

/* What a thread was seen in last. */
struct consumer_slot {
	uint32_t stack;
	int32_t syscall;
	uint32_t wait; /* string: what it waits for, or 0 */
	int32_t tid;
	char name[64];
	/* Of a futex that it waits for, if types want that: its call, and the kind of lock. */
	uint64_t args[6];
	enum process_lock_kind lock_kind;
	enum process_libc libc;
	uint32_t labels; /* of its last sample, 0: none was yet; and what they were made from */
	uint32_t generation, state;
	uint32_t labels_wait;
	int32_t labels_syscall, labels_tid;
	char labels_name[64];
};

/* Waiting that is to be charged to a thread whose stack of that moment has not come yet. */
struct consumer_held {
	uint32_t slot, generation;
	int32_t tid;
	uint64_t time_ns, delay_ns;
	uint32_t waits, waiters;
	uint32_t lock; /* string: its name */
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
	VEC(struct consumer_shared) shared_mappings;
	VEC(struct consumer_file) files;
	struct namer *namer;
	VEC(struct consumer_place) places;
	size_t n_asked; /* of the places */
	_Atomic bool has_unasked;
	VEC(struct consumer_ended) ended;
	size_t n_given_back;             /* of these */
	VEC(struct consumer_slot) slots; /* by snapshot.slot */
	VEC(struct consumer_held) held;
	uint64_t held_ns, unknown_ns; /* waiting for locks; of it with nobody to charge it to */
	VEC(struct session_gap) gaps; /* path and why are owned */
	uint32_t kernel_mapping, cprof_mapping, unknown_mapping; /* ids, 0 until needed */
	uint64_t traces[TRACE_ENDS], read_traces[TRACE_ENDS];
	struct unwind_stats unwind; /* of images that are gone */
	uint64_t unnamed, symbolize_ns, naming_ns;
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

/** Nothing of an image comes any more: it is let go. Returns 0 or -ENOMEM. */
int consumer_image_end(struct consumer *consumer, uint32_t generation);

struct consumer_image *consumer_image_free(struct consumer_image *image);

/** Makes what tells the waits of an image that has a process. Returns 0 or -ENOMEM. */
int consumer_image_waits(struct consumer_image *image);

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

/** What a thread waits for, as a string of the profile; 0 where that is not known or of no
 * interest. syscall: the call it is in. Returns 0 or -ENOMEM. */
int consumer_wait(struct consumer *consumer, struct consumer_image *image,
		  const struct snapshot *snapshot, int32_t syscall, uint32_t *ret_string);

/** The labels of a snapshot; slot: of its thread, if it has a stack, else NULL. Returns 0 or
 * -ENOMEM. */
int consumer_labels(struct consumer *consumer, const struct consumer_image *image,
		    const struct snapshot *snapshot, struct consumer_slot *slot,
		    uint32_t *ret_labels);

/** The labels of waiting for a lock: slot is that of the thread that held it, NULL when that is not
 * known; owner: its id where it is none of ours, else 0. Returns 0 or -ENOMEM. */
int consumer_lock_labels(struct consumer *consumer, const struct consumer_image *image,
			 const struct consumer_slot *slot, const struct consumer_held *held,
			 int32_t owner, uint32_t *ret_labels);

/* --- consumer_lock.c --- */

/** A thread was seen with that stack, whose trace is in c->trace: notes whether it waits for a
 * lock, and charges to it what others waited for it. Returns 0 or -ENOMEM. */
int consumer_lock_note(struct consumer *consumer, struct consumer_image *image,
		       const struct snapshot *snapshot, struct consumer_slot *slot);

/** Takes a SNAPSHOT_HELD. Returns 0 or -ENOMEM. */
int consumer_lock_take(struct consumer *consumer, struct consumer_image *image,
		       const struct snapshot *snapshot);

/** What an image's threads waited and is not charged yet is nobody's. Returns 0 or -ENOMEM. */
int consumer_lock_finish(struct consumer *consumer, const struct consumer_image *image);

/* --- consumer_symbols.c --- */

/** Gives back what names an image, behind all its places. Returns 0 or -ENOMEM. */
int consumer_give_back(struct consumer *consumer, struct consumer_image *image);

/** Where unnamed addresses of a file count: index + 1. Returns 0 or -ENOMEM. */
int consumer_gap(struct consumer *consumer, const char *path, uint32_t *ret_gap);
