/* SPDX-License-Identifier: Apache-2.0 */
/* Call-frame instructions (DWARF 5, 6.4.2) run up to one pc, as far as a compact rule can say it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/bytes.h"
#include "unwind/unwind_rule.h"

/** What a CIE says for its FDEs. */
struct unwind_cie {
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra_reg;
	uint8_t encoding; /* DW_EH_PE_* of pointers */
	bool augmented;   /* FDEs have augmentation data, too */
	struct bytes initial;
};

/**
 * Runs the initial instructions and those of an FDE.
 *
 * @param begin	the first address that the FDE is for …
 * @param svma	… and the one whose row is wanted
 * @return false when the row takes more than a compact rule, or an instruction is not known here
 */
bool unwind_program_run(const struct unwind_cie *cie, struct bytes instructions, uint64_t begin,
			uint64_t svma, const struct arch *arch, struct unwind_rule *ret_rule);
