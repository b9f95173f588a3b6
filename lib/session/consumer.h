/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Right of the queue: snapshots → traces → stacks of a profile, then names for their addresses.
 * Functions on one consumer must be called by one thread at a time, unless they say otherwise.
 */
#pragma once

#include <stdbool.h>

#include "profile/profile.h"
#include "session/session.h"
#include "snapshot/snapshot.h"

struct consumer;

struct consumer_options {
	unsigned types; /* of enum sampler_type; the profile has their values */
	bool inlines;   /* expand inlined calls */
	bool children;  /* samples carry the labels `process` and `pid` */
};

/** Makes a consumer and reads the modules of the target as they are now.
 *
 * @param pid		of generation 0
 * @param shared	where the learned stack tops go; borrowed
 * @return 0, -ESRCH, -ENOMEM
 */
int consumer_new(pid_t pid, const struct consumer_options *options, struct sampler_shared *shared,
		 struct profile *profile, struct consumer **ret_consumer);
struct consumer *consumer_free(struct consumer *consumer);

/** Adds one snapshot to the profile. Returns 0 or -ENOMEM. */
int consumer_take(struct consumer *consumer, const struct snapshot *snapshot);

/** The same for a SNAPSHOT_STACK whose values somebody else keeps: only its stack is made. Returns
 * 0 or -ENOMEM. */
int consumer_take_stack(struct consumer *consumer, const struct snapshot *snapshot,
			uint32_t *ret_stack);

/** The stack of a sample that has none: a name in brackets. Returns 0 or -ENOMEM. */
int consumer_named_stack(struct consumer *consumer, const char *name, uint32_t *ret_stack);

/** Names every location that has no name yet and sets the mappings' flags. Returns 0 or -ENOMEM. */
int consumer_symbolize(struct consumer *consumer);

/** Gives a copy of the profile the names known so far. May be called from any thread, until the
 * consumer is freed. Returns 0 or -ENOMEM. */
int consumer_name_copy(const struct consumer *consumer, struct profile *copy);

/** Asks the namer for what it was not asked for yet, as far as its queue has room. */
void consumer_ask(struct consumer *consumer);

/** Is there something that the namer had no room for? From any thread. */
bool consumer_has_unasked(const struct consumer *consumer);

/** See session_await_names(). From any thread. */
bool consumer_await_names(const struct consumer *consumer, uint64_t until, bool urgent);

/** Goes on with another profile, which profile_renew() made of the one that it has. Returns 0; or
 * -ENOMEM, and goes on with what it has. */
int consumer_renew(struct consumer *consumer, struct profile *profile);

/** Fills in traces, unwind, locations, unnamed and gaps; strings live as long as the consumer. */
void consumer_stats(struct consumer *consumer, struct session_stats *stats);
