/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that wait for locks.
 *
 *	locks MODE [N]
 *
 *	ring N [KIND]	N threads, each with a mutex, wait for that of the next: a deadlock
 *	self		a thread waits for a mutex that it has
 *	mutex KIND	"holder" has a mutex for ever, two others wait for it
 *	timed		a ring of two whose waits have a time-out
 *	writer		"holder" has a read-write lock to write, others want it to read and to write
 *	reader		two have it to read, one wants it to write
 *	cond		two wait for a condition variable, whose mutex "holder" has: no lock waiters
 *	relock		they have been signalled, and want the mutex again
 *	join		one waits for the end of another
 *	slow		"holder" has a mutex and computes; it gives it up now and then
 *
 * KIND: normal, recursive, errorcheck, robust, pi, robust-pi. Prints "ready" when all who wait do,
 * and then the address of the lock and its holder's thread id.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MAX 64
#define NOINLINE __attribute__((noinline))

pthread_mutex_t first_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t ring_locks[MAX];
static pthread_rwlock_t shared_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;
static atomic_int tids[MAX];
static int n_ring;
static int timed;
static volatile uint64_t sink;

static void begin(int index, const char *name)
{
	char text[32];

	snprintf(text, sizeof(text), "%s-%d", name, index);
	pthread_setname_np(pthread_self(), index < 0 ? name : text);
	if (index >= 0)
		atomic_store(&tids[index], (int)syscall(SYS_gettid));
}

/* Until the thread waits in futex(2); for this word, unless it is NULL. */
static void await_futex(int index, const void *word)
{
	char path[64], text[64], wanted[48];
	int fd;

	while (!atomic_load(&tids[index]))
		;
	snprintf(wanted, sizeof(wanted), word ? "%d %p " : "%d ", (int)SYS_futex, word);
	snprintf(path, sizeof(path), "/proc/self/task/%d/syscall", atomic_load(&tids[index]));
	do {
		fd = open(path, O_RDONLY);
		memset(text, 0, sizeof(text));
		if (read(fd, text, sizeof(text) - 1) < 0)
			exit(1);
		close(fd);
	} while (strncmp(text, wanted, strlen(wanted)) != 0);
}

static void init_mutex(pthread_mutex_t *mutex, const char *kind)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	if (strcmp(kind, "recursive") == 0)
		pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	if (strcmp(kind, "errorcheck") == 0)
		pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	if (strstr(kind, "robust"))
		pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	if (strstr(kind, "pi"))
		pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(mutex, &attr);
}

NOINLINE int take_next(pthread_mutex_t *mutex)
{
	struct timespec late = {.tv_sec = time(NULL) + 3600};

	return (timed ? pthread_mutex_timedlock(mutex, &late) : pthread_mutex_lock(mutex)) + 1;
}

NOINLINE int take_both(int index)
{
	pthread_mutex_lock(&ring_locks[index]);
	pthread_barrier_wait(&barrier);
	/* Known from here on: what it waits for next is its mutex. */
	atomic_store(&tids[index], (int)syscall(SYS_gettid));
	return take_next(&ring_locks[(index + 1) % n_ring]) + 1;
}

static void *ring_main(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "ring-%d", (int)(intptr_t)arg);
	begin(-1, name);
	sink += (uint64_t)take_both((int)(intptr_t)arg);
	return NULL;
}

NOINLINE int want_mutex(void)
{
	return take_next(&first_lock) + 1;
}

static void *mutex_main(void *arg)
{
	begin((int)(intptr_t)arg, "waiter");
	sink += (uint64_t)want_mutex();
	return NULL;
}

static void *read_main(void *arg)
{
	/* With a writer it waits now, else it is known when it has the lock. */
	if (pthread_rwlock_tryrdlock(&shared_lock) != 0) {
		begin((int)(intptr_t)arg, "reader");
		pthread_rwlock_rdlock(&shared_lock);
	}
	begin((int)(intptr_t)arg, "reader");
	for (;;)
		pause();
	return NULL;
}

