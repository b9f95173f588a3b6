/* SPDX-License-Identifier: Apache-2.0 */
/* The calls inlined into one function, as a flat list. */
#include "symbol/symbol_priv.h"

#include <dwarf.h>
#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"

static int add_call(struct symbol_calls *calls, Dwarf_Die *die, uint32_t depth)
{
	ptrdiff_t offset = 0;
	Dwarf_Addr base, start, end;

	for (unsigned n = 0; n < SYMBOL_MAX_RANGES; n++) {
		struct symbol_call *call;

		offset = dwarf_ranges(die, offset, &base, &start, &end);
		if (offset <= 0)
			break;
		if (start >= end)
			continue;
		call = vec_push(&calls->items);
		if (!call)
			return err_trace(-ENOMEM);
		*call = (struct symbol_call){
			.start = start, .end = end, .depth = depth, .die = *die};
	}
	return 0;
}

int symbol_calls_load(struct symbol_calls *calls, Dwarf_Die *function)
{
	struct {
		Dwarf_Die die;
		uint32_t depth; /* of the calls among its children */
	} stack[SYMBOL_MAX_DEPTH];
	unsigned level = 0;
	int r;

	if (dwarf_child(function, &stack[0].die) != 0)
		return 0;
	stack[0].depth = 1;
	for (unsigned n = 0; n < SYMBOL_MAX_DIES; n++) {
		Dwarf_Die *die = &stack[level].die, next;
		uint32_t depth = stack[level].depth;
		int tag = dwarf_tag(die);

		/* A function within a function has an entry of its own in the unit. */
		if (tag == DW_TAG_inlined_subroutine) {
			r = add_call(calls, die, depth++);
			if (r < 0)
				return err_trace(r);
		}
		if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
		     tag == DW_TAG_try_block || tag == DW_TAG_catch_block) &&
		    level + 1 < SYMBOL_MAX_DEPTH && dwarf_child(die, &stack[level + 1].die) == 0) {
			stack[++level].depth = depth;
			continue;
		}
		for (;;) {
			die = &stack[level].die;
			/* A corrupt DW_AT_sibling can lead backward. */
			if (dwarf_siblingof(die, &next) == 0 && next.addr > die->addr)
				break;
			if (level-- == 0)
				return 0;
		}
		*die = next;
	}
	return 0;
}
