/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks that are held in known functions while others wait for them.
 *
 *	holders SECONDS
 *
 * Rounds, one after the other: a function takes a lock, lets the waiters come, and holds it while
 *it sleeps or computes. At the end prints for each function how often its waiters waited, and the
 * nanoseconds that they measured. Waiters wait for a condition meanwhile, which is no lock.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))
#define WAITERS 3

static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t nested_lock, inheriting_lock, *heap_lock;
static pthread_rwlock_t tree_lock = PTHREAD_RWLOCK_INITIALIZER;

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate = PTHREAD_COND_INITIALIZER;
static unsigned rounds;
static atomic_int n_back;
static volatile uint64_t sink;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

NOINLINE static void compute_ms(unsigned ms)
{
	uint64_t end = now() + ms * 1000000ULL;

	while (now() < end)
		sink++;
}

NOINLINE static void sleep_ms(unsigned ms)
{
	struct timespec time = {.tv_nsec = ms * 1000000L};

	nanosleep(&time, NULL);
	sink++;
}

static void take_mutex(void *lock)
{
	pthread_mutex_lock(lock);
}

static void leave_mutex(void *lock)
{
	pthread_mutex_unlock(lock);
}

static void take_tree(void *lock)
{
	pthread_rwlock_wrlock(lock);
}

static void leave_tree(void *lock)
{
	pthread_rwlock_unlock(lock);
}

static void open_gate(void)
{
	pthread_mutex_lock(&gate_lock);
	rounds++;
	pthread_cond_broadcast(&gate);
	pthread_mutex_unlock(&gate_lock);
}

NOINLINE static void holds_asleep(void)
{
	open_gate();
	sleep_ms(60);
	sink++;
}

NOINLINE static void holds_computing(void)
{
	open_gate();
	compute_ms(40);
	sink++;
}

NOINLINE static void holds_nested(void)
{
	open_gate();
	sleep_ms(30);
	sink++;
}

NOINLINE static void holds_inheriting(void)
{
	open_gate();
	compute_ms(30);
	sink++;
}

NOINLINE static void holds_tree(void)
{
	open_gate();
	sleep_ms(50);
	sink++;
}

NOINLINE static void holds_shortly(void)
{
	open_gate();
	compute_ms(4);
	sink++;
}

static struct {
	const char *name;
	void (*hold)(void);
	void (*take)(void *lock), (*leave)(void *lock);
	void *lock;
	_Atomic uint64_t waits, ns;
} kinds[] = {
	{"holds_asleep", holds_asleep, take_mutex, leave_mutex, &table_lock, 0, 0},
	{"holds_computing", holds_computing, take_mutex, leave_mutex, &table_lock, 0, 0},
	{"holds_nested", holds_nested, take_mutex, leave_mutex, &nested_lock, 0, 0},
	{"holds_inheriting", holds_inheriting, take_mutex, leave_mutex, &inheriting_lock, 0, 0},
	{"holds_tree", holds_tree, take_tree, leave_tree, &tree_lock, 0, 0},
	{"holds_shortly", holds_shortly, take_mutex, leave_mutex, NULL, 0, 0},
};
#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void *waiter(void *arg)
{
	unsigned seen = 0;

	for (;;) {
		uint64_t start;
		size_t kind;

		pthread_mutex_lock(&gate_lock);
		while (rounds == seen)
			pthread_cond_wait(&gate, &gate_lock);
		kind = (rounds - 1) % N_KINDS;
		seen = rounds;
		pthread_mutex_unlock(&gate_lock);
		start = now();
		kinds[kind].take(kinds[kind].lock);
		kinds[kind].ns += now() - start;
		kinds[kind].waits++;
		kinds[kind].leave(kinds[kind].lock);
		atomic_fetch_add(&n_back, 1);
	}
	return arg;
}

static void init(void)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&nested_lock, &attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_NORMAL);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&inheriting_lock, &attr);
	heap_lock = malloc(sizeof(*heap_lock));
	pthread_mutex_init(heap_lock, NULL);
	kinds[N_KINDS - 1].lock = heap_lock;
}

int main(int argc, char **argv)
{
	uint64_t end = now() + (uint64_t)((argc > 1 ? atof(argv[1]) : 60) * 1e9);
	pthread_t ignored;

	init();
	for (int i = 0; i < WAITERS; i++)
		pthread_create(&ignored, NULL, waiter, NULL);
	puts("ready");
	fflush(stdout);
	for (size_t i = 0; now() < end || i % N_KINDS; i++) {
		size_t kind = i % N_KINDS;

		n_back = 0;
		kinds[kind].take(kinds[kind].lock);
		kinds[kind].hold();
		kinds[kind].leave(kinds[kind].lock);
		while (n_back < WAITERS)
			sleep_ms(1);
		sleep_ms(5);
	}
	for (size_t i = 0; i < N_KINDS; i++)
		printf("%s %llu %llu\n", kinds[i].name, (unsigned long long)kinds[i].waits,
		       (unsigned long long)kinds[i].ns);
	fflush(stdout);
	_Exit(0);
}
