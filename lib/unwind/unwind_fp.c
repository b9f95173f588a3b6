/* SPDX-License-Identifier: Apache-2.0 */
#include "unwind/unwind_fp.h"

#include <stdlib.h>

#include "base/cleanup.h"

/* Rows of call-frame information looked through for the prologue, backwards. */
#define MAX_ROWS 64
/* A prologue sets the frame pointer within so many bytes of the function's start. */
#define MAX_ENTRY 96
/* Words that a caller may have pushed for the call under way. */
#define MAX_PUSHED 16
/* Longest call instruction. */
#define MAX_CALL 8

/* What a function does to sp: fp = sp at a call + below. */
struct frame_shape {
	uint64_t established; /* pc from which on the frame pointer is set */
	uint64_t below;       /* bytes between fp and sp */
	uint64_t slack;       /* … and up to so many more */
};

void unwind_fp_forget(struct unwind_fp *fp)
{
	map64_clear(&fp->by_pc);
}

void unwind_fp_deinit(struct unwind_fp *fp)
{
	map64_deinit(&fp->by_pc);
}

/*
 * Goes back row by row to the one whose CFA hangs on sp and that is followed by one whose CFA hangs
 * on the frame pointer: between them it was set. A `ret` in the middle of a function also has a row
 * with sp, but with the frame gone: there the CFA is nearer to sp than the saved registers.
 */
static bool find_prologue(struct module *module, const struct arch *arch, uint64_t pc,
			  const struct unwind_rule *rule, struct frame_shape *ret_shape)
{
	struct unwind_rule after = *rule;
	uint64_t at = pc;

	for (int i = 0; i < MAX_ROWS; i++) {
		struct unwind_slow slow = {};
		struct unwind_rule before;
		uint64_t start;

		if (!unwind_rule_row_start(module, at, &start))
			return false;
		unwind_rule_make(module, arch, start - 1, &before, &slow);
		free(slow.frame);
		if (before.kind != UNWIND_COMPACT)
			return false;
		if (before.cfa_reg == arch->sp && after.cfa_reg == arch->fp &&
		    before.cfa_offset >= 8 * after.slots[0] && after.slots[0] != UNWIND_SAME) {
			ret_shape->established = start;
			/* At this instant sp is CFA - before, and fp is CFA - after. */
			ret_shape->below =
				(uint64_t)(int64_t)(before.cfa_offset - after.cfa_offset);
			return true;
		}
		after = before;
		at = start - 1;
	}
	return false;
}

static bool find_shape(struct module *module, const struct arch *arch, uint64_t pc,
		       const struct unwind_rule *rule, struct frame_shape *ret_shape)
{
	size_t before, after;
	const uint8_t *code;
	uint64_t size;

	if (!find_prologue(module, arch, pc, rule, ret_shape))
		return false;
	code = module_text(module, ret_shape->established, &before, &after);
	if (!code || pc < ret_shape->established ||
	    !arch_frame_size(arch, code, after, (size_t)(pc - ret_shape->established), &size,
			     &ret_shape->slack))
		return false;
	ret_shape->below += size;
	return true;
}

/* All fit into one word of the table. */
#define MAX_DISTANCE (UINT64_C(1) << 31)
#define BELOW_BITS 26
#define SLACK_BITS 6

static bool fits(uint64_t pc, const struct frame_shape *shape)
{
	return pc - shape->established < MAX_DISTANCE && shape->below >> BELOW_BITS == 0 &&
	       shape->slack / 8 >> SLACK_BITS == 0;
}

static uint64_t pack(uint64_t pc, const struct frame_shape *shape)
{
	return (pc - shape->established + 1) << 32 | shape->slack / 8 << BELOW_BITS | shape->below;
}

