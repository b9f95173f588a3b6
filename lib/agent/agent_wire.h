/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent in the target and its reader in cprof share: the layout of two areas of the
 * target's memory. Includes nothing of ours.
 *
 *	code area	the agent's code, behind the table below. Not writable for the target; cprof
 *			writes it through /proc/PID/mem. Once mapped it stays.
 *	wire		struct agent_wire: what the agent writes while it counts. Private memory
 *			that a child gets zeroed (MADV_WIPEONFORK, madvise(2)), so `on` is 0 there.
 *
 * Also read by the assembler: what it needs comes first, as numbers.
 */
#pragma once

/* Offsets in struct agent_table, agent_entry, agent_wire and agent_slot. */
#define AGENT_TABLE_WIRE 16
#define AGENT_TABLE_FRAME 48
#define AGENT_TABLE_ENTRIES 64
#define AGENT_TABLE_SIZE 16384
#define AGENT_ENTRY_SIZE 64
#define AGENT_MAX_ENTRIES 255
#define AGENT_PAGE 4096
#define AGENT_WIRE_SLOTS 4096
#define AGENT_N_SLOTS 4096 /* a power of two */
#define AGENT_WIRE_FILTER (AGENT_WIRE_SLOTS + 64 * AGENT_N_SLOTS)
#define AGENT_FILTER_BITS 16
#define AGENT_SLOT_LEFT 8

/* First bytes of the code area; the number is that of this layout. */
#define AGENT_MAGIC "cprof agent 002"

/* Knuth's multiplicative hash: 2^64 divided by the golden ratio. The upper bits of the product are
 * used, which the lowest bits of an address move as well. */
#define AGENT_HASH 0x9e3779b97f4a7c15

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

/** Which argument holds the size. */
enum agent_size {
	AGENT_SIZE_ARG0,
	AGENT_SIZE_ARG1,
	AGENT_SIZE_ARG2,
	AGENT_SIZE_ARGS01, /* the product of two */
	AGENT_SIZE_ARGS12,
};

enum agent_kind {
	AGENT_ALLOC,
	AGENT_ALLOC_OUT, /* posix_memalign(3): 0 is success, the address goes where arg0 points */
	AGENT_REALLOC,
	AGENT_FREE,
	AGENT_CALL,  /* what its actions say */
	AGENT_PROBE, /* likewise; called by the program itself, as cprof/probe.h does */
};

/** What a call does to a custom profile. */
enum agent_what {
	AGENT_NOTHING,
	AGENT_ADD,
	AGENT_REMOVE,
	AGENT_COUNT, /* adds a number, for ever */
};

/** Where the key of an entry is. */
enum agent_key {
	AGENT_KEY_ARG,  /* an argument: known before the call, which may fail as it likes */
	AGENT_KEY_RET,  /* the result; 0 and -1 are failures; of an int: what is negative */
	AGENT_KEY_OUT,  /* the word that an argument points to, when the result is 0 */
	AGENT_KEY_PAIR, /* two ints there, as pipe(2) leaves them */
};

enum agent_flag {
	AGENT_INT = 1,        /* the lower 32 bits are the key */
	AGENT_MANY = 2,       /* adding a key again makes a second entry */
	AGENT_IF_ZERO = 4,    /* removed only if the result is 0 */
	AGENT_PERHAPS = 8,    /* there need not be an entry to be removed */
	AGENT_JOINABLE = 16,  /* not if a pthread_attr_t of glibc, argument 1, says detached */
	AGENT_IF_DUP = 32,    /* only if argument 1 is F_DUPFD or F_DUPFD_CLOEXEC of fcntl(2) */
	AGENT_NO_ORIGIN = 64, /* not if the text that argument 0 points to has a $, which
				 dlopen(3) replaces by where its caller is */
};

/** One thing that a call does. Arguments by their number, from 0 on. */
struct agent_action {
	uint8_t what;
	uint8_t profile; /* below AGENT_MAX_PROFILES */
	uint8_t key, key_arg;
	uint8_t size_arg; /* 1 + number of the argument with the size; 0: there is none */
	uint8_t skip_arg; /* likewise, frames to be left out */
	uint8_t flags;
	uint8_t pad;
};

#define AGENT_MAX_ACTIONS 4
#define AGENT_MAX_PROFILES 32
#define AGENT_MAX_ARGS 6

/** A wrapped function, as one of its implementations. Addresses are the target's. */
struct agent_entry {
	uint64_t original;
	uint64_t handler; /* where its stub jumps to, in the code area */
	uint64_t sampled; /* called when the allocation is sampled: the original, or for operator
			     new the form that returns NULL instead of throwing through our frame */
	uint32_t kind, size;
	struct agent_action actions[AGENT_MAX_ACTIONS];
};

struct agent_table {
	char magic[16];
	uint64_t wire; /* address, 0: every call goes straight to its original */
	uint32_t n_entries, pad;
	/* The wire that is mapped, used or not, and how much of its beginning: for the next cprof,
	 * if this one is killed before it has unmapped it. */
	uint64_t mapped, mapped_size;
	/* Where calls whose result is needed return to, 0: to the agent itself. It is in a function
	 * of the dynamic linker, so that who unwinds, as exceptions and pthread_cancel(3) do, finds
	 * call-frame information: those registers are where that says. What stands there is a call
	 * through a preserved register, which leads back to the agent. */
	uint64_t frame;
	uint64_t reserved;
	struct agent_entry entries[AGENT_MAX_ENTRIES];
};

