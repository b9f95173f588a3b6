/* SPDX-License-Identifier: Apache-2.0 */
/* DWARF expressions over a snapshot: what call-frame rules need beyond the compact form. */
#pragma once

#include <elfutils/libdw.h>

#include "arch/arch.h"
#include "snapshot/snapshot.h"
#include "unwind/unwind_rule.h"

enum unwind_expr {
	UNWIND_EXPR_OK = 0,
	UNWIND_EXPR_UNDEFINED = 1, /* the register has no value in the caller */
	UNWIND_EXPR_MEMORY,        /* memory that is not in the snapshot */
	UNWIND_EXPR_REGISTER,      /* a register that is not known */
	UNWIND_EXPR_BAD,           /* malformed, or an operation that call-frame rules cannot use */
};

/**
 * The caller's CFA by a libdw frame. regs are those of the frame itself.
 *
 * @param ret_need	on UNWIND_EXPR_MEMORY the stack address that was missing, else unchanged
 */
enum unwind_expr unwind_expr_cfa(const struct unwind_slow *slow, const struct arch_regs *regs,
				 const struct snapshot *snapshot, uint64_t *ret_cfa,
				 uint64_t *ret_need);

/** One register of the caller by a libdw frame; cfa from unwind_expr_cfa(). */
enum unwind_expr unwind_expr_register(const struct unwind_slow *slow, unsigned reg, uint64_t cfa,
				      const struct arch_regs *regs, const struct snapshot *snapshot,
				      uint64_t *ret_value, uint64_t *ret_need);
