/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trace: the frames of one stack, leaf first, and why the list ends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* A garbage collector's marking was met with 5000. */
#define TRACE_MAX_FRAMES 16384

enum trace_end {
	TRACE_ROOT,        /* the CFI says that nothing called this frame: complete */
	TRACE_DEPTH,       /* TRACE_MAX_FRAMES reached */
	TRACE_CUT,         /* the caller's frame lies beyond the stack bytes that were copied */
	TRACE_NO_CFI,      /* no unwind rule for a pc, and no frame pointer that holds */
	TRACE_BAD_MEMORY,  /* a rule needs memory or a register that is not there */
	TRACE_NO_REGISTER, /* a rule needs a register that is not known without a stop */
	TRACE_LOOP,        /* the stack pointer did not move up */
	TRACE_ENDS,        /* not an end: how many there are */
};

struct frame {
	uint64_t pc;  /* as found: a return address unless exact */
	uint32_t tag; /* what unwinder_tag() noted for its lookup pc; 0: nothing */
	bool exact;   /* the thread was at pc itself: the leaf, or interrupted by a signal */
};

struct trace {
	enum trace_end end;
	uint32_t n_frames;
	struct frame frames[TRACE_MAX_FRAMES];
};

/**
 * The address to look a frame up by. A return address is the instruction behind the call, which
 * may belong to the next line or function; the byte before it belongs to the call. This is the
 * only place that subtracts it.
 */
static inline uint64_t frame_lookup_pc(const struct frame *frame)
{
	return frame->exact ? frame->pc : frame->pc - 1;
}

/** One word for an end: "root", "depth", "cut", "no-cfi", "bad-memory", "no-register",
 * "loop". */
const char *trace_end_name(enum trace_end end);
