/* SPDX-License-Identifier: Apache-2.0 */
/* What all that looks at threads here has in common: the sampler, and the census. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch/arch.h"
#include "process/process.h"
#include "tracee/tracee.h"

/* --- source_stack.c --- */

/** Bounds of the stack that holds sp: to be read from sp - red zone on. False when not known. */
bool source_stack_bounds(const struct process_maps *maps, uint64_t sp, uint64_t *ret_start,
			 uint64_t *ret_end);

/* --- source_mend.c --- */

struct source_mend {
	enum tracee_repair repair;
	bool cut_short; /* a transfer came back with less because of the stop */
};

/**
 * Undoes what the stop of a thread did to its system call, as far as that can be undone. To be
 * called first of all: if we are killed before it, the target sees EINTR.
 *
 * @param user	the block that tracee_registers() read
 */
struct source_mend source_mend(struct tracee_set *set, pid_t tid, const struct arch *arch,
			       const void *user, struct process *process,
			       const struct process_maps *maps);

/* --- source_priority.c --- */

/** Gets this thread onto a CPU at once when it wakes, as far as it is allowed to. Returns whether
 * it is a real-time one now. */
bool source_raise_priority(void);
