/* SPDX-License-Identifier: Apache-2.0 */
/* How much of a stack is copied, and where it lies. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"
#include "source/source_priv.h"

/* Reading the maps takes the target's mmap_lock; at most this share of the time goes into it. */
#define MAPS_SHARE 50
/* … counted as if it had run this long already: a process that begins has much to map. */
#define MAPS_CREDIT (100 * NSEC_PER_MSEC)
/* What is copied of a thread whose depth is not known yet. */
#define FIRST_COPY (256 * 1024UL)

void sampler_maps_refresh(struct sampler_target *target, uint64_t now)
{
	struct process_maps maps = {};
	uint64_t start = clock_now_ns();

	if (!target->maps_stale ||
	    target->maps_spent_ns * MAPS_SHARE > now - target->opened_at + MAPS_CREDIT)
		return;
	if (process_maps_read(target->process, &maps) < 0)
		return;
	process_maps_deinit(&target->maps);
	target->maps = maps;
	target->maps_stale = false;
	target->maps_spent_ns += clock_now_ns() - start;
}

bool sampler_stack_bounds(const struct sampler_target *target, uint64_t sp, uint64_t *ret_start,
			  uint64_t *ret_end)
{
	return source_stack_bounds(&target->maps, sp, ret_start, ret_end);
}

bool sampler_stack_is_beyond(const struct sampler *s, uint32_t slot)
{
	return atomic_load_explicit(&s->shared->tops[slot % SAMPLER_TOPS], memory_order_relaxed) ==
	       SAMPLER_TOP_BEYOND;
}

size_t sampler_stack_wanted(const struct sampler *s, uint32_t slot, uint64_t from, uint64_t end)
{
	uint64_t top =
		atomic_load_explicit(&s->shared->tops[slot % SAMPLER_TOPS], memory_order_relaxed);

	/* The learned top may be another thread's (the table is small); it must lie in this stack.
	 */
	if (top > from && top <= end)
		end = top;
	/* Who is met once has no second chance. */
	else if (top != SAMPLER_TOP_BEYOND && !sampler_wants(s, SAMPLER_THREADS))
		end = MIN(end, from + FIRST_COPY);
	return MIN(end - from, (uint64_t)SNAPSHOT_MAX_STACK);
}
