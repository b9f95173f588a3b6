/* SPDX-License-Identifier: Apache-2.0 */
/* Between the agent's C and its assembly. */
#pragma once

#include <stddef.h>

#include "agent/agent_wire.h"

/* DWARF numbers of what the agent looks at (System V psABI, figures 3.4 and 3.36). */
#define AGENT_REG_ARG0 5 /* rdi */
#define AGENT_REG_ARG1 4 /* rsi */
#define AGENT_REG_ARG2 1 /* rdx */
#define AGENT_REG_ARG3 2 /* rcx */
#define AGENT_REG_ARG4 8
#define AGENT_REG_ARG5 9
#define AGENT_REG_SP 7
#define AGENT_REG_PC 16

/* Words of arguments that may be on the stack. */
#define AGENT_STACK_ARGS 16

/* Else the compiler goes through a table of addresses, which would have to be relocated. */
#pragma GCC visibility push(hidden)

/** A call on its way, on the stack of its thread; the assembly knows the layout. */
struct agent_call {
	uint64_t args[AGENT_STACK_ARGS]; /* where the original looks for them, if called by us */
	uint64_t regs[AGENT_N_REGS];     /* at the first instruction of the original */
	uint64_t owner;                  /* thread pointer */
	const struct agent_entry *entry;
	uint64_t counted; /* its size was taken off the countdown already */
	uint64_t result, result2;
	struct agent_wire *wire;
	uint64_t size;
	struct agent_live old;   /* realloc(3): what was there, … */
	uint64_t moved, sampled; /* … if it was a sampled one */
	/* Of AGENT_CALL. */
	uint64_t seed; /* tells the wire from others at the same address */
	struct agent_live taken[AGENT_MAX_ACTIONS]; /* by action; addr 0: nothing */
	uint64_t pad;
	uint64_t saved[6]; /* registers of the caller, where agent_table.frame has them */
};

_Static_assert(sizeof(struct agent_call) % 16 == 8, "the stack stays aligned");
_Static_assert(offsetof(struct agent_call, regs) == 128, "see the assembly");
_Static_assert(offsetof(struct agent_call, result2) == 296, "see the assembly");
_Static_assert(offsetof(struct agent_call, saved) == 472, "see the assembly");
_Static_assert(sizeof(struct agent_call) == 520, "see the assembly");

/** The first page of the code area. */
extern const struct agent_table agent_table;

/** What agent_before() returns. */
enum agent_way {
	AGENT_STRAIGHT, /* the original is jumped to */
	AGENT_CALLED,   /* it is called: the result is needed */
	AGENT_BY_FRAME, /* likewise, and returns to agent_table.frame */
};

/** In which way is the original to be called? */
int agent_before(struct agent_call *call);

/** Has the original to be called after all, for the sake of how it fails? */
int agent_after(struct agent_call *call);

/** The wire, or NULL. Who has read it without counting in `inside` must read it again. */
struct agent_wire *agent_wire_now(void);

/** Takes an address out of those that live; false when it was not among them. */
int agent_live_take(struct agent_wire *wire, uint64_t addr, struct agent_live *ret_was);

/** Puts it among them; false when there is no place. */
int agent_live_put(struct agent_wire *wire, uint64_t addr, uint64_t size, uint64_t id);

/** Fills a place in samples[]. action: of a custom profile, or NULL. */
void agent_put_sample(struct agent_wire *wire, const struct agent_call *call,
		      const struct agent_action *action, uint64_t size, uint64_t id);

/** The two for AGENT_CALL and AGENT_PROBE: see agent_before() and agent_after(). Begins with one
 * that counts in `inside`, and does not leave it so. */
int agent_custom_before(struct agent_wire *wire, struct agent_call *call);
void agent_custom_after(struct agent_call *call);

/** Frames that a sample is to be without. */
uint32_t agent_skip(const struct agent_call *call, const struct agent_action *action);

/** Copies memory of this process, as far as it is mapped (process_vm_readv(2) on itself); returns
 * the bytes copied. */
uint64_t agent_copy(uint64_t pid, void *to, uint64_t from, uint64_t size);

/** getpid(2). */
uint64_t agent_pid(void);

#pragma GCC visibility pop
