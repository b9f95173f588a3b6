/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the words of a lock mean: glibc 2.36, nptl/pthread_mutex_lock.c, pthread_rwlock_common.c,
 * pthread_join_common.c; musl 1.2.3, src/thread/pthread_mutex_timedlock.c.
 */
#include <linux/futex.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "process/process_lock_priv.h"

/* Names without leading underscores, "GI_", what follows '@', and "64". */
static const struct {
	const char *name;
	enum process_lock_kind kind; /* NONE: waits on behalf of its caller */
} functions_known[] = {
	{"pthread_mutex_lock", PROCESS_LOCK_MUTEX},
	{"pthread_mutex_lock_full", PROCESS_LOCK_MUTEX},
	{"pthread_mutex_timedlock", PROCESS_LOCK_MUTEX},
	{"pthread_mutex_timedlock_pi", PROCESS_LOCK_MUTEX},
	{"pthread_mutex_clocklock", PROCESS_LOCK_MUTEX},
	{"pthread_mutex_clocklock_common", PROCESS_LOCK_MUTEX},
	/* A condition variable has been signalled, and its mutex is taken again. */
	{"pthread_mutex_cond_lock", PROCESS_LOCK_MUTEX},
	{"pthread_mutex_cond_lock_full", PROCESS_LOCK_MUTEX},
	{"pthread_rwlock_rdlock", PROCESS_LOCK_READ},
	{"pthread_rwlock_timedrdlock", PROCESS_LOCK_READ},
	{"pthread_rwlock_clockrdlock", PROCESS_LOCK_READ},
	{"pthread_rwlock_wrlock", PROCESS_LOCK_WRITE},
	{"pthread_rwlock_timedwrlock", PROCESS_LOCK_WRITE},
	{"pthread_rwlock_clockwrlock", PROCESS_LOCK_WRITE},
	{"pthread_join", PROCESS_LOCK_THREAD},
	{"pthread_timedjoin_np", PROCESS_LOCK_THREAD},
	{"pthread_clockjoin_np", PROCESS_LOCK_THREAD},
	{"pthread_clockjoin_ex", PROCESS_LOCK_THREAD},
	{"lll_lock_wait", PROCESS_LOCK_NONE},
	{"futex_lock_pi", PROCESS_LOCK_NONE},
	{"futex_abstimed_wait", PROCESS_LOCK_NONE},
	{"futex_abstimed_wait_common", PROCESS_LOCK_NONE},
	{"futex_abstimed_wait_cancelable", PROCESS_LOCK_NONE},
	{"timedwait", PROCESS_LOCK_NONE},
	{"timedwait_cp", PROCESS_LOCK_NONE},
	{"syscall_cp", PROCESS_LOCK_NONE},
	{"syscall_cp_c", PROCESS_LOCK_NONE},
	{"syscall_cp_asm", PROCESS_LOCK_NONE},
	{"syscall_cancel", PROCESS_LOCK_NONE},
	{"syscall_cancel_arch", PROCESS_LOCK_NONE},
	{"internal_syscall_cancel", PROCESS_LOCK_NONE},
};

static bool is_function(const char *name, const char *known)
{
	size_t n;

	name += strspn(name, "_");
	if (strncmp(name, "GI_", 3) == 0)
		name += 3;
	name += strspn(name, "_");
	n = strcspn(name, "@");
	if (n > 2 && name[n - 2] == '6' && name[n - 1] == '4')
		n -= 2;
	return strlen(known) == n && strncmp(name, known, n) == 0;
}

/* The innermost function that is known for more than waiting decides; one that is not known at all
 * ends the search: it waits for something of its own. */
enum process_lock_kind process_lock_kind(const char *const *functions, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		size_t k = 0;

		if (!functions[i])
			continue;
		while (k < ARRAY_SIZE(functions_known) &&
		       !is_function(functions[i], functions_known[k].name))
			k++;
		if (k == ARRAY_SIZE(functions_known))
			return PROCESS_LOCK_NONE;
		if (functions_known[k].kind != PROCESS_LOCK_NONE)
			return functions_known[k].kind;
	}
	return PROCESS_LOCK_NONE;
}

/* The protocol that libraries share with the kernel, for its sake (futex(2), set_robust_list(2)).
 */