/** The countdown of one thread, found by its thread pointer. */
struct agent_slot {
	uint64_t owner; /* thread pointer, 0: nobody yet */
	int64_t left;   /* bytes until the next sample */
	uint64_t random;
	uint64_t pad[5];
};

/** An allocation that was sampled and is not freed yet, or an entry of a custom profile. */
struct agent_live {
	uint64_t addr; /* 0: never used; AGENT_LIVE_FREED, AGENT_LIVE_BUSY; else its address, or
			  agent_live_key() */
	uint64_t size; /* bytes asked for */
	uint64_t id;   /* of its sample, from 1 on */
};

#define AGENT_LIVE_FREED 1
#define AGENT_LIVE_BUSY 2
#define AGENT_N_LIVE 65536 /* a power of two */
#define AGENT_LIVE_PROBES 32
#define AGENT_KEY_BITS 56

enum agent_state {
	AGENT_SAMPLE_FREE,
	AGENT_SAMPLE_BUSY,  /* being written */
	AGENT_SAMPLE_READY, /* the reader's, who makes it FREE */
};

#define AGENT_N_REGS 17 /* by DWARF number, as in struct arch_regs */
#define AGENT_STACK_MAX 32256

/** The registers of a sampled call at its first instruction, and its stack from there on. */
struct agent_sample {
	uint64_t id, size;
	uint16_t profile; /* 1 + number of a custom one; 0: an allocation */
	uint16_t what;    /* of a custom one, AGENT_ADD or AGENT_COUNT */
	uint32_t skip;    /* frames to be left out at the leaf */
	uint64_t regs[AGENT_N_REGS];
	uint64_t n_bytes;
	uint8_t bytes[AGENT_STACK_MAX];
};

#define AGENT_N_SAMPLES 160

/** Of one custom profile, by atomic additions. */
struct agent_profile {
	uint64_t counted;  /* sum of AGENT_COUNT */
	uint64_t added;    /* entries */
	uint64_t twice;    /* of them, those whose key had an entry, which they replaced */
	uint64_t unknown;  /* removed although there was no entry */
	uint64_t not_live; /* entries without a place in live[] */
	uint64_t no_stack; /* … in samples[] */
};

/** Samples that found no place in samples[], of sizes that are about the same. */
struct agent_lost {
	uint64_t count, bytes;
};

#define AGENT_N_LOST 512 /* eight classes from each power of two to the next */

/** The first page of the wire, as far as it is used. */
struct agent_head {
	uint64_t on; /* 1; 0 in a child of fork(2) */
	uint64_t rate;
	uint64_t seed;
	uint64_t pid; /* in the target's own pid namespace */
	/* Counters, by atomic additions on the slow path only. */
	uint64_t n_samples;  /* ids given out */
	uint64_t n_no_room;  /* of them without a place in samples[] */
	uint64_t n_not_live; /* … without a place in live[] */
	uint64_t n_shared;   /* times that a thread found no slot of its own */
	uint64_t inside;     /* calls that still use the wire */
	struct agent_profile profiles[AGENT_MAX_PROFILES];
	uint32_t states[AGENT_N_SAMPLES];
};

struct agent_wire {
	struct agent_head head;
	uint8_t pad[AGENT_WIRE_SLOTS - sizeof(struct agent_head)];
	struct agent_slot slots[AGENT_N_SLOTS];
	/* How many live addresses have this hash; 255: that many or more, for ever. */
	uint8_t filter[1 << AGENT_FILTER_BITS];
	struct agent_live live[AGENT_N_LIVE];
	struct agent_lost lost[AGENT_N_LOST];
	struct agent_sample samples[AGENT_N_SAMPLES];
};

_Static_assert(offsetof(struct agent_table, wire) == AGENT_TABLE_WIRE, "see above");
_Static_assert(offsetof(struct agent_table, frame) == AGENT_TABLE_FRAME, "see above");
_Static_assert(offsetof(struct agent_table, entries) == AGENT_TABLE_ENTRIES, "see above");
_Static_assert(sizeof(struct agent_entry) == AGENT_ENTRY_SIZE, "see above");
_Static_assert(sizeof(struct agent_table) <= AGENT_TABLE_SIZE, "see above");
_Static_assert(sizeof(struct agent_head) <= AGENT_PAGE, "one page");
_Static_assert(offsetof(struct agent_wire, slots) == AGENT_WIRE_SLOTS, "see above");
_Static_assert(offsetof(struct agent_wire, filter) == AGENT_WIRE_FILTER, "see above");
_Static_assert(offsetof(struct agent_slot, left) == AGENT_SLOT_LEFT, "see above");
_Static_assert(sizeof(struct agent_slot) == 64, "a cache line");
_Static_assert(sizeof(struct agent_wire) <= 8 << 20, "what it may cost the target");

static inline uint64_t agent_hash(uint64_t key, unsigned bits)
{
	return key * (uint64_t)AGENT_HASH >> (64 - bits);
}

/** What stands for a key of a custom profile among the addresses that live: none of the addresses
 * of user space has the upper 8 bits. */
static inline uint64_t agent_live_key(unsigned profile, uint64_t key)
{
	return (profile + 1ULL) << AGENT_KEY_BITS | (key & ((1ULL << AGENT_KEY_BITS) - 1));
}

/** Where a size is in lost[]. */
static inline unsigned agent_lost_class(uint64_t size)
{
	unsigned exponent;

	if (size < 8)
		return (unsigned)size;
	exponent = 63 - (unsigned)__builtin_clzll(size);
	return (exponent - 2) * 8 + (unsigned)(size >> (exponent - 3) & 7);
}
#endif
