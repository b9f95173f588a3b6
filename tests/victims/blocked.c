/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that are blocked below known functions, and one that computes.
 *
 *	blocked THREADS [leave | deep]
 *
 * The threads wait in turn in poll, pause, nanosleep, read and a futex; every second one is called
 * by qsort(3) of libc. With "leave" the main thread ends and the computing goes on in another one;
 * with "deep" the stacks are larger than what is copied of one at first.
 * Prints "ready" when all wait.
 */
#include <pthread.h>
#include <poll.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

#define DEEP (400 * 1024)

static volatile uint64_t sink;
static bool are_deep;
static atomic_int waiting;
static int never[2];
static sem_t semaphore;

NOINLINE int wait_somewhere(int kind, char *buffer)
{
	struct timespec long_time = {.tv_sec = 100000};
	char local[200];

	memset(local, kind, sizeof(local));
	buffer[0] = local[3];
	atomic_fetch_add(&waiting, 1);
	switch (kind % 5) {
	case 0:
		return poll(NULL, 0, -1);
	case 1:
		return pause();
	case 2:
		return nanosleep(&long_time, NULL);
	case 3:
		return (int)read(never[0], buffer, 1);
	default:
		return sem_wait(&semaphore);
	}
}

/* More arguments than registers: some are pushed for the call. */
NOINLINE int many_arguments(int a, int b, int c, int d, int e, int f, int g, int h, char *buffer)
{
	char local[64];

	memset(local, a, sizeof(local));
	return wait_somewhere(a, buffer) + b + c + d + e + f + g + h + local[1];
}

NOINLINE int some_frame(int kind)
{
	char buffer[300];

	return many_arguments(kind, 1, 2, 3, 4, 5, 6, 7, buffer) + buffer[3];
}

NOINLINE int compare_once(const void *a, const void *b)
{
	return some_frame(*(const int *)a);
}

NOINLINE int below_libc(int kind)
{
	int two[2] = {kind, kind};

	qsort(two, 2, sizeof(two[0]), compare_once);
	return two[0];
}

NOINLINE int begin(int kind)
{
	return kind % 2 ? below_libc(kind) : some_frame(kind);
}

NOINLINE int deep(int kind)
{
	volatile char much[DEEP];

	much[0] = (char)kind;
	return begin(kind) + much[0];
}

static void *run(void *arg)
{
	int kind = (int)(intptr_t)arg;

	sink += (uint64_t)(are_deep ? deep(kind) : begin(kind));
	return NULL;
}

NOINLINE void *compute(void *arg)
{
	for (;;)
		sink = sink * 3 + 1;
}

int main(int argc, char **argv)
{
	pthread_attr_t small;
	pthread_t thread;
	int n = argc > 1 ? atoi(argv[1]) : 10;

	if (pipe(never) < 0)
		return 1;
	sem_init(&semaphore, 0, 0);
	pthread_attr_init(&small);
	are_deep = argc > 2 && strcmp(argv[2], "deep") == 0;
	pthread_attr_setstacksize(&small, (are_deep ? 2 * DEEP : 0) + 64 * 1024);
	for (int i = 0; i < n; i++) {
		if (pthread_create(&thread, &small, run, (void *)(intptr_t)i) != 0)
			return 1;
	}
	while (atomic_load(&waiting) < n)
		usleep(1000);
	if (argc > 2 && strcmp(argv[2], "leave") == 0)
		pthread_create(&thread, NULL, compute, NULL);
	puts("ready");
	fflush(stdout);
	if (argc > 2 && !are_deep)
		pthread_exit(NULL);
	compute(NULL);
	return 0;
}
