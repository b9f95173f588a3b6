/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the C libraries' locks, on 64-bit CPUs.
 *
 * glibc 2.36, sysdeps/nptl/bits/struct_mutex.h and sysdeps/x86/nptl/bits/struct_mutex.h (struct
 * __pthread_mutex_s), struct_rwlock.h (struct __pthread_rwlock_arch_t), which are part of its ABI
 * by the static initializers; sysdeps/nptl/pthreadP.h (kinds and flags). musl 1.2.3,
 * src/internal/pthread_impl.h.
 */
#pragma once

#include "process/process_lock.h"

struct glibc_mutex {
	uint32_t lock, count;
	int32_t owner;
	uint32_t nusers, kind;
};

/* PTHREAD_MUTEX_*_NP of pthreadP.h. */
#define GLIBC_KIND_MASK 3u
#define GLIBC_RECURSIVE 1u
#define GLIBC_ROBUST 16u
#define GLIBC_PI 32u

struct glibc_rwlock {
	uint32_t readers, writers, wrphase_futex, writers_futex, pad[2];
	int32_t cur_writer;
};

/* PTHREAD_RWLOCK_* of pthreadP.h. */
#define GLIBC_WRPHASE 1u
#define GLIBC_RWAITING 4u
#define GLIBC_READER_SHIFT 3
#define GLIBC_WRPHASE_WAIT 3u /* 1 with PTHREAD_RWLOCK_FUTEX_USED: write phase */

struct musl_mutex {
	uint32_t type, lock, waiters, pad;
	uint32_t unused, count;
	uint64_t prev, next;
};

#define MUSL_TYPE_MASK 3u /* PTHREAD_MUTEX_NORMAL is 0 and keeps no owner */
#define MUSL_RECURSIVE 1u
#define MUSL_ROBUST 4u
#define MUSL_PI 8u
#define MUSL_SHARED 128u

/** Takes size bytes of the words from a target address on; false where they were not read. */
bool process_lock_word(const struct process_lock_words *words, uint64_t addr, void *ret_bytes,
		       size_t size);
