/* SPDX-License-Identifier: Apache-2.0 */
/* Where stacks lie. */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"

/* Reading the maps takes the target's mmap_lock; at most this share of the time goes into it. */
#define MAPS_SHARE 50
/* How far a stack that grows down may have grown since the maps were read: the usual limit. */
#define MAX_GROWTH (8ULL << 20)

void sampler_maps_refresh(struct sampler *s, uint64_t now)
{
	struct process_maps maps = {};

	if (!s->maps_stale || s->maps_read_at + s->maps_cost_ns * MAPS_SHARE > now)
		return;
	if (process_maps_read(s->process, &maps) < 0)
		return;
	process_maps_deinit(&s->maps);
	s->maps = maps;
	s->maps_stale = false;
	s->maps_read_at = clock_now_ns();
	s->maps_cost_ns = s->maps_read_at - now;
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

bool sampler_stack_bounds(const struct sampler *s, uint64_t sp, uint64_t *ret_start,
			  uint64_t *ret_end)
{
	const struct process_mapping *m = process_maps_find(&s->maps, sp), *last, *end;

	if (!m)
		m = grown_stack(&s->maps, sp);
	if (!m || !is_stack(&s->maps, m))
		return false;
	/* A stack may be several mappings, for instance after mprotect(2) of a part. */
	last = m;
	end = s->maps.mappings.items + s->maps.mappings.n;
	while (last + 1 < end && last[1].start == last->end && is_stack(&s->maps, last + 1))
		last++;
	*ret_start = MIN(sp, m->start);
	*ret_end = last->end;
	return true;
}
