/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent as it is mapped into a target: one flat piece of code that runs wherever it lies. What
 * it does and does not do: agent.c; its memory: agent_wire.h.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/agent_wire.h"

/** Bytes of the code area, its table included; less than a multiple of AGENT_PAGE. */
extern const uint8_t agent_image[];
extern const size_t agent_image_size;

/** The same code as an ELF file, linked at address 0, with symbols and unwind tables: for cprof,
 * which finds the code in stacks. Never part of a target. */
extern const uint8_t agent_elf[];
extern const size_t agent_elf_size;

/** Offsets in the code area: the first of the stubs, which are 16 bytes apart, and what entries can
 * have as their handler, by where the size (or what is freed) is among the arguments. */
struct agent_places {
	uint32_t stubs;
	uint32_t alloc_arg0, alloc_arg1, alloc_arg2, alloc_args01;
	uint32_t realloc_arg1, realloc_args12;
	uint32_t free_arg0;
	uint32_t custom; /* of AGENT_CALL and AGENT_PROBE */
	uint32_t back;   /* the original of AGENT_PROBE: returns */
};
extern const struct agent_places agent_places;

#define AGENT_STUB_SIZE 16
