/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted address ranges, each with an owner. */
#include "symbol/symbol_priv.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"

static int compare_ranges(const void *left, const void *right)
{
	const struct symbol_range *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	/* Read backward by symbol_ranges_next(): the shortest comes last. */
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return a->owner < b->owner ? 1 : a->owner > b->owner ? -1 : 0;
}

int symbol_ranges_put(struct symbol_ranges *ranges, uint64_t start, uint64_t end, uint32_t owner)
{
	struct symbol_range *range;

	/* Dropped code: ld.bfd and gold leave 0; lld writes 0, -1 or -2. */
	if (start == 0 || start >= end || start >= UINT64_MAX - 1)
		return 0;
	range = vec_push(&ranges->items);
	if (!range)
		return err_trace(-ENOMEM);
	range->start = start;
	range->end = end;
	range->owner = owner;
	return 0;
}

int symbol_ranges_add(struct symbol_ranges *ranges, Dwarf_Die *die, uint32_t owner)
{
	ptrdiff_t offset = 0;
	Dwarf_Addr base, start, end;
	int added = 0;

	for (unsigned n = 0; n < SYMBOL_MAX_RANGES; n++) {
		size_t before = ranges->items.n;
		int r;

		offset = dwarf_ranges(die, offset, &base, &start, &end);
		if (offset <= 0)
			break;
		r = symbol_ranges_put(ranges, start, end, owner);
		if (r < 0)
			return r;
		added += (int)(ranges->items.n - before);
	}
	return added;
}

void symbol_ranges_sort(struct symbol_ranges *ranges)
{
	uint64_t max_end = 0;

	if (ranges->items.n == 0)
		return;
	qsort(ranges->items.items, ranges->items.n, sizeof(*ranges->items.items), compare_ranges);
	for (size_t i = 0; i < ranges->items.n; i++) {
		max_end = MAX(max_end, ranges->items.items[i].end);
		ranges->items.items[i].max_end = max_end;
	}
}

#define MAX_COVERING 64

const struct symbol_range *symbol_ranges_next(const struct symbol_ranges *ranges, uint64_t addr,
					      size_t *state)
{
	const struct symbol_range *items = ranges->items.items;
	size_t low = 0, high = ranges->items.n;

	/* state is the index at which the search goes on downward, plus one. */
	if (*state > 0) {
		low = *state - 1;
	} else {
		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (items[middle].start <= addr)
				low = middle + 1;
			else
				high = middle;
		}
	}
	for (unsigned n = 0; low-- > 0 && n < MAX_COVERING && items[low].max_end > addr; n++) {
		if (items[low].end > addr) {
			*state = low + 1;
			return &items[low];
		}
	}
	*state = 1;
	return NULL;
}
