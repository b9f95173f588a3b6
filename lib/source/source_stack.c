/* SPDX-License-Identifier: Apache-2.0 */
/* Where stacks lie. */
#include <string.h>

#include "base/cleanup.h"
#include "source/source_priv.h"

/* How far a stack that grows down may have grown since the maps were read: the usual limit. */
#define MAX_GROWTH (8ULL << 20)

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

bool source_stack_bounds(const struct process_maps *maps, uint64_t sp, uint64_t *ret_start,
			 uint64_t *ret_end)
{
	const struct process_mapping *m = process_maps_find(maps, sp), *last, *end;

	if (!m)
		m = grown_stack(maps, sp);
	if (!m || !is_stack(maps, m))
		return false;
	/* A stack may be several mappings, for instance after mprotect(2) of a part. */
	last = m;
	end = maps->mappings.items + maps->mappings.n;
	while (last + 1 < end && last[1].start == last->end && is_stack(maps, last + 1))
		last++;
	*ret_start = MIN(sp, m->start);
	*ret_end = last->end;
	return true;
}
