/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "process/process_lock.h"

static struct process *open_self(void)
{
	struct process *process;

	assert_int_equal(process_open(getpid(), &process), 0);
	return process;
}

/* A wait for the first word of a mutex of ours. */
static struct process_lock lock_of(struct process *process, const void *word, uint32_t value,
				   const char *const *functions, unsigned n, enum process_libc libc)
{
	struct process_wait wait = {.kind = PROCESS_WAIT_FUTEX,
				    .fd = -1,
				    .futex_addr = (uintptr_t)word,
				    .futex_value = value};
	pid_t owners[PROCESS_LOCK_OWNERS];
	struct process_lock_words words;
	struct process_lock lock;
	bool foreseen;
	unsigned n_owners;

	process_lock_words_read(process, wait.futex_addr, &words);
	process_lock_read(&wait, &words, process_lock_kind(functions, n), libc, &lock);
	/* Whoever it is, it was among those that could be. */
	n_owners = process_lock_owners(&words, wait.futex_addr, owners);
	foreseen = lock.owner == 0 || lock.kind == PROCESS_LOCK_THREAD;
	for (unsigned i = 0; i < n_owners; i++)
		foreseen |= owners[i] == lock.owner;
	assert_true(foreseen);
	return lock;
}

static void tells_locks_by_functions(void **state)
{
	static const struct {
		const char *functions[4];
		enum process_lock_kind kind;
	} cases[] = {
		{{"__lll_lock_wait", "___pthread_mutex_lock", "main"}, PROCESS_LOCK_MUTEX},
		{{"__GI___lll_lock_wait", "pthread_mutex_lock@@GLIBC_2.2.5"}, PROCESS_LOCK_MUTEX},
		{{NULL, "pthread_mutex_lock@plt", "main"}, PROCESS_LOCK_MUTEX},
		{{"__futex_abstimed_wait_common64", "___pthread_mutex_timedlock64"},
		 PROCESS_LOCK_MUTEX},
		{{"__lll_lock_wait", "__pthread_mutex_cond_lock", "pthread_cond_wait"},
		 PROCESS_LOCK_MUTEX},
		/* Not for a lock that has an owner. */
		{{"__futex_abstimed_wait_common", "___pthread_cond_wait", "pthread_mutex_lock"},
		 PROCESS_LOCK_NONE},
		{{"__lll_lock_wait_private", "malloc", "pthread_mutex_lock"}, PROCESS_LOCK_NONE},
		{{"syscall", "own_lock"}, PROCESS_LOCK_NONE},
		{{NULL, NULL, NULL}, PROCESS_LOCK_NONE},
		{{"my_pthread_mutex_lock"}, PROCESS_LOCK_NONE},
		{{"pthread_mutex_locked"}, PROCESS_LOCK_NONE},
	};
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	struct process *process = open_self();

	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct process_lock lock =
			lock_of(process, &mutex, 2, cases[i].functions, 4, PROCESS_LIBC_GLIBC);

		assert_int_equal(lock.kind, cases[i].kind);
		assert_int_equal(lock.owner, cases[i].kind ? gettid() : 0);
		/* Whose words these are is not known. */
		lock = lock_of(process, &mutex, 2, cases[i].functions, 4, PROCESS_LIBC_UNKNOWN);
		assert_int_equal(lock.kind, PROCESS_LOCK_NONE);
	}
	pthread_mutex_unlock(&mutex);
	/* Nobody's, and then no longer there. */
	assert_int_equal(
		lock_of(process, &mutex, 2, cases[0].functions, 4, PROCESS_LIBC_GLIBC).owner, 0);
	assert_int_equal(
		lock_of(process, (void *)8, 2, cases[0].functions, 4, PROCESS_LIBC_GLIBC).kind,
		PROCESS_LOCK_NONE);
	process_close(process);
}

/* Of musl only what is surely a mutex that somebody has. */
static void tells_musl_mutexes_by_their_list(void **state)
{
	struct {
		uint32_t type, lock, waiters, pad[3];
		uint64_t prev, next;
	} mutex = {.type = 1, .lock = 0x80000000u | 77, .waiters = 1};
	uint64_t head = (uintptr_t)&mutex.next;
	struct process *process = open_self();
	const uint32_t value = mutex.lock;

	mutex.prev = (uintptr_t)&head;
	assert_int_equal(lock_of(process, &mutex.lock, value, NULL, 0, PROCESS_LIBC_MUSL).owner,
			 77);
	head++;
	assert_int_equal(lock_of(process, &mutex.lock, value, NULL, 0, PROCESS_LIBC_MUSL).kind,
			 PROCESS_LOCK_NONE);
	head--;
	mutex.type = 0;
	assert_int_equal(lock_of(process, &mutex.lock, value, NULL, 0, PROCESS_LIBC_MUSL).kind,
			 PROCESS_LOCK_NONE);
	mutex.type = 1;
	mutex.waiters = 0;
	assert_int_equal(lock_of(process, &mutex.lock, value, NULL, 0, PROCESS_LIBC_MUSL).kind,
			 PROCESS_LOCK_NONE);
	process_close(process);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_locks_by_functions),
		cmocka_unit_test(tells_musl_mutexes_by_their_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
