/* SPDX-License-Identifier: Apache-2.0 */
/* Where stacks lie. */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"

/* Reading the maps takes the target's mmap_lock; at most this share of the time goes into it. */
#define MAPS_SHARE 50
/* … counted as if it had run this long already: a process that begins has much to map. */
#define MAPS_CREDIT (100 * NSEC_PER_MSEC)
/* How far a stack that grows down may have grown since the maps were read: the usual limit. */
#define MAX_GROWTH (8ULL << 20)
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

/* Only private memory without a file behind it: reading anything else could wait for a disk, or
 * for somebody who serves the pages. */
static bool is_stack(const struct process_maps *maps, const struct process_mapping *m)
{
	const char *path = process_mapping_path(maps, m);

	return m->read && m->write && !m->shared && m->inode == 0 &&
	       (path[0] == '\0' || path[0] == '[');
}

static const struct process_mapping *grown_stack(const struct process_maps *maps, uint64_t sp)
{
	for (size_t i = maps->mappings.n; i-- > 0;) {
		const struct process_mapping *m = &maps->mappings.items[i];

		if (strcmp(process_mapping_path(maps, m), "[stack]") == 0)
			return sp < m->start && m->start - sp < MAX_GROWTH ? m : NULL;
	}
	return NULL;
}

bool sampler_stack_bounds(const struct sampler_target *target, uint64_t sp, uint64_t *ret_start,
			  uint64_t *ret_end)
{
	const struct process_mapping *m = process_maps_find(&target->maps, sp), *last, *end;

	if (!m)
		m = grown_stack(&target->maps, sp);
	if (!m || !is_stack(&target->maps, m))
		return false;
	/* A stack may be several mappings, for instance after mprotect(2) of a part. */
	last = m;
	end = target->maps.mappings.items + target->maps.mappings.n;
	while (last + 1 < end && last[1].start == last->end && is_stack(&target->maps, last + 1))
		last++;
	*ret_start = MIN(sp, m->start);
	*ret_end = last->end;
	return true;
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
