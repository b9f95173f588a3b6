/* SPDX-License-Identifier: Apache-2.0 */
/* Memory around a futex, read before it is known of which lock it is a word. */
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "process/process_lock_priv.h"

/* The farthest that a lock begins before the futex: a writer's word of an rwlock. */
#define BEFORE 16

bool process_lock_word(const struct process_lock_words *words, uint64_t addr, void *ret_bytes,
		       size_t size)
{
	uint64_t at = addr - words->addr;

	/* Huge where addr lies below. */
	if (at > words->n || words->n - at < size)
		return false;
	memcpy(ret_bytes, words->bytes + at, size);
	return true;
}

/* A musl mutex that keeps its owner is an element of a list of those that this one has, doubly
 * linked (pthread_mutex_trylock.c): what its predecessor points to is itself. */
static bool is_musl_linked(struct process *process, const struct process_lock_words *words,
			   uint64_t futex_addr)
{
	uint64_t addr = futex_addr - offsetof(struct musl_mutex, lock), back;
	struct musl_mutex mutex;

	return process_lock_word(words, addr, &mutex, sizeof(mutex)) &&
	       mutex.type & (MUSL_TYPE_MASK | MUSL_ROBUST | MUSL_PI) &&
	       !(mutex.type & ~(MUSL_TYPE_MASK | MUSL_ROBUST | MUSL_PI | MUSL_SHARED)) &&
	       mutex.waiters > 0 &&
	       process_read(process, mutex.prev, &back, sizeof(back)) == sizeof(back) &&
	       back == addr + offsetof(struct musl_mutex, next);
}

void process_lock_words_read(struct process *process, uint64_t futex_addr,
			     struct process_lock_words *ret_words)
{
	ssize_t n;

	*ret_words = (struct process_lock_words){.addr = futex_addr - BEFORE};
	n = process_read(process, ret_words->addr, ret_words->bytes, sizeof(ret_words->bytes));
	if (n <= 0) {
		/* Its mapping begins here. */
		ret_words->addr = futex_addr;
		n = process_read(process, futex_addr, ret_words->bytes, sizeof(ret_words->bytes));
	}
	ret_words->n = n > 0 ? (uint32_t)n : 0;
	ret_words->is_musl_linked = is_musl_linked(process, ret_words, futex_addr);
}

static void add_owner(pid_t owners[static PROCESS_LOCK_OWNERS], unsigned *n, int32_t owner)
{
	for (unsigned i = 0; i < *n; i++) {
		if (owners[i] == owner)
			return;
	}
	if (owner > 0)
		owners[(*n)++] = owner;
}

unsigned process_lock_owners(const struct process_lock_words *words, uint64_t futex_addr,
			     pid_t ret_owners[static PROCESS_LOCK_OWNERS])
{
	/* Of a read-write lock the futex may be any of these words. */
	static const size_t rwlock_words[] = {offsetof(struct glibc_rwlock, readers),
					      offsetof(struct glibc_rwlock, wrphase_futex),
					      offsetof(struct glibc_rwlock, writers_futex)};
	unsigned n = 0;
	int32_t owner;

	if (process_lock_word(words, futex_addr, &owner, sizeof(owner)))
		add_owner(ret_owners, &n, (int32_t)((uint32_t)owner & FUTEX_TID_MASK));
	if (process_lock_word(words, futex_addr + offsetof(struct glibc_mutex, owner), &owner,
			      sizeof(owner)))
		add_owner(ret_owners, &n, owner);
	for (size_t i = 0; i < ARRAY_SIZE(rwlock_words); i++) {
		uint64_t addr = futex_addr - rwlock_words[i];

		if (process_lock_word(words, addr + offsetof(struct glibc_rwlock, cur_writer),
				      &owner, sizeof(owner)))
			add_owner(ret_owners, &n, owner);
	}
	return n;
}
