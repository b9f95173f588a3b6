/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stack of a stopped thread, copied to where the consumer reads it.
 *
 * A stop is reported before the thread has left its CPU, and its registers cannot be read until it
 * has (kernel/ptrace.c ptrace_check_attach waits for that, some 10 µs). Its memory can: where the
 * stack was at the last stop is copied meanwhile, and kept if sp turns out to lie in it. Not for
 * threads that were in a system call: what a stop does to that is undone first.
 */
#include "base/cleanup.h"
#include "source/sampler_priv.h"

/* How much deeper than at the last stop is copied ahead. */
#define SLACK 1024

/* Room for the stack from `from` on, and its bytes. NULL when there is no room. */
static struct snapshot *copy(struct sampler *s, struct sampler_target *target,
			     struct sampler_thread *thread, uint64_t from, uint64_t end,
			     bool *ret_same)
{
	size_t wanted = end ? sampler_stack_wanted(s, thread->slot, from, end) : 0;
	struct snapshot *snapshot = sampler_reserve(s, target, SNAPSHOT_STACK, thread, wanted);

	if (!snapshot)
		return NULL;
	snapshot->stack_addr = from;
	snapshot->stack_end = end;
	snapshot->n_bytes = (uint32_t)process_read_stopped(thread->tid, &target->mark, from,
							   snapshot->bytes, wanted, ret_same);
	return snapshot;
}

struct sampler_ahead sampler_copy_ahead(struct sampler *s, struct sampler_target *target,
					struct sampler_thread *thread)
{
	struct sampler_ahead ahead = {};
	uint64_t start, end, from;

	if (s->options.engine == SAMPLER_LIBUNWIND || !thread->user_sp ||
	    !sampler_has_room(s, SNAPSHOT_MAX_STACK) ||
	    !sampler_stack_bounds(target, thread->user_sp, &start, &end))
		return ahead;
	from = thread->user_sp - s->arch->red_zone - SLACK;
	ahead.snapshot = copy(s, target, thread, MAX(from, start), end, &ahead.same);
	return ahead;
}

struct snapshot *sampler_copy(struct sampler *s, struct sampler_target *target,
			      struct sampler_thread *thread, uint64_t sp,
			      const struct sampler_ahead *ahead)
{
	uint64_t start, end = 0, from = 0, lowest = sp - s->arch->red_zone;
	struct snapshot *snapshot = ahead->snapshot;
	bool same = ahead->same;

	if (!snapshot || lowest < snapshot->stack_addr ||
	    sp >= snapshot->stack_addr + snapshot->n_bytes) {
		if (sampler_stack_bounds(target, sp, &start, &end)) {
			from = MAX(lowest, start);
		} else {
			s->stats.no_stack++;
			target->maps_stale = true;
		}
		snapshot = copy(s, target, thread, from, end, &same);
	}
	if (!snapshot)
		return NULL;
	if (!same && sampler_image_is_other(target)) {
		/* The room in the queue is given up. */
		s->stats.lost++;
		return NULL;
	}
	return snapshot;
}