static bool shape_of(struct unwind_fp *fp, struct module *module, const struct arch *arch,
		     uint64_t pc, const struct unwind_rule *rule, struct frame_shape *ret_shape)
{
	uint64_t *known;
	bool found;

	if (map64_put(&fp->by_pc, pc, &known) == 1) {
		if (!*known)
			return false;
		ret_shape->established = pc + 1 - (*known >> 32);
		ret_shape->below = *known & ((1U << BELOW_BITS) - 1);
		ret_shape->slack = 8 * ((*known & UINT32_MAX) >> BELOW_BITS);
		return true;
	}
	found = find_shape(module, arch, pc, rule, ret_shape) && fits(pc, ret_shape);
	known = map64_get(&fp->by_pc, pc);
	if (found && known)
		*known = pack(pc, ret_shape);
	return found;
}

enum belief {
	NO_CALL,
	SOME_CALL,  /* indirect, or through a linkage table: it may lead anywhere */
	OTHER_CALL, /* to another function */
	THIS_CALL,
};

static enum belief believe(struct module_map *map, const struct arch *arch, uint64_t return_address,
			   uint64_t established)
{
	const struct module_mapping *m = module_map_find(map, return_address - 1);
	size_t before, after, plt_before, plt_after;
	const uint8_t *code, *plt;
	uint64_t target, slot;

	code = m ? module_text(m->module, return_address, &before, &after) : NULL;
	if (!code ||
	    !arch_call_before(arch, code, MIN(before, (size_t)MAX_CALL), return_address, &target))
		return NO_CALL;
	if (!target)
		return SOME_CALL;
	if (target <= established && established - target <= MAX_ENTRY)
		return THIS_CALL;
	plt = module_text(m->module, target, &plt_before, &plt_after);
	if (plt && arch_plt_slot(arch, plt, plt_after, target, &slot))
		return SOME_CALL;
	return OTHER_CALL;
}

/* The words that may be the return address are looked at one by one, the frame growing. */
static bool return_address(const struct snapshot *snapshot, const struct unwind_rule *rule,
			   uint64_t frame, uint64_t *ret_word)
{
	uint64_t cfa = frame + (uint64_t)(int64_t)rule->cfa_offset;

	return snapshot_word(snapshot, cfa - 8ULL * rule->ra_slot, ret_word);
}

/* Where the stack was aligned, and nothing was pushed since, the frame is at one of a few places:
 * it must be the only one with something that looks like a return address, whoever was called there
 * (a tail call hides who). */
static bool find_only(struct module_map *map, const struct arch *arch,
		      const struct unwind_rule *rule, const struct snapshot *snapshot,
		      const struct frame_shape *shape, uint64_t sp, uint64_t *ret_fp)
{
	uint64_t places = shape->slack / 8, word;
	unsigned n = 0;

	for (uint64_t i = 0; i <= places; i++) {
		uint64_t frame = sp + shape->below + 8 * i;

		if (!return_address(snapshot, rule, frame, &word))
			break;
		switch (believe(map, arch, word, shape->established)) {
		case NO_CALL:
			break;
		case OTHER_CALL:
			return false;
		case SOME_CALL:
		case THIS_CALL:
			*ret_fp = frame;
			n++;
			break;
		}
	}
	return n == 1;
}

bool unwind_fp_find(struct unwind_fp *fp, struct module_map *map, const struct arch *arch,
		    const struct unwind_rule *rule, const struct snapshot *snapshot, uint64_t pc,
		    uint64_t sp, uint64_t *ret_fp)
{
	const struct module_mapping *m = module_map_find(map, pc);
	struct frame_shape shape;
	bool some = false;

	if (!m || !shape_of(fp, m->module, arch, pc, rule, &shape))
		return false;
	if (shape.slack)
		return find_only(map, arch, rule, snapshot, &shape, sp, ret_fp);
	for (unsigned pushed = 0; pushed <= MAX_PUSHED; pushed++) {
		uint64_t frame = sp + shape.below + 8ULL * pushed, word;

		if (!return_address(snapshot, rule, frame, &word))
			break;
		switch (believe(map, arch, word, shape.established)) {
		case NO_CALL:
		case OTHER_CALL:
			break;
		case SOME_CALL:
			/* Where it must lie if nothing was pushed; elsewhere it may be a relic. */
			if (pushed > 0 || some)
				break;
			*ret_fp = frame;
			some = true;
			break;
		case THIS_CALL:
			*ret_fp = frame;
			return true;
		}
		if (some)
			return true;
	}
	return false;
}
