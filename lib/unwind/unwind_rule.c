/* SPDX-License-Identifier: Apache-2.0 */
#include "unwind/unwind_rule.h"

#include <dwarf.h>
#include <stdbool.h>
#include <stdlib.h>

/*
 * libdw writes a CFA rule "register + offset" as one operation DW_OP_bregx (cfi.c,
 * execute_cfi: DW_CFA_def_cfa, elfutils 0.188).
 */
static bool compact_cfa(Dwarf_Frame *frame, const struct arch *arch, struct unwind_rule *rule)
{
	Dwarf_Op *ops;
	size_t n_ops;
	int64_t offset;
	uint64_t reg;

	if (dwarf_frame_cfa(frame, &ops, &n_ops) != 0 || n_ops != 1)
		return false;
	if (ops[0].atom == DW_OP_bregx) {
		reg = ops[0].number;
		offset = (int64_t)ops[0].number2;
	} else if (ops[0].atom >= DW_OP_breg0 && ops[0].atom <= DW_OP_breg31) {
		reg = ops[0].atom - DW_OP_breg0;
		offset = (int64_t)ops[0].number;
	} else {
		return false;
	}
	if (reg >= arch->n_regs || offset != (int32_t)offset)
		return false;
	rule->cfa_reg = (uint8_t)reg;
	rule->cfa_offset = (int32_t)offset;
	return true;
}

/*
 * dwarf_frame_register(): no operations and ops == NULL means same value, no operations and
 * ops == mem means undefined (libdw.h). "Saved at CFA + n" is DW_OP_call_frame_cfa followed by
 * DW_OP_plus_uconst n, n wrapping when negative.
 */
static bool compact_slot(Dwarf_Frame *frame, unsigned reg, uint8_t *ret_slot)
{
	Dwarf_Op mem[3], *ops;
	size_t n_ops;
	int64_t offset;

	if (dwarf_frame_register(frame, (int)reg, mem, &ops, &n_ops) != 0)
		return false;
	if (n_ops == 0) {
		*ret_slot = ops ? UNWIND_UNDEFINED : UNWIND_SAME;
		return true;
	}
	if (n_ops != 2 || ops[0].atom != DW_OP_call_frame_cfa || ops[1].atom != DW_OP_plus_uconst)
		return false;
	offset = (int64_t)ops[1].number;
	if (offset >= 0 || offset % 8 || offset < -8 * 254)
		return false;
	*ret_slot = (uint8_t)(-offset / 8);
	return true;
}

/* The psABI has no rule for sp: the CFA is the caller's. An own rule makes the frame a slow one. */
static bool sp_is_cfa(Dwarf_Frame *frame, const struct arch *arch)
{
	Dwarf_Op mem[3], *ops;
	size_t n_ops;

	if (dwarf_frame_register(frame, (int)arch->sp, mem, &ops, &n_ops) != 0)
		return false;
	return n_ops == 0 || (n_ops == 2 && ops[0].atom == DW_OP_call_frame_cfa &&
			      ops[1].atom == DW_OP_stack_value);
}

static bool compact(Dwarf_Frame *frame, const struct arch *arch, struct unwind_rule *rule)
{
	uint8_t ra_slot;

	if (!compact_cfa(frame, arch, rule) || !sp_is_cfa(frame, arch) ||
	    !compact_slot(frame, arch->pc, &ra_slot) || ra_slot == UNWIND_SAME)
		return false;
	rule->ra_slot = ra_slot;
	for (unsigned i = 0; i < arch->n_saved; i++) {
		if (!compact_slot(frame, arch->saved[i], &rule->slots[i]))
			return false;
		if (rule->slots[i] != UNWIND_SAME)
			rule->saved |= 1U << i;
	}
	return true;
}

static Dwarf_Frame *find_debug_frame(struct module *module, uint64_t pc, uint64_t *ret_bias)
{
	Dwarf_CFI *cfi = module_debug_cfi(module, ret_bias);
	Dwarf_Frame *frame;

	return cfi && dwarf_cfi_addrframe(cfi, pc - *ret_bias, &frame) == 0 ? frame : NULL;
}

static Dwarf_Frame *find_frame(struct module *module, uint64_t pc, uint64_t *ret_bias)
{
	Dwarf_CFI *cfi = module_eh_cfi(module, ret_bias);
	Dwarf_Frame *frame;

	if (cfi && dwarf_cfi_addrframe(cfi, pc - *ret_bias, &frame) == 0)
		return frame;
	return find_debug_frame(module, pc, ret_bias);
}

static void make(Dwarf_Frame *frame, uint64_t bias, const struct arch *arch,
		 struct unwind_rule *ret_rule, struct unwind_slow *ret_slow)
{
	struct unwind_rule rule = {};
	bool signal = false;

	if (!frame || dwarf_frame_info(frame, NULL, NULL, &signal) < 0) {
		free(frame);
		*ret_rule = (struct unwind_rule){.kind = UNWIND_NO_CFI};
		return;
	}
	if (!signal && compact(frame, arch, &rule)) {
		rule.kind = rule.ra_slot == UNWIND_UNDEFINED ? UNWIND_ROOT : UNWIND_COMPACT;
		free(frame);
	} else {
		rule.kind = UNWIND_SLOW;
		*ret_slow = (struct unwind_slow){frame, bias};
	}
	rule.signal = signal;
	*ret_rule = rule;
}

void unwind_rule_make(struct module *module, const struct arch *arch, uint64_t pc,
		      struct unwind_rule *ret_rule, struct unwind_slow *ret_slow)
{
	uint64_t bias = 0;
	Dwarf_Frame *frame = find_frame(module, pc, &bias);

	make(frame, bias, arch, ret_rule, ret_slow);
}

void unwind_rule_make_debug(struct module *module, const struct arch *arch, uint64_t pc,
			    struct unwind_rule *ret_rule, struct unwind_slow *ret_slow)
{
	uint64_t bias = 0;
	Dwarf_Frame *frame = find_debug_frame(module, pc, &bias);

	make(frame, bias, arch, ret_rule, ret_slow);
}

bool unwind_rule_row_start(struct module *module, uint64_t pc, uint64_t *ret_start)
{
	Dwarf_Addr start;
	uint64_t bias = 0;
	Dwarf_Frame *frame = find_frame(module, pc, &bias);
	bool known = frame && dwarf_frame_info(frame, &start, NULL, NULL) >= 0;

	free(frame);
	if (known)
		*ret_start = start + bias;
	return known;
}
