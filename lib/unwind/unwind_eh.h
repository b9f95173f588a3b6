/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules out of .eh_frame, read here: a tenth of what libdw takes for them.
 *
 * Only what compilers write for ordinary functions: found by the table of .eh_frame_hdr, a CFA of
 * register + offset, registers saved at the CFA + offset (Linux Standard Base, Core, 10.6; DWARF 5,
 * 6.4). Everything else is left to libdw, see unwind_rule.h.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "module/module.h"
#include "unwind/unwind_rule.h"

/** The unwind tables of one module. */
struct unwind_eh {
	struct module *module;
	uint64_t bias;
	uint64_t hdr_svma;    /* of .eh_frame_hdr */
	const uint8_t *table; /* its entries, sorted; NULL: none that can be read here */
	uint32_t n;
};

/** Finds the tables of a module; borrowed from it. */
void unwind_eh_init(struct unwind_eh *eh, struct module *module);

enum unwind_eh_result {
	UNWIND_EH_RULE = 1,
	UNWIND_EH_NONE, /* .eh_frame has nothing for that pc */
	UNWIND_EH_ASK,  /* it takes libdw to tell */
};

/**
 * Makes the rule for a pc.
 *
 * @param pc	target address, a lookup pc
 * @param ret_rule	with UNWIND_EH_RULE only
 */
enum unwind_eh_result unwind_eh_rule(const struct unwind_eh *eh, const struct arch *arch,
				     uint64_t pc, struct unwind_rule *ret_rule);
