/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The frame pointer of a thread whose registers are not known.
 *
 * Of a blocked thread the kernel tells pc and sp without a stop. Functions that keep their frame in
 * a register (unoptimized ones, and those built with frame pointers) have a CFA that hangs on it.
 * But where sp stands at a call follows from the prologue: after the instruction that sets the
 * frame pointer, constants are taken off sp; so the frame pointer is sp plus those.
 */
#pragma once

#include "arch/arch.h"
#include "base/map64.h"
#include "module/module.h"
#include "snapshot/snapshot.h"
#include "unwind/unwind_rule.h"

/** What is known of functions, by lookup pc; all zeroes at first. */
struct unwind_fp {
	struct map64 by_pc;
};

void unwind_fp_forget(struct unwind_fp *fp);
void unwind_fp_deinit(struct unwind_fp *fp);

/**
 * Finds the frame pointer of a frame with a compact rule whose CFA hangs on it.
 *
 * It is believed only if the word where the return address must lie points behind a call; if that
 * is a direct call, into this very function.
 *
 * @param pc		lookup pc of the frame
 * @param sp		of the frame, as it was at the call
 * @param map		for the module that the return address lies in
 * @param ret_fp	the frame pointer
 */
bool unwind_fp_find(struct unwind_fp *fp, struct module_map *map, const struct arch *arch,
		    const struct unwind_rule *rule, const struct snapshot *snapshot, uint64_t pc,
		    uint64_t sp, uint64_t *ret_fp);
