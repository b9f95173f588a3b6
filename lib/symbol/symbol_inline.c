/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls inlined into a function at one address.
 *
 * Looked for anew for each address: only what covers it is entered, and all else is passed by with
 * its DW_AT_sibling. A list of all calls of a function costs as much as hundreds of such walks,
 * and more memory than anything else here.
 */
#include "symbol/symbol_priv.h"

#include <dwarf.h>

#include "base/cleanup.h"

/* Blocks hold calls without being one. */
static bool is_block(unsigned tag)
{
	return tag == DW_TAG_lexical_block || tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

uint32_t symbol_calls_find(const struct symbol_unit *unit, const uint8_t *function, uint64_t addr,
			   const uint8_t **calls, uint32_t max)
{
	bool in_call[SYMBOL_MAX_DEPTH]; /* which of the entries entered are calls */
	const uint8_t *at;
	struct symbol_entry entry;
	uint32_t level = 0, n = 0;

	if (!symbol_entry_read(&unit->dies, function, &entry) || !entry.children)
		return 0;
	at = entry.behind;
	for (uint32_t seen = 0; seen < SYMBOL_MAX_DIES && at < unit->dies.end; seen++) {
		bool is_call, enter;

		if (*at == 0) {
			/* Siblings of a call do not cover what it covers. */
			if (level == 0 || in_call[--level])
				break;
			at++;
			continue;
		}
		if (!symbol_entry_read(&unit->dies, at, &entry))
			break;
		is_call = entry.tag == DW_TAG_inlined_subroutine &&
			  symbol_entry_covers(unit, &entry, addr);
		if (is_call) {
			calls[n++] = at;
			if (n == max || !entry.children)
				break;
		}
		enter = entry.children && (is_call || (is_block(entry.tag) &&
						       (!(entry.has_low || entry.has_ranges) ||
							symbol_entry_covers(unit, &entry, addr))));
		if (enter && level < SYMBOL_MAX_DEPTH) {
			in_call[level++] = is_call;
			at = entry.behind;
		} else {
			at = symbol_entry_next(&unit->dies, &entry);
		}
	}
	return n;
}