static void take_kernel_word(uint32_t word, struct process_lock *lock)
{
	lock->owner_died = word & FUTEX_OWNER_DIED;
	lock->owner = (pid_t)(word & FUTEX_TID_MASK);
}

/* The word tells the owner, whatever library it is; what the mutex is like, the library's words. */
static void read_pi(const struct process_lock_words *words, const struct process_wait *wait,
		    enum process_lock_kind kind, enum process_libc libc, struct process_lock *lock)
{
	uint64_t musl_addr = wait->futex_addr - offsetof(struct musl_mutex, lock);
	struct glibc_mutex glibc;
	struct musl_mutex musl;
	uint32_t word;

	lock->kind = PROCESS_LOCK_MUTEX;
	lock->addr = wait->futex_addr;
	lock->pi = true;
	if (process_lock_word(words, wait->futex_addr, &word, sizeof(word)))
		take_kernel_word(word, lock);
	if (libc == PROCESS_LIBC_GLIBC && kind == PROCESS_LOCK_MUTEX &&
	    process_lock_word(words, lock->addr, &glibc, sizeof(glibc))) {
		lock->recursive = (glibc.kind & GLIBC_KIND_MASK) == GLIBC_RECURSIVE;
		lock->robust = glibc.kind & GLIBC_ROBUST;
	}
	/* It waits so in pthread_mutex_timedlock_pi() only. */
	if (libc == PROCESS_LIBC_MUSL && process_lock_word(words, musl_addr, &musl, sizeof(musl))) {
		lock->addr = musl_addr;
		lock->recursive = (musl.type & MUSL_TYPE_MASK) == MUSL_RECURSIVE;
		lock->robust = musl.type & MUSL_ROBUST;
	}
}

static void read_glibc_mutex(const struct process_lock_words *words,
			     const struct process_wait *wait, struct process_lock *lock)
{
	struct glibc_mutex mutex;

	/* Any other wait for a mutex is for a word that is not 0; this one is for a word of its own
	 * stack, after EDEADLK or ESRCH of FUTEX_LOCK_PI (pthread_mutex_lock.c). */
	if (wait->futex_value == 0) {
		lock->kind = PROCESS_LOCK_REFUSED;
		return;
	}
	if (!process_lock_word(words, wait->futex_addr, &mutex, sizeof(mutex)))
		return;
	lock->kind = PROCESS_LOCK_MUTEX;
	lock->addr = wait->futex_addr;
	lock->recursive = (mutex.kind & GLIBC_KIND_MASK) == GLIBC_RECURSIVE;
	lock->robust = mutex.kind & GLIBC_ROBUST;
	lock->pi = mutex.kind & GLIBC_PI;
	if (lock->robust || lock->pi)
		take_kernel_word(mutex.lock, lock);
	else if (mutex.owner > 0)
		lock->owner = mutex.owner;
	/* It is released before its waiters are woken (nptl/lowlevellock.c). */
	lock->is_free = mutex.lock == 0;
}

/* Which of its words the wait is on: the lock is aligned to 8, writers wait on wrphase_futex and
 * writers_futex, readers on readers and wrphase_futex, whose values differ. */
static uint64_t glibc_rwlock_offset(const struct process_wait *wait, enum process_lock_kind kind)
{
	if (wait->futex_addr % 8 != 0)
		return offsetof(struct glibc_rwlock, writers_futex);
	if (kind == PROCESS_LOCK_READ && wait->futex_value != GLIBC_WRPHASE_WAIT &&
	    wait->futex_value & GLIBC_RWAITING)
		return offsetof(struct glibc_rwlock, readers);
	return offsetof(struct glibc_rwlock, wrphase_futex);
}

static void read_glibc_rwlock(const struct process_lock_words *words,
			      const struct process_wait *wait, enum process_lock_kind kind,
			      struct process_lock *lock)
{
	uint64_t addr = wait->futex_addr - glibc_rwlock_offset(wait, kind);
	struct glibc_rwlock rwlock;

	if (!process_lock_word(words, addr, &rwlock, sizeof(rwlock)))
		return;
	lock->kind = kind;
	lock->addr = addr;
	if (rwlock.cur_writer > 0)
		lock->owner = rwlock.cur_writer;
	/* In a write phase the count is of those that wait. */
	else if (!(rwlock.readers & GLIBC_WRPHASE))
		lock->readers = rwlock.readers >> GLIBC_READER_SHIFT;
}

