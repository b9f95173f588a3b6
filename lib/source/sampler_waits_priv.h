/* SPDX-License-Identifier: Apache-2.0 */
/* Types that need more than who is on a CPU: waits, locks, births, every thread once. */
#pragma once

#include "source/sampler_state_priv.h"

/* --- sampler_block.c --- */

/** Does a thread in this state wait for something, as against for a CPU or a debugger? */
bool sampler_block_counts(enum snapshot_state state);

/** A thread runs: its waits count from here on, if it was there before the recording; those of one
 * that was born in it count from its birth on. */
void sampler_block_begin(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread);

/** It is blocked, since its last read for up to ns: owed until the wait ends. Returns how many
 * waits there were since. */
uint32_t sampler_block_read(struct sampler_thread *thread, uint64_t switches,
			    enum snapshot_state state, uint64_t ns);

/** Charges all that is owed to a record of its stack; parked: one of a thread that never moved. */
void sampler_block_charge(struct sampler *s, struct sampler_thread *thread,
			  struct snapshot *snapshot, bool parked);

/** Owes what it waited since it was read last, for ns in all, at its end or that of the recording.
 */
void sampler_block_settle(struct sampler *s, struct sampler_target *target,
			  struct sampler_thread *thread, uint64_t ns);

/* --- sampler_create.c --- */

/** Sees to it that a thread tells of those that it makes. */
void sampler_create_follow(struct sampler *s, struct sampler_target *target, pid_t tid);

/** The same for all threads that are known. */
void sampler_create_begin(struct sampler *s);

/** At each tick: follows threads that another thread of this process had traced. */
void sampler_create_tick(struct sampler *s);

/** A thread that is followed has made one, or is to get a signal. */
void sampler_create_on_event(struct sampler *s, const struct tracee_event *event);

/** Lets all go that are followed. */
void sampler_create_end(struct sampler *s);

/* --- sampler_lock.c --- */

/** A thread was read blocked in that call, in which it has waited for ns, the last of so many
 * waits.
 */
void sampler_lock_read(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread, const struct snapshot *snapshot, uint64_t now,
		       uint32_t waits);

/** Once per tick, after the reads: who waits for whom. */
void sampler_lock_tick(struct sampler *s, struct sampler_target *target, uint64_t now);

/** Asks those to stop that are waited for and whose stack is not known. Returns how many. */
unsigned sampler_lock_stop(struct sampler *s, uint64_t now);

/* --- sampler_each.c --- */

/** Once per tick: reads the threads that were not seen yet and are blocked, asks others to stop.
 * Returns how many of those there are. */
unsigned sampler_each_tick(struct sampler *s, uint64_t now);

/** Has every thread been seen? */
bool sampler_each_is_done(const struct sampler *s);

/** Puts a record for each thread that was not. */
void sampler_each_settle(struct sampler *s, struct sampler_target *target);

/* --- sampler_wall.c --- */

/** Once per tick, after the threads were looked at: reads those that are newly blocked. */
void sampler_wall_tick(struct sampler *s, struct sampler_target *target, uint64_t now);

/** Charges the waits under way, if somebody wants them: see struct sampler_shared. */
void sampler_wall_put(struct sampler *s, uint64_t now);

/** What a thread does that has this state letter. */
enum snapshot_state sampler_wall_state(const struct sampler *s, char letter);

/** Reads a thread without a stop: true when it was blocked the whole time, and its stack is
 * published. */
bool sampler_wall_read(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread, enum snapshot_state state, uint64_t now);

/** Begins to count the elapsed time of a thread, whose schedstat was just read. */
void sampler_wall_begin(struct sampler_thread *thread, uint64_t now);

/** A thread was seen runnable: the tick is owed to its next stop … */
void sampler_wall_owe(struct sampler_thread *thread);

/** … and it seems to be the one on its CPU. */
void sampler_wall_runs(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread);

/** Charges what is owed to the snapshot of a stop, which lasted pause_ns; false when nothing is.
 * What remains goes into a record behind it. */
bool sampler_wall_charge(struct sampler_thread *thread, struct snapshot *snapshot,
			 uint64_t pause_ns);
void sampler_wall_charge_rest(struct sampler *s, struct sampler_target *target,
			      struct sampler_thread *thread);

/** Charges what is left of a thread, for its end or that of the recording. */
void sampler_wall_settle(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread, uint64_t now);
