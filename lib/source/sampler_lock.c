/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is waited for.
 *
 * At each tick, for every futex that threads are blocked in, the memory around it is read: if it is
 * a lock, its owner is in there. Whether it is one, and of which kind, is told later, by the stack
 * of the waiter; so the few threads are noted whose ids lie where an owner may be, and the stack
 * that each of them has at that moment is seen to: of a blocked one it is known, a running one is
 * asked to stop, also where it only waits for a CPU: it stops at the very place where it lost its
 * own.
 *
 * The waiters' time is that of sampler_wall.c: at a read what the thread was blocked since it was
 * read before, then what passes until it moves.
 */
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "source/sampler_priv.h"

/* Threads asked to stop for their stack in one tick. */
#define MAX_SUSPECTS 4

static bool is_futex_wait(const struct sampler *s, const struct snapshot *snapshot)
{
	/* restart_syscall(2) leaves the registers of the call that it restarts, whichever that is.
	 */
	return snapshot->syscall >= 0 && ((uint64_t)snapshot->syscall == s->arch->restart_syscall ||
					  snapshot->syscall == SYS_futex);
}

void sampler_lock_read(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread, const struct snapshot *snapshot, uint64_t now,
		       uint32_t waits)
{
	struct sampler_threads *threads = &target->threads;
	struct sampler_lock *lock = &thread->wait.lock;

	lock->futex = is_futex_wait(s, snapshot) ? snapshot->args[0] : 0;
	lock->split_at = now;
	lock->delay_ns = snapshot->wall_ns;
	lock->waits = waits;
	if (!lock->futex || thread->is_locker || threads->lockers.n == threads->lockers.cap)
		return;
	*vec_push(&threads->lockers) = (uint32_t)(thread - threads->items.items);
	thread->is_locker = true;
}

static bool is_no_lock(const struct sampler *s, const struct sampler_thread *thread)
{
	return atomic_load_explicit(&s->shared->no_locks[thread->slot % SAMPLER_TOPS],
				    memory_order_relaxed) == thread->wait.round;
}

/* Adds what a thread waited for its futex to what others did. */
static void gather(struct sampler *s, struct sampler_thread *thread, uint32_t index, uint64_t now)
{
	struct sampler_lock *lock = &thread->wait.lock;
	struct sampler_held *held;
	uint64_t *place;

	/* Out of memory: it is charged at the next tick. */
	if (map64_put(&s->futexes, lock->futex, &place) < 0)
		return;
	if (!*place) {
		held = vec_push(&s->held);
		if (!held)
			return;
		*held = (struct sampler_held){.futex = lock->futex, .waiter = index};
		*place = s->held.n;
	}
	held = &s->held.items[*place - 1];
	held->waiters++;
	held->waits += lock->waits;
	held->delay_ns += lock->delay_ns + (now - lock->split_at);
	lock->waits = 0;
	lock->delay_ns = 0;
	lock->split_at = now;
}

static struct sampler_thread *find_owner(struct sampler_target *target, pid_t owner)
{
	struct sampler_threads *threads = &target->threads;

	if (!target->renamed)
		return sampler_threads_find(target, owner);
	for (size_t i = 0; i < threads->items.n; i++) {
		struct sampler_thread *thread = &threads->items.items[i];

		if (!thread->inner_tid)
			thread->inner_tid = process_inner_tid(target->process, thread->tid);
		if (thread->inner_tid == owner)
			return thread;
	}
	return NULL;
}

/* Sees to the stack of one who may hold a lock. Returns whether it is still to come. */
static bool suspect(struct sampler *s, struct sampler_target *target, struct sampler_thread *thread)
{
	struct sampler_suspect *suspect;

	if (thread->wait.known)
		return false;
	if (s->suspects.n < MAX_SUSPECTS) {
		suspect = vec_push(&s->suspects);
		if (suspect)
			*suspect = (struct sampler_suspect){target->pid, thread->tid};
	}
	return true;
}

static void put_held(struct sampler *s, struct sampler_target *target,
		     const struct sampler_held *held)
{
	const struct sampler_thread *waiter = &target->threads.items.items[held->waiter];
	struct snapshot *snapshot =
		sampler_reserve(s, target, SNAPSHOT_HELD, waiter, sizeof(struct snapshot_lock));
	pid_t owners[PROCESS_LOCK_OWNERS];
	struct snapshot_lock *lock;
	unsigned n;

	if (!snapshot)
		return;
	lock = (struct snapshot_lock *)snapshot->bytes;
	*lock = (struct snapshot_lock){.waiters = held->waiters};
	process_lock_words_read(target->process, held->futex, &lock->words);
	n = process_lock_owners(&lock->words, held->futex, owners);
	for (unsigned i = 0; i < n; i++) {
		struct sampler_thread *thread = find_owner(target, owners[i]);

		if (thread)
			lock->holders[lock->n_holders++] =
				(struct snapshot_holder){.owner = owners[i],
							 .tid = thread->tid,
							 .slot = thread->slot,
							 .comes = suspect(s, target, thread)};
	}
	snapshot->n_bytes = sizeof(*lock);
	snapshot->waits = held->waits;
	snapshot->delay_ns = held->delay_ns;
	sampler_put(s, snapshot);
}

void sampler_lock_tick(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	struct sampler_threads *threads = &target->threads;
	size_t kept = 0;

	for (size_t i = 0; i < threads->lockers.n; i++) {
		uint32_t index = threads->lockers.items[i];
		struct sampler_thread *thread = &threads->items.items[index];

		thread->is_locker =
			thread->wait.known && thread->wait.lock.futex && !is_no_lock(s, thread);
		if (!thread->is_locker)
			continue;
		threads->lockers.items[kept++] = index;
		gather(s, thread, index, now);
	}
	threads->lockers.n = kept;
	for (size_t i = 0; i < s->held.n; i++)
		put_held(s, target, &s->held.items[i]);
	s->held.n = 0;
	map64_clear(&s->futexes);
}

unsigned sampler_lock_stop(struct sampler *s, uint64_t now)
{
	unsigned n = 0;

	for (size_t i = 0; i < s->suspects.n; i++) {
		struct sampler_target *target = sampler_target_find(s, s->suspects.items[i].pid);
		struct sampler_thread *thread =
			target ? sampler_threads_find(target, s->suspects.items[i].tid) : NULL;

		if (!thread || thread->rest_until > now)
			continue;
		/* It may be asked already, for its own sake. */
		thread->wait.lock.may_hold = true;
		n += sampler_choose_stop(s, target, thread);
	}
	s->suspects.n = 0;
	return n;
}