/*
 * musl is mostly built without unwind tables, so the functions that a thread is in are not known.
 * But a mutex that keeps its owner is linked into a list of those that this one has. And a thread
 * that waits for it waits for the word to lose its owner's id, with the bit for waiters.
 */
static bool is_musl_mutex(const struct process_lock_words *words, const struct process_wait *wait)
{
	return words->is_musl_linked && wait->futex_value & FUTEX_WAITERS &&
	       wait->futex_value & FUTEX_TID_MASK;
}

static void read_musl_mutex(const struct process_lock_words *words, const struct process_wait *wait,
			    bool is_named, struct process_lock *lock)
{
	uint64_t addr = wait->futex_addr - offsetof(struct musl_mutex, lock);
	struct musl_mutex mutex;
	bool keeps_owner;

	/* As glibc (pthread_mutex_timedlock_pi). */
	if (wait->futex_value == 0 && is_named)
		lock->kind = PROCESS_LOCK_REFUSED;
	if (wait->futex_value == 0 || !process_lock_word(words, addr, &mutex, sizeof(mutex)))
		return;
	/* A normal one holds EBUSY. */
	keeps_owner = mutex.type & (MUSL_TYPE_MASK | MUSL_ROBUST | MUSL_PI);
	if (!is_named && !(keeps_owner && is_musl_mutex(words, wait)))
		return;
	lock->kind = PROCESS_LOCK_MUTEX;
	lock->addr = addr;
	lock->recursive = (mutex.type & MUSL_TYPE_MASK) == MUSL_RECURSIVE;
	lock->robust = mutex.type & MUSL_ROBUST;
	lock->pi = mutex.type & MUSL_PI;
	if (keeps_owner)
		take_kernel_word(mutex.lock, lock);
}

static void read_glibc(const struct process_lock_words *words, const struct process_wait *wait,
		       enum process_lock_kind kind, struct process_lock *lock)
{
	switch (kind) {
	case PROCESS_LOCK_MUTEX:
		read_glibc_mutex(words, wait, lock);
		break;
	case PROCESS_LOCK_READ:
	case PROCESS_LOCK_WRITE:
		read_glibc_rwlock(words, wait, kind, lock);
		break;
	case PROCESS_LOCK_THREAD:
		/* The word is the thread's id until the kernel clears it at its end. */
		lock->kind = kind;
		lock->addr = wait->futex_addr;
		lock->owner = (pid_t)wait->futex_value;
		break;
	case PROCESS_LOCK_NONE:
	case PROCESS_LOCK_REFUSED:
	case PROCESS_LOCK_KINDS:
		break;
	}
}

void process_lock_read(const struct process_wait *wait, const struct process_lock_words *words,
		       enum process_lock_kind kind, enum process_libc libc,
		       struct process_lock *ret_lock)
{
	*ret_lock = (struct process_lock){.timed = wait->timed};
	if (wait->kind != PROCESS_WAIT_FUTEX || wait->futex == PROCESS_FUTEX_WAITV)
		return;
	if (wait->futex == PROCESS_FUTEX_LOCK_PI) {
		read_pi(words, wait, kind, libc, ret_lock);
		return;
	}
	switch (libc) {
	case PROCESS_LIBC_GLIBC:
		read_glibc(words, wait, kind, ret_lock);
		break;
	case PROCESS_LIBC_MUSL:
		if (kind == PROCESS_LOCK_NONE || kind == PROCESS_LOCK_MUTEX)
			read_musl_mutex(words, wait, kind == PROCESS_LOCK_MUTEX, ret_lock);
		break;
	case PROCESS_LIBC_UNKNOWN:
		break;
	}
}

const char *process_lock_kind_name(enum process_lock_kind kind)
{
	static const char *const names[] = {
		[PROCESS_LOCK_NONE] = "none",     [PROCESS_LOCK_MUTEX] = "mutex",
		[PROCESS_LOCK_READ] = "read",     [PROCESS_LOCK_WRITE] = "write",
		[PROCESS_LOCK_THREAD] = "thread", [PROCESS_LOCK_REFUSED] = "refused",
	};

	return kind < PROCESS_LOCK_KINDS ? names[kind] : "none";
}
