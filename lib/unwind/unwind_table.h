/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules made so far, by lookup pc: an open-addressed hash table of 32-byte entries, so that a
 * step of the unwinder touches one cache line of it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "unwind/unwind_rule.h"

struct unwind_entry {
	uint64_t pc; /* UINT64_MAX: empty */
	struct unwind_rule rule;
	uint32_t tag; /* see unwinder_tag() */
} __attribute__((aligned(32)));
_Static_assert(sizeof(struct unwind_entry) == 32, "two to a cache line");

/** All zeroes while empty. */
struct unwind_table {
	struct unwind_entry *entries;
	size_t n;
	unsigned bits; /* 2^bits entries */
};

void unwind_table_deinit(struct unwind_table *table);

/** Forgets every entry and keeps the memory. */
void unwind_table_clear(struct unwind_table *table);

/** Adds an entry with that pc, which must not be there yet, for the caller to fill in; or NULL when
 * out of memory. Entries found before have moved. */
struct unwind_entry *unwind_table_add(struct unwind_table *table, uint64_t pc);

/* Return addresses differ in their low bits; the multiplication brings these to the top (Knuth, The
 * Art of Computer Programming, volume 3, 6.4: Fibonacci hashing). */
static inline size_t unwind_table_place(const struct unwind_table *table, uint64_t pc)
{
	return (size_t)((pc * 0x9e3779b97f4a7c15ULL) >> (64 - table->bits));
}

/** The entry of a pc, or NULL. Valid until the next is added. */
static inline struct unwind_entry *unwind_table_find(const struct unwind_table *table, uint64_t pc)
{
	size_t mask = ((size_t)1 << table->bits) - 1, i;

	if (!table->entries)
		return NULL;
	for (i = unwind_table_place(table, pc); table->entries[i].pc != pc; i = (i + 1) & mask) {
		if (table->entries[i].pc == UINT64_MAX)
			return NULL;
	}
	return &table->entries[i];
}
