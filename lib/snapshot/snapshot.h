/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot: all that is kept of one thread at one instant, in one flat record.
 *
 * The record is what goes through the queue. What produces snapshots knows no
 * DWARF; what consumes them knows no process. Addresses are the target's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "process/process_lock.h"

enum snapshot_kind {
	SNAPSHOT_STACK,      /* registers and stack bytes */
	SNAPSHOT_PCS,        /* frames, unwound by the source already */
	SNAPSHOT_AGAIN,      /* the stack that slot had last, for a longer time */
	SNAPSHOT_HELD,       /* no stack: threads that slot is one of wait for a futex; bytes are a
				struct snapshot_lock */
	SNAPSHOT_EXITED,     /* no stack: CPU time of threads that ended between two looks */
	SNAPSHOT_NEVER_MET,  /* no stack: CPU time of child processes that ended before they were
				found */
	SNAPSHOT_NOT_SEEN,   /* no stack: time of a thread since its last sample, or that was
				never met while it ran */
	SNAPSHOT_NOT_READ,   /* no stack: of a thread that was to be seen once */
	SNAPSHOT_IMAGE,      /* no sample: a new generation begins, of process pid, called name */
	SNAPSHOT_IMAGE_ENDS, /* no sample: nothing of this generation comes any more */
};

/** The thread's state at the tick. */
enum snapshot_state {
	SNAPSHOT_RUNNING,  /* on a CPU */
	SNAPSHOT_RUNNABLE, /* waits for a CPU */
	SNAPSHOT_SLEEPING,
	SNAPSHOT_DISK,    /* uninterruptible */
	SNAPSHOT_STOPPED, /* job control, or a debugger */
};

/** What SNAPSHOT_PCS carries, behind the header. */
struct snapshot_pc {
	uint64_t pc;
	uint64_t exact; /* see struct frame */
};

/* A thread that may hold a lock. */
struct snapshot_holder {
	int32_t owner, tid; /* its id in the target's pid namespace, and in ours */
	uint32_t slot;
	uint32_t comes; /* its stack of that moment is not in the queue yet */
};

/* Who waits for a futex at one tick, and who may be waited for; see process_lock_owners(). */
struct snapshot_lock {
	uint32_t waiters;
	uint32_t n_holders;
	struct snapshot_holder holders[PROCESS_LOCK_OWNERS];
	struct process_lock_words words;
};

struct snapshot {
	uint32_t kind;
	uint32_t generation; /* of the process image: each process and each execve makes one */
	int32_t pid, tid;    /* tid 0: of no one thread */
	int32_t syscall;     /* number of the call the thread was in, -1 when in user code */
	uint32_t state;      /* an enum snapshot_state */
	uint32_t count;      /* of elapsed time, the ticks that it stands for */
	uint32_t cpu_count;  /* of CPU time, likewise: 0 or 1 */
	uint32_t slot;       /* of the thread at its source */
	char name[64];       /* of the thread */
	uint64_t time_ns;    /* CLOCK_MONOTONIC */
	uint64_t cpu_ns;     /* CPU time since the thread's previous sample */
	uint64_t wall_ns;    /* likewise elapsed time */
	uint64_t delay_ns;   /* time blocked … */
	uint32_t waits;      /* … in so many waits */
	uint32_t parked;     /* the one wait of a thread that did not move all the time */
	uint32_t created;    /* threads that it has made at this moment */
	uint32_t round;      /* of reads: tells the one that struct sampler_shared speaks of */
	uint64_t alloc_id;   /* of a sampled allocation, from 1 on; 0: it is none … */
	uint64_t alloc_size; /* … of so many bytes */
	uint32_t custom;  /* 1 + number of the custom profile it belongs to instead; 0: none … */
	uint32_t skip;    /* … frames to be left out … */
	uint64_t counted; /* … and a number to be added; 0: it is an entry */
	uint64_t args[6]; /* of the call, where the thread was read without a stop */
	struct arch_regs regs;
	uint64_t stack_addr; /* target address of bytes[0] */
	uint64_t stack_end;  /* end of the stack's mapping; bytes may end before it */
	uint32_t n_bytes;    /* of stack, or of struct snapshot_pc */
	uint32_t pcs_end;    /* SNAPSHOT_PCS: an enum trace_end */
	uint32_t n_link;     /* bytes behind those: see snapshot_link() */
	uint8_t bytes[] __attribute__((aligned(8)));
};

/** The most stack that is copied of one thread. */
#define SNAPSHOT_MAX_STACK (2 * 1024 * 1024)

/** Does it have a stack of its thread? */
static inline bool snapshot_has_stack(const struct snapshot *snapshot)
{
	return snapshot->kind == SNAPSHOT_STACK || snapshot->kind == SNAPSHOT_PCS ||
	       snapshot->kind == SNAPSHOT_AGAIN;
}

/** Size of the whole record. */
static inline size_t snapshot_size(const struct snapshot *snapshot)
{
	return sizeof(*snapshot) + snapshot->n_bytes + snapshot->n_link;
}

/** The link in /proc of the one descriptor that the thread waits on, NUL-terminated; "": none. */
static inline const char *snapshot_link(const struct snapshot *snapshot)
{
	return snapshot->n_link ? (const char *)snapshot->bytes + snapshot->n_bytes : "";
}

/**
 * Reads 8 bytes of the copied stack.
 *
 * @param addr	target address
 * @return false where they were not copied
 */
static inline bool snapshot_word(const struct snapshot *snapshot, uint64_t addr, uint64_t *ret_word)
{
	uint64_t at = addr - snapshot->stack_addr;

	/* Huge where addr lies below. */
	if (at > snapshot->n_bytes || snapshot->n_bytes - at < 8)
		return false;
	__builtin_memcpy(ret_word, snapshot->bytes + at, 8);
	return true;
}
