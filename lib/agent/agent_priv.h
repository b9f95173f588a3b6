/* SPDX-License-Identifier: Apache-2.0 */
/* Between the agent's C and its assembly. */
#pragma once

#include "agent/agent_wire.h"

/* DWARF numbers of what the agent looks at (System V psABI, figures 3.4 and 3.36). */
#define AGENT_REG_ARG0 5 /* rdi */
#define AGENT_REG_ARG1 4 /* rsi */
#define AGENT_REG_ARG2 1 /* rdx */
#define AGENT_REG_SP 7

/* Else the compiler goes through a table of addresses, which would have to be relocated. */
#pragma GCC visibility push(hidden)

/** A call on its way, on the stack of its thread; the assembly knows the layout. */
struct agent_call {
	uint64_t regs[AGENT_N_REGS]; /* at the first instruction of the original */
	uint64_t owner;              /* thread pointer */
	const struct agent_entry *entry;
	uint64_t counted; /* its size was taken off the countdown already */
	uint64_t result;
	struct agent_wire *wire;
	uint64_t size;
	struct agent_live old;   /* realloc(3): what was there, … */
	uint64_t moved, sampled; /* … if it was a sampled one */
	uint64_t pad;            /* keeps the stack aligned */
};

_Static_assert(sizeof(struct agent_call) % 16 == 8, "the stack stays aligned");
_Static_assert(sizeof(struct agent_call) == 232, "see the assembly");

/** The first page of the code area. */
extern const struct agent_table agent_table;

/** Has it to be called in a way that tells the result? */
int agent_before(struct agent_call *call);

/** Has the original to be called after all, for the sake of how it fails? */
int agent_after(struct agent_call *call);

/** Copies memory of this process, as far as it is mapped (process_vm_readv(2) on itself); returns
 * the bytes copied. */
uint64_t agent_copy(uint64_t pid, void *to, uint64_t from, uint64_t size);

#pragma GCC visibility pop
