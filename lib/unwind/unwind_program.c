/* SPDX-License-Identifier: Apache-2.0 */
#include "unwind/unwind_program.h"

#include <dwarf.h>

#define MAX_REMEMBERED 8

enum how {
	UNSPECIFIED,
	SAME,
	UNDEFINED,
	AT_CFA, /* saved at CFA + offset */
	OTHERWISE,
};

struct row {
	uint64_t cfa_reg;
	int64_t cfa_offset;
	bool cfa_otherwise;
	struct {
		enum how how;
		int64_t offset;
	} regs[ARCH_MAX_REGS];
};

struct machine {
	const struct unwind_cie *cie;
	struct row row, initial, remembered[MAX_REMEMBERED];
	unsigned n_remembered;
	uint64_t at, until; /* svma */
};

static void set_reg(struct machine *m, uint64_t reg, enum how how, int64_t offset)
{
	if (reg >= ARCH_MAX_REGS)
		return;
	m->row.regs[reg].how = how;
	m->row.regs[reg].offset = offset;
}

static void restore_reg(struct machine *m, uint64_t reg)
{
	if (reg < ARCH_MAX_REGS)
		m->row.regs[reg] = m->initial.regs[reg];
}

static void set_cfa(struct machine *m, uint64_t reg, int64_t offset)
{
	m->row.cfa_reg = reg;
	m->row.cfa_offset = offset;
	m->row.cfa_otherwise = false;
}

/* One instruction that is told by its whole first byte. False when it is not known here. */
static bool execute_extended(struct machine *m, uint8_t op, struct bytes *b)
{
	int64_t data_align = m->cie->data_align;
	uint64_t reg;

	switch (op) {
	case DW_CFA_nop:
		return true;
	case DW_CFA_advance_loc1:
		m->at += bytes_fixed(b, 1) * m->cie->code_align;
		return true;
	case DW_CFA_advance_loc2:
		m->at += bytes_fixed(b, 2) * m->cie->code_align;
		return true;
	case DW_CFA_advance_loc4:
		m->at += bytes_fixed(b, 4) * m->cie->code_align;
		return true;
	case DW_CFA_offset_extended:
		reg = bytes_uleb(b);
		set_reg(m, reg, AT_CFA, (int64_t)bytes_uleb(b) * data_align);
		return true;
	case DW_CFA_offset_extended_sf:
		reg = bytes_uleb(b);
		set_reg(m, reg, AT_CFA, bytes_sleb(b) * data_align);
		return true;
	case DW_CFA_restore_extended:
		restore_reg(m, bytes_uleb(b));
		return true;
	case DW_CFA_undefined:
		set_reg(m, bytes_uleb(b), UNDEFINED, 0);
		return true;
	case DW_CFA_same_value:
		set_reg(m, bytes_uleb(b), SAME, 0);
		return true;
	case DW_CFA_def_cfa:
		reg = bytes_uleb(b);
		set_cfa(m, reg, (int64_t)bytes_uleb(b));
		return true;
	case DW_CFA_def_cfa_sf:
		reg = bytes_uleb(b);
		set_cfa(m, reg, bytes_sleb(b) * data_align);
		return true;
	case DW_CFA_def_cfa_register:
		m->row.cfa_reg = bytes_uleb(b);
		return true;
	case DW_CFA_def_cfa_offset:
		m->row.cfa_offset = (int64_t)bytes_uleb(b);
		return true;
	case DW_CFA_def_cfa_offset_sf:
		m->row.cfa_offset = bytes_sleb(b) * data_align;
		return true;
	case DW_CFA_def_cfa_expression:
		bytes_skip(b, bytes_uleb(b));
		m->row.cfa_otherwise = true;
		return true;
	case DW_CFA_register:
		reg = bytes_uleb(b);
		(void)bytes_uleb(b);
		set_reg(m, reg, OTHERWISE, 0);
		return true;
	case DW_CFA_expression:
	case DW_CFA_val_expression:
		set_reg(m, bytes_uleb(b), OTHERWISE, 0);
		bytes_skip(b, bytes_uleb(b));
		return true;
	case DW_CFA_remember_state:
		if (m->n_remembered == MAX_REMEMBERED)
			return false;
		m->remembered[m->n_remembered++] = m->row;
		return true;
	case DW_CFA_restore_state:
		if (!m->n_remembered)
			return false;
		m->row = m->remembered[--m->n_remembered];
		return true;
	case DW_CFA_GNU_args_size:
		(void)bytes_uleb(b);
		return true;
	}
	return false;
}

/* Up to the row that holds m->until. */
static bool execute(struct machine *m, struct bytes b)
{
	while (!bytes_at_end(&b)) {
		uint8_t op = (uint8_t)bytes_fixed(&b, 1), low = op & 0x3f;

		switch (op & 0xc0) {
		case DW_CFA_advance_loc:
			m->at += low * m->cie->code_align;
			break;
		case DW_CFA_offset:
			set_reg(m, low, AT_CFA, (int64_t)bytes_uleb(&b) * m->cie->data_align);
			break;
		case DW_CFA_restore:
			restore_reg(m, low);
			break;
		default:
			if (!execute_extended(m, op, &b))
				return false;
		}
		if (m->at > m->until)
			break;
	}
	return true;
}

static bool slot_of(const struct row *row, unsigned reg, uint8_t *ret_slot)
{
	int64_t offset = row->regs[reg].offset;

	switch (row->regs[reg].how) {
	case UNSPECIFIED:
	case SAME:
		*ret_slot = UNWIND_SAME;
		return true;
	case UNDEFINED:
		*ret_slot = UNWIND_UNDEFINED;
		return true;
	case AT_CFA:
		*ret_slot = (uint8_t)(-offset / 8);
		return offset < 0 && offset % 8 == 0 && offset >= -8 * 254;
	case OTHERWISE:
		break;
	}
	return false;
}

static bool compact(const struct row *row, const struct arch *arch, struct unwind_rule *ret_rule)
{
	struct unwind_rule rule = {};
	uint8_t slot;

	/* The psABI's rule for sp, that it is the CFA, holds only while there is no other. */
	if (row->cfa_otherwise || row->cfa_reg >= arch->n_regs ||
	    row->cfa_offset != (int32_t)row->cfa_offset || row->regs[arch->sp].how != UNSPECIFIED ||
	    !slot_of(row, arch->pc, &slot) || slot == UNWIND_SAME)
		return false;
	rule.kind = slot == UNWIND_UNDEFINED ? UNWIND_ROOT : UNWIND_COMPACT;
	rule.ra_slot = slot;
	rule.cfa_reg = (uint8_t)row->cfa_reg;
	rule.cfa_offset = (int32_t)row->cfa_offset;
	for (unsigned i = 0; i < arch->n_saved; i++) {
		if (!slot_of(row, arch->saved[i], &rule.slots[i]))
			return false;
		if (rule.slots[i] != UNWIND_SAME)
			rule.saved |= 1U << i;
	}
	*ret_rule = rule;
	return true;
}

bool unwind_program_run(const struct unwind_cie *cie, struct bytes instructions, uint64_t begin,
			uint64_t svma, const struct arch *arch, struct unwind_rule *ret_rule)
{
	struct machine m;

	m.cie = cie;
	m.n_remembered = 0;
	m.at = begin;
	m.until = svma;
	memset(&m.row, 0, sizeof(m.row));
	m.row.cfa_otherwise = true;
	if (!execute(&m, cie->initial))
		return false;
	m.initial = m.row;
	return execute(&m, instructions) && compact(&m.row, arch, ret_rule);
}
