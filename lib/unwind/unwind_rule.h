/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rule for one pc: how to get the caller's registers.
 *
 * The compact form covers what compilers emit for ordinary code: CFA = register + constant,
 * registers saved at a constant place below the CFA. Everything else (PLT entries, signal frames,
 * realigned stacks) is kept as libdw's frame and evaluated by unwind_expr.c.
 */
#pragma once

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "module/module.h"

enum unwind_rule_kind {
	UNWIND_COMPACT,
	UNWIND_SLOW, /* needs the expressions of a struct unwind_slow */
	UNWIND_ROOT, /* the return address is undefined: no caller */
	UNWIND_NO_CFI,
};

#define UNWIND_MAX_SAVED 12
#define UNWIND_SAME 0 /* slot value: the register is as it was */
#define UNWIND_UNDEFINED 255

/** 20 bytes; slots count 8-byte words below the CFA, 1..254. */
struct unwind_rule {
	uint32_t kind : 3;
	uint32_t signal : 1; /* this frame was interrupted by a signal: its pc is exact */
	uint32_t saved : 12; /* bit i: slots[i] is not UNWIND_SAME */
	uint32_t cfa_reg : 8;
	uint32_t ra_slot : 8;
	int32_t cfa_offset; /* compact: added to cfa_reg; slow: index of the struct unwind_slow */
	uint8_t slots[UNWIND_MAX_SAVED]; /* in the order of arch->saved */
};

/** A rule in libdw's terms. */
struct unwind_slow {
	Dwarf_Frame *frame; /* malloc()ed by libdw */
	uint64_t bias;
};

/**
 * Makes the rule for a pc.
 *
 * @param pc		lookup address inside module
 * @param ret_rule	kind says what was found; UNWIND_SLOW leaves cfa_offset to the caller
 * @param ret_slow	set with UNWIND_SLOW only: the caller frees frame with free()
 */
void unwind_rule_make(struct module *module, const struct arch *arch, uint64_t pc,
		      struct unwind_rule *ret_rule, struct unwind_slow *ret_slow);

/** The same from .debug_frame alone, for a pc that .eh_frame has nothing for. */
void unwind_rule_make_debug(struct module *module, const struct arch *arch, uint64_t pc,
			    struct unwind_rule *ret_rule, struct unwind_slow *ret_slow);

/** The first pc of the row of call-frame information that holds pc; false when there is none. */
bool unwind_rule_row_start(struct module *module, uint64_t pc, uint64_t *ret_start);
