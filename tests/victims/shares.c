/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that wait in known ways for known times.
 *
 *	shares SECONDS [PARKED [FILE]]
 *
 * Prints "ready", and at its end for each kind of wait its function, how often it was called and
 * the nanoseconds spent in it. Each call blocks once, for 30 ms or more. PARKED threads wait in
 * parked() from before "ready" to the end. One thread computes half of the time. With FILE, of 16
 *MiB at least, one reads it past the cache, in calls that block many times.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

enum kind {
	SLEEP,
	POLL,
	PIPE,
	MUTEX,
	CONDITION,
	DISK,
	N_KINDS
};

static struct {
	uint64_t calls, ns;
} spent[N_KINDS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, turn_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static unsigned turn;
static int sockets[2], to_pipe[2], to_mutex[2], file = -1;
static atomic_int n_parked;
static atomic_bool done;
static volatile uint64_t sink;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

NOINLINE static void sleep_ms(unsigned ms)
{
	struct timespec time = {.tv_nsec = ms * 1000000L};

	nanosleep(&time, NULL);
	sink++;
}

NOINLINE static void wait_sleep(void)
{
	sleep_ms(40);
	sink++;
}

NOINLINE static void wait_poll(void)
{
	struct pollfd fd = {.fd = sockets[0], .events = POLLIN};

	poll(&fd, 1, 60);
	sink++;
}

NOINLINE static void wait_pipe(void)
{
	char byte;

	sink += (uint64_t)read(to_pipe[0], &byte, 1);
}

NOINLINE static void wait_mutex(void)
{
	pthread_mutex_lock(&mutex);
	sink++;
}

NOINLINE static void wait_condition(void)
{
	unsigned before;

	pthread_mutex_lock(&turn_lock);
	before = turn;
	while (turn == before)
		pthread_cond_wait(&turned, &turn_lock);
	pthread_mutex_unlock(&turn_lock);
	sink++;
}

NOINLINE static void wait_disk(void)
{
	static char bytes[1 << 20] __attribute__((aligned(4096)));

	for (off_t at = 0; at < 16; at++)
		sink += (uint64_t)pread(file, bytes, sizeof(bytes), at << 20);
}

/* Until the other one has the mutex. */
NOINLINE static void await_holder(void)
{
	char byte;

	sink += (uint64_t)read(to_mutex[0], &byte, 1);
}

static void *waiter(void *arg)
{
	static void (*const functions[])(void) = {wait_sleep, wait_poll,      wait_pipe,
						  wait_mutex, wait_condition, wait_disk};
	enum kind kind = (enum kind)(uintptr_t)arg;

	while (!done) {
		uint64_t start;

		if (kind == MUTEX)
			await_holder();
		start = now();
		functions[kind]();
		spent[kind].ns += now() - start;
		spent[kind].calls++;
		if (kind == MUTEX)
			pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

NOINLINE static void hold(void)
{
	sleep_ms(50);
	sink++;
}

static void *feeder(void *arg)
{
	/* One round more than the others wait for. */
	for (int more = 2; more; more -= done) {
		pthread_mutex_lock(&mutex);
		sink += (uint64_t)write(to_mutex[1], "", 1);
		hold();
		pthread_mutex_unlock(&mutex);
		sink += (uint64_t)write(to_pipe[1], "", 1);
		pthread_mutex_lock(&turn_lock);
		turn++;
		pthread_mutex_unlock(&turn_lock);
		pthread_cond_signal(&turned);
		sleep_ms(30);
	}
	return arg;
}

NOINLINE static void compute(void)
{
	uint64_t end = now() + 30000000;

	while (now() < end)
		sink++;
}

static void *worker(void *arg)
{
	while (!done) {
		compute();
		sleep_ms(30);
	}
	return arg;
}

NOINLINE static void *parked(void *arg)
{
	atomic_fetch_add(&n_parked, 1);
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv)
{
	static const char *const names[] = {"wait_sleep", "wait_poll",      "wait_pipe",
					    "wait_mutex", "wait_condition", "wait_disk"};
	double seconds = argc > 1 ? atof(argv[1]) : 60;
	int wanted = argc > 2 ? atoi(argv[2]) : 0;
	unsigned kinds = argc > 3 ? N_KINDS : DISK;
	pthread_t threads[N_KINDS + 2], ignored;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0 || pipe(to_pipe) < 0 ||
	    pipe(to_mutex) < 0)
		return 1;
	if (argc > 3)
		file = open(argv[3], O_RDONLY | O_DIRECT);
	if (argc > 3 && file < 0) {
		perror(argv[3]);
		return 1;
	}
	for (int i = 0; i < wanted; i++)
		pthread_create(&ignored, NULL, parked, NULL);
	while (n_parked < wanted)
		sleep_ms(1);
	/* The last one has still to get from there into the kernel. */
	sleep_ms(100);
	for (uintptr_t kind = 0; kind < kinds; kind++)
		pthread_create(&threads[kind], NULL, waiter, (void *)kind);
	pthread_create(&threads[kinds], NULL, feeder, NULL);
	pthread_create(&threads[kinds + 1], NULL, worker, NULL);
	puts("ready");
	fflush(stdout);
	usleep((useconds_t)(seconds * 1e6));
	done = 1;
	for (unsigned i = 0; i < kinds + 2; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < kinds; i++)
		printf("%s %llu %llu\n", names[i], (unsigned long long)spent[i].calls,
		       (unsigned long long)spent[i].ns);
	return 0;
}
