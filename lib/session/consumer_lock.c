/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for locks, charged to who held them.
 *
 * The stack of a waiter tells whether it waits for a lock; the source has read the lock's words at
 * the tick. Who held it is charged with the stack of that moment: where the thread was blocked, the
 * one that it was seen with last, else the next one, for which it was asked to stop.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/consumer_priv.h"

/* A thread that was asked to stop while it had no CPU stops when it gets one; a stack that comes
 * later than that is of something else. */
#define STOPS_WITHIN (500 * NSEC_PER_MSEC)

/* The futex that a thread waits for, from the arguments of its call. */
static void read_wait(struct consumer_image *image, const struct consumer_slot *slot,
		      struct process_wait *ret_wait)
{
	struct process_syscall call = {.nr = SYS_futex};

	memcpy(call.args, slot->args, sizeof(call.args));
	process_wait_read(image->waits, slot->tid, &call, ret_wait);
}

static int charge(struct consumer *c, const struct consumer_image *image,
		  const struct consumer_slot *slot, const struct consumer_held *held, int32_t owner,
		  bool is_free)
{
	const struct snapshot snapshot = {
		.kind = SNAPSHOT_HELD, .waits = held->waits, .delay_ns = held->delay_ns};
	int64_t values[PROFILE_MAX_TYPES];
	uint32_t labels, stack = slot ? slot->stack : 0;
	int r;

	if (!session_types_values(c->options.types, &snapshot, values))
		return 0;
	c->held_ns += held->delay_ns;
	if (!stack) {
		c->unknown_ns += is_free ? 0 : held->delay_ns;
		slot = NULL;
		r = consumer_push_named(c, "[cprof]", &c->cprof_mapping,
					is_free ? "[lock released]" : "[unknown holder]", &stack);
		if (r < 0)
			return err_trace(r);
	}
	r = consumer_lock_labels(c, image, slot, held, owner, &labels);
	return r < 0 ? err_trace(r) : profile_sample_add(c->profile, stack, labels, values);
}

static int charge_pending(struct consumer *c, struct consumer_image *image,
			  const struct snapshot *snapshot, const struct consumer_slot *slot)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < c->held.n; i++) {
		const struct consumer_held *held = &c->held.items[i];
		bool fits = held->tid == snapshot->tid &&
			    held->generation == snapshot->generation &&
			    snapshot->time_ns - held->time_ns < STOPS_WITHIN;

		if (held->slot != snapshot->slot || r < 0)
			c->held.items[kept++] = *held;
		else
			r = charge(c, image, fits ? slot : NULL, held, 0, false);
	}
	c->held.n = kept;
	return r;
}

int consumer_lock_note(struct consumer *c, struct consumer_image *image,
		       const struct snapshot *snapshot, struct consumer_slot *slot)
{
	struct process_wait wait;
	int r = 0;

	slot->lock_kind = PROCESS_LOCK_NONE;
	if (!(c->options.types & SAMPLER_MUTEX) || !image->process)
		return 0;
	if (c->held.n)
		r = charge_pending(c, image, snapshot, slot);
	if (r < 0 || snapshot->state != SNAPSHOT_SLEEPING)
		return err_trace(r);
	if (slot->syscall == SYS_futex) {
		r = consumer_image_waits(image);
		if (r < 0)
			return err_trace(r);
		image->locks.process = image->process;
		image->locks.map = image->map;
		memcpy(slot->args, snapshot->args, sizeof(slot->args));
		read_wait(image, slot, &wait);
		slot->lock_kind = session_lock_kind(&image->locks, &c->trace, &slot->libc);
		if (wait.futex == PROCESS_FUTEX_LOCK_PI || slot->libc == PROCESS_LIBC_MUSL ||
		    slot->lock_kind == PROCESS_LOCK_MUTEX || slot->lock_kind == PROCESS_LOCK_READ ||
		    slot->lock_kind == PROCESS_LOCK_WRITE)
			return 0;
	}
	/* The source need not look at it again. */
	atomic_store_explicit(&c->shared->no_locks[snapshot->slot % SAMPLER_TOPS], snapshot->round,
			      memory_order_relaxed);
	return 0;
}

/* The name of a lock, as a string of the profile: of the variable, else its address. */
static int name_lock(struct consumer *c, struct consumer_image *image, uint64_t addr,
		     uint32_t *ret_string)
{
	uint64_t *known;
	char text[256];
	int r = map64_put(&image->lock_names, addr, &known);

	if (r < 0)
		return err_trace(r);
	if (!*known) {
		session_lock_name(&image->locks, addr, text, sizeof(text));
		if (!text[0])
			snprintf(text, sizeof(text), "0x%llx", (unsigned long long)addr);
		r = profile_string(c->profile, text, ret_string);
		if (r < 0)
			return err_trace(r);
		*known = *ret_string;
	}
	*ret_string = (uint32_t)*known;
	return 0;
}

/* The thread that held it, among those that the source has found; NULL: none of them. */
static const struct snapshot_holder *find_holder(const struct snapshot_lock *found, pid_t owner)
{
	for (uint32_t i = 0; i < found->n_holders; i++) {
		if (found->holders[i].owner == owner)
			return &found->holders[i];
	}
	return NULL;
}

int consumer_lock_take(struct consumer *c, struct consumer_image *image,
		       const struct snapshot *snapshot)
{
	const struct snapshot_lock *found = (const struct snapshot_lock *)snapshot->bytes;
	const struct snapshot_holder *holder;
	const struct consumer_slot *slot;
	struct consumer_held held = {.generation = snapshot->generation,
				     .time_ns = snapshot->time_ns,
				     .delay_ns = snapshot->delay_ns,
				     .waits = snapshot->waits,
				     .waiters = found->waiters},
			     *pending;
	struct process_wait wait;
	struct process_lock lock;
	int r;

	if (snapshot->slot >= c->slots.n || !image->waits)
		return 0;
	slot = &c->slots.items[snapshot->slot];
	if (slot->syscall != SYS_futex)
		return 0;
	read_wait(image, slot, &wait);
	process_lock_read(&wait, &found->words, slot->lock_kind, slot->libc, &lock);
	if (lock.kind != PROCESS_LOCK_MUTEX && lock.kind != PROCESS_LOCK_READ &&
	    lock.kind != PROCESS_LOCK_WRITE)
		return 0;
	r = name_lock(c, image, lock.addr, &held.lock);
	if (r < 0)
		return err_trace(r);
	holder = lock.owner ? find_holder(found, lock.owner) : NULL;
	if (!holder)
		return charge(c, image, NULL, &held, lock.owner, lock.is_free);
	if (!holder->comes)
		return charge(c, image,
			      holder->slot < c->slots.n ? &c->slots.items[holder->slot] : NULL,
			      &held, 0, false);
	pending = vec_push(&c->held);
	if (!pending)
		return err_trace(-ENOMEM);
	held.slot = holder->slot;
	held.tid = holder->tid;
	*pending = held;
	return 0;
}

int consumer_lock_finish(struct consumer *c, const struct consumer_image *image)
{
	size_t kept = 0;
	int r = 0;

	for (size_t i = 0; i < c->held.n; i++) {
		const struct consumer_held *held = &c->held.items[i];

		if (held->generation != image->generation || r < 0)
			c->held.items[kept++] = *held;
		else
			r = charge(c, image, NULL, held, 0, false);
	}
	c->held.n = kept;
	return r;
}
