/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DWARF 5, sections 2.5 and 6.4.2; operand layout as libdw decodes it (Dwarf_Op.number, .number2).
 */
#include "unwind/unwind_expr.h"

#include <dwarf.h>
#include <stdbool.h>

#define MAX_DEPTH 32
#define MAX_STEPS 256 /* branches can loop */

struct machine {
	const struct arch_regs *regs;
	const struct snapshot *snapshot;
	uint64_t cfa;
	bool has_cfa;
	uint64_t *need;
	unsigned depth;
	uint64_t stack[MAX_DEPTH];
};

static enum unwind_expr push(struct machine *m, uint64_t value)
{
	if (m->depth == MAX_DEPTH)
		return UNWIND_EXPR_BAD;
	m->stack[m->depth++] = value;
	return UNWIND_EXPR_OK;
}

static enum unwind_expr push_register(struct machine *m, uint64_t reg, uint64_t offset)
{
	if (reg >= ARCH_MAX_REGS || !arch_reg_known(m->regs, (unsigned)reg))
		return UNWIND_EXPR_REGISTER;
	return push(m, m->regs->values[reg] + offset);
}

static enum unwind_expr load(struct machine *m, uint64_t addr, unsigned size, uint64_t *ret_value)
{
	uint64_t word;

	if (size < 1 || size > 8)
		return UNWIND_EXPR_BAD;
	if (!snapshot_word(m->snapshot, addr, &word)) {
		*m->need = addr;
		return UNWIND_EXPR_MEMORY;
	}
	*ret_value = size == 8 ? word : word & ((1ULL << 8 * size) - 1);
	return UNWIND_EXPR_OK;
}

static enum unwind_expr unary(struct machine *m, const Dwarf_Op *op)
{
	uint64_t *a = &m->stack[m->depth - 1];

	if (m->depth < 1)
		return UNWIND_EXPR_BAD;
	switch (op->atom) {
	case DW_OP_deref:
		return load(m, *a, 8, a);
	case DW_OP_deref_size:
		return load(m, *a, (unsigned)op->number, a);
	case DW_OP_plus_uconst:
		*a += op->number;
		break;
	case DW_OP_neg:
		*a = -*a;
		break;
	case DW_OP_not:
		*a = ~*a;
		break;
	case DW_OP_abs:
		*a = (int64_t)*a < 0 ? -*a : *a;
		break;
	case DW_OP_dup:
		return push(m, *a);
	case DW_OP_drop:
		m->depth--;
		break;
	case DW_OP_pick:
		if (op->number >= m->depth)
			return UNWIND_EXPR_BAD;
		return push(m, m->stack[m->depth - 1 - op->number]);
	default:
		return UNWIND_EXPR_BAD;
	}
	return UNWIND_EXPR_OK;
}

static enum unwind_expr binary(struct machine *m, unsigned atom)
{
	uint64_t a, b, value;

	if (m->depth < 2)
		return UNWIND_EXPR_BAD;
	b = m->stack[m->depth - 1];
	a = m->stack[m->depth - 2];
	switch (atom) {
	case DW_OP_plus:
		value = a + b;
		break;
	case DW_OP_minus:
		value = a - b;
		break;
	case DW_OP_mul:
		value = a * b;
		break;
	case DW_OP_and:
		value = a & b;
		break;
	case DW_OP_or:
		value = a | b;
		break;
	case DW_OP_xor:
		value = a ^ b;
		break;
	case DW_OP_shl:
		value = b < 64 ? a << b : 0;
		break;
	case DW_OP_shr:
		value = b < 64 ? a >> b : 0;
		break;
	case DW_OP_shra:
		value = (uint64_t)((int64_t)a >> (b < 64 ? b : 63));
		break;
	case DW_OP_div:
		if (b == 0 || (b == UINT64_MAX && a == 1ULL << 63))
			return UNWIND_EXPR_BAD;
		value = (uint64_t)((int64_t)a / (int64_t)b);
		break;
	case DW_OP_mod:
		if (b == 0)
			return UNWIND_EXPR_BAD;
		value = a % b;
		break;
	case DW_OP_eq:
		value = a == b;
		break;
	case DW_OP_ne:
		value = a != b;
		break;
	case DW_OP_ge:
		value = (int64_t)a >= (int64_t)b;
		break;
	case DW_OP_gt:
		value = (int64_t)a > (int64_t)b;
		break;
	case DW_OP_le:
		value = (int64_t)a <= (int64_t)b;
		break;
	case DW_OP_lt:
		value = (int64_t)a < (int64_t)b;
		break;
	case DW_OP_swap:
		m->stack[m->depth - 2] = b;
		m->stack[m->depth - 1] = a;
		return UNWIND_EXPR_OK;
	case DW_OP_over:
		return push(m, a);
	default:
		return UNWIND_EXPR_BAD;
	}
	m->stack[--m->depth - 1] = value;
	return UNWIND_EXPR_OK;
}

static enum unwind_expr operate(struct machine *m, const Dwarf_Op *op)
{
	unsigned atom = op->atom;

