/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot → trace, by call-frame information.
 *
 * Input is the record and the module map, never a process. A rule per pc is made once by libdw and
 * kept in a compact form; stepping is a hash probe and two or three loads. Where a pc has no CFI
 * the frame pointer is followed if it holds, and counted. Belongs to the thread that owns the
 * module map.
 */
#pragma once

#include <stdint.h>

#include "arch/arch.h"
#include "base/trace.h"
#include "module/module.h"
#include "snapshot/snapshot.h"

struct unwinder;

/** Counters since the unwinder was made. */
struct unwind_stats {
	uint64_t frames;     /* all frames produced */
	uint64_t fp_frames;  /* callers found by the frame pointer, for want of CFI */
	uint64_t rules;      /* rules made by libdw */
	uint64_t slow_steps; /* steps that evaluated DWARF expressions */
	uint64_t found_fps;  /* frame pointers found without a stop, see unwind_fp.h */
};

/** Adds counters to others. */
void unwind_stats_add(struct unwind_stats *sum, const struct unwind_stats *stats);

/** Makes an unwinder; map and arch are borrowed. Returns 0 or -ENOMEM. */
int unwinder_new(struct module_map *map, const struct arch *arch, struct unwinder **ret_unwinder);
struct unwinder *unwinder_free(struct unwinder *unwinder);

/** Forgets all rules: call when a mapping was replaced. */
void unwinder_forget(struct unwinder *unwinder);

/**
 * Unwinds a SNAPSHOT_STACK record.
 *
 * @param ret_trace	leaf first; at least one frame
 * @param ret_top	target address behind the last stack word that was needed, 0 when none was:
 *			how far this thread's stack has to be copied for a complete trace
 */
void unwinder_run(struct unwinder *unwinder, const struct snapshot *snapshot,
		  struct trace *ret_trace, uint64_t *ret_top);

/** Notes a number for a lookup pc, for the frames of traces to come: the caller's own name for it,
 * so that it need not search. Forgotten with the rules. */
void unwinder_tag(struct unwinder *unwinder, uint64_t lookup_pc, uint32_t tag);

const struct unwind_stats *unwinder_stats(const struct unwinder *unwinder);