static void *write_main(void *arg)
{
	begin((int)(intptr_t)arg, "writer");
	sink += (uint64_t)pthread_rwlock_wrlock(&shared_lock);
	return NULL;
}

static void *cond_main(void *arg)
{
	pthread_mutex_lock(&first_lock);
	begin((int)(intptr_t)arg, "cond");
	sink += (uint64_t)pthread_cond_wait(&condition, &first_lock);
	return NULL;
}

static void *join_main(void *arg)
{
	begin(1, "joiner");
	pthread_join(*(pthread_t *)arg, NULL);
	return NULL;
}

static void start(void *(*run)(void *), int index)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, run, (void *)(intptr_t)index) != 0)
		exit(1);
}

static void ready(const void *lock)
{
	printf("ready %p %d\n", lock, (int)syscall(SYS_gettid));
	fflush(stdout);
}

/* Inlined into its callers, in a known place. */
static inline __attribute__((always_inline)) void hold(const void *lock)
{
	ready(lock);
	for (;;)
		pause();
}

static void run_ring(int n, const char *kind)
{
	n_ring = n;
	pthread_barrier_init(&barrier, NULL, (unsigned)n);
	for (int i = 0; i < n; i++)
		init_mutex(&ring_locks[i], kind);
	for (int i = 0; i < n; i++)
		start(ring_main, i);
	for (int i = 0; i < n; i++)
		await_futex(i, NULL);
	hold(&ring_locks[0]);
}

static void run_cond(int relock)
{
	start(cond_main, 0);
	start(cond_main, 1);
	await_futex(0, NULL);
	await_futex(1, NULL);
	pthread_mutex_lock(&first_lock);
	if (relock) {
		pthread_cond_broadcast(&condition);
		await_futex(0, &first_lock);
		await_futex(1, &first_lock);
	}
	hold(&first_lock);
}

static void run_slow(void)
{
	pthread_mutex_lock(&first_lock);
	start(mutex_main, 0);
	start(mutex_main, 1);
	await_futex(0, NULL);
	await_futex(1, NULL);
	ready(&first_lock);
	for (;;)
		sink = sink * 3 + 1;
}

static void run_shared(int to_write)
{
	if (to_write) {
		pthread_rwlock_wrlock(&shared_lock);
		start(read_main, 0);
		await_futex(0, NULL);
	} else {
		pthread_rwlock_rdlock(&shared_lock);
		start(read_main, 0);
		while (!atomic_load(&tids[0]))
			;
	}
	start(write_main, 1);
	await_futex(1, NULL);
	hold(&shared_lock);
}

static void run_join(void)
{
	pthread_t other, joiner;

	pthread_mutex_lock(&first_lock);
	pthread_create(&other, NULL, mutex_main, (void *)0);
	pthread_create(&joiner, NULL, join_main, &other);
	await_futex(0, NULL);
	await_futex(1, NULL);
	hold(&first_lock);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "", *kind = argc > 2 ? argv[2] : "normal";

	alarm(600);
	begin(-1, "holder");
	if (strcmp(mode, "ring") == 0) {
		run_ring(atoi(kind), argc > 3 ? argv[3] : "normal");
	} else if (strcmp(mode, "timed") == 0) {
		timed = 1;
		run_ring(2, "normal");
	} else if (strcmp(mode, "self") == 0) {
		pthread_mutex_lock(&first_lock);
		ready(&first_lock);
		want_mutex();
	} else if (strcmp(mode, "mutex") == 0) {
		init_mutex(&first_lock, kind);
		pthread_mutex_lock(&first_lock);
		start(mutex_main, 0);
		start(mutex_main, 1);
		await_futex(0, NULL);
		await_futex(1, NULL);
		hold(&first_lock);
	} else if (strcmp(mode, "writer") == 0 || strcmp(mode, "reader") == 0) {
		run_shared(mode[0] == 'w');
	} else if (strcmp(mode, "cond") == 0 || strcmp(mode, "relock") == 0) {
		run_cond(mode[0] == 'r');
	} else if (strcmp(mode, "join") == 0) {
		run_join();
	} else if (strcmp(mode, "slow") == 0) {
		run_slow();
	}
	return 1;
}