	if (atom >= DW_OP_lit0 && atom <= DW_OP_lit31)
		return push(m, atom - DW_OP_lit0);
	if (atom >= DW_OP_breg0 && atom <= DW_OP_breg31)
		return push_register(m, atom - DW_OP_breg0, op->number);
	if (atom >= DW_OP_reg0 && atom <= DW_OP_reg31)
		return push_register(m, atom - DW_OP_reg0, 0);
	switch (atom) {
	case DW_OP_bregx:
		return push_register(m, op->number, op->number2);
	case DW_OP_regx:
		return push_register(m, op->number, 0);
	case DW_OP_addr:
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push(m, op->number);
	case DW_OP_call_frame_cfa:
		return m->has_cfa ? push(m, m->cfa) : UNWIND_EXPR_BAD;
	case DW_OP_nop:
		return UNWIND_EXPR_OK;
	case DW_OP_deref:
	case DW_OP_deref_size:
	case DW_OP_plus_uconst:
	case DW_OP_neg:
	case DW_OP_not:
	case DW_OP_abs:
	case DW_OP_dup:
	case DW_OP_drop:
	case DW_OP_pick:
		return unary(m, op);
	default:
		return binary(m, atom);
	}
}

/* Index of the operation at a byte offset of the expression, or n_ops. */
static size_t op_at(const Dwarf_Op *ops, size_t n_ops, uint64_t offset)
{
	size_t i;

	for (i = 0; i < n_ops && ops[i].offset != offset; i++)
		;
	return i;
}

/* Runs to the end, or to a DW_OP_stack_value as last operation, which *ret_is_value tells. */
static enum unwind_expr run(struct machine *m, const Dwarf_Op *ops, size_t n_ops,
			    bool *ret_is_value)
{
	enum unwind_expr r;
	unsigned steps = 0;

	*ret_is_value = false;
	for (size_t i = 0; i < n_ops; i++) {
		const Dwarf_Op *op = &ops[i];

		if (++steps > MAX_STEPS)
			return UNWIND_EXPR_BAD;
		if (op->atom == DW_OP_stack_value) {
			*ret_is_value = true;
			break;
		}
		if (op->atom == DW_OP_skip || op->atom == DW_OP_bra) {
			/* The operand counts from behind this operation, which takes 3 bytes. */
			bool jump = op->atom == DW_OP_skip;

			if (op->atom == DW_OP_bra) {
				if (m->depth < 1)
					return UNWIND_EXPR_BAD;
				jump = m->stack[--m->depth] != 0;
			}
			if (!jump)
				continue;
			i = op_at(ops, n_ops, op->offset + 3 + (uint64_t)(int16_t)op->number);
			if (i == n_ops)
				return UNWIND_EXPR_BAD;
			i--;
			continue;
		}
		r = operate(m, op);
		if (r != UNWIND_EXPR_OK)
			return r;
	}
	return m->depth ? UNWIND_EXPR_OK : UNWIND_EXPR_BAD;
}

enum unwind_expr unwind_expr_cfa(const struct unwind_slow *slow, const struct arch_regs *regs,
				 const struct snapshot *snapshot, uint64_t *ret_cfa,
				 uint64_t *ret_need)
{
	struct machine m = {.regs = regs, .snapshot = snapshot, .need = ret_need};
	enum unwind_expr r;
	bool is_value;
	Dwarf_Op *ops;
	size_t n_ops;

	if (dwarf_frame_cfa(slow->frame, &ops, &n_ops) != 0 || n_ops == 0)
		return UNWIND_EXPR_BAD;
	r = run(&m, ops, n_ops, &is_value);
	if (r == UNWIND_EXPR_OK)
		*ret_cfa = m.stack[m.depth - 1];
	return r;
}

enum unwind_expr unwind_expr_register(const struct unwind_slow *slow, unsigned reg, uint64_t cfa,
				      const struct arch_regs *regs, const struct snapshot *snapshot,
				      uint64_t *ret_value, uint64_t *ret_need)
{
	struct machine m = {
		.regs = regs, .snapshot = snapshot, .cfa = cfa, .has_cfa = true, .need = ret_need};
	Dwarf_Op mem[3], *ops;
	enum unwind_expr r;
	bool is_value;
	size_t n_ops;

	if (dwarf_frame_register(slow->frame, (int)reg, mem, &ops, &n_ops) != 0)
		return UNWIND_EXPR_BAD;
	if (n_ops == 0 && ops == mem)
		return UNWIND_EXPR_UNDEFINED;
	if (n_ops == 0) {
		if (!arch_reg_known(regs, reg))
			return UNWIND_EXPR_UNDEFINED;
		*ret_value = regs->values[reg];
		return UNWIND_EXPR_OK;
	}
	/* "In register X": the register itself is the value, not an address. */
	if (n_ops == 1 && (ops[0].atom == DW_OP_regx ||
			   (ops[0].atom >= DW_OP_reg0 && ops[0].atom <= DW_OP_reg31))) {
		r = run(&m, ops, n_ops, &is_value);
		is_value = true;
	} else {
		r = run(&m, ops, n_ops, &is_value);
	}
	if (r != UNWIND_EXPR_OK)
		return r;
	if (is_value) {
		*ret_value = m.stack[m.depth - 1];
		return UNWIND_EXPR_OK;
	}
	return load(&m, m.stack[m.depth - 1], 8, ret_value);
}
