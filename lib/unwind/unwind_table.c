/* SPDX-License-Identifier: Apache-2.0 */
#include "unwind/unwind_table.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BITS 9

void unwind_table_deinit(struct unwind_table *table)
{
	free(table->entries);
	*table = (struct unwind_table){};
}

void unwind_table_clear(struct unwind_table *table)
{
	/* An empty pc is all ones. */
	if (table->entries)
		memset(table->entries, 0xff, sizeof(*table->entries) << table->bits);
	table->n = 0;
}

static struct unwind_entry *place(const struct unwind_table *table, uint64_t pc)
{
	size_t mask = ((size_t)1 << table->bits) - 1, i = unwind_table_place(table, pc);

	while (table->entries[i].pc != UINT64_MAX)
		i = (i + 1) & mask;
	return &table->entries[i];
}

static bool grow(struct unwind_table *table)
{
	struct unwind_table grown = {.n = table->n,
				     .bits = table->entries ? table->bits + 1 : FIRST_BITS};

	grown.entries = aligned_alloc(64, sizeof(*grown.entries) << grown.bits);
	if (!grown.entries)
		return false;
	memset(grown.entries, 0xff, sizeof(*grown.entries) << grown.bits);
	for (size_t i = 0; table->entries && i < (size_t)1 << table->bits; i++) {
		if (table->entries[i].pc != UINT64_MAX)
			*place(&grown, table->entries[i].pc) = table->entries[i];
	}
	free(table->entries);
	*table = grown;
	return true;
}

struct unwind_entry *unwind_table_add(struct unwind_table *table, uint64_t pc)
{
	struct unwind_entry *entry;

	if (pc == UINT64_MAX)
		return NULL;
	/* At most two thirds full, so that a search ends soon. */
	if ((!table->entries || (table->n + 1) * 3 > (size_t)2 << table->bits) && !grow(table))
		return NULL;
	entry = place(table, pc);
	*entry = (struct unwind_entry){.pc = pc};
	table->n++;
	return entry;
}
