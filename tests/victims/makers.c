/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that make threads.
 *
 *	makers ROUNDS
 *
 * Prints "ready", waits for a line, and then makes in each round three threads in make_pairs(),
 *called by main, and one in make_one(), called by a second thread; each ends at once. At the end
 *prints how often each was called, and how often a thread that waits in epoll_wait() came back with
 *EINTR.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static atomic_int made_pairs, made_one, interrupted;
static int rounds;

static void *nothing(void *arg)
{
	return arg;
}

static void make(int n, atomic_int *count)
{
	pthread_t threads[8];

	for (int i = 0; i < n; i++) {
		if (pthread_create(&threads[i], NULL, nothing, NULL))
			abort();
		atomic_fetch_add(count, 1);
	}
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

NOINLINE static void make_pairs(void)
{
	make(3, &made_pairs);
}

NOINLINE static void make_one(void)
{
	make(1, &made_one);
}

static void *second(void *arg)
{
	for (int i = 0; i < rounds; i++)
		make_one();
	return arg;
}

static void *waits(void *arg)
{
	int fd = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	while (epoll_wait(fd, &event, 1, -1) < 0 && errno == EINTR)
		interrupted++;
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t other, ignored;

	rounds = argc > 1 ? atoi(argv[1]) : 100;
	pthread_create(&ignored, NULL, waits, NULL);
	puts("ready");
	fflush(stdout);
	(void)getchar();
	pthread_create(&other, NULL, second, NULL);
	for (int i = 0; i < rounds; i++)
		make_pairs();
	pthread_join(other, NULL);
	printf("make_pairs %d make_one %d interrupted %d\n", made_pairs, made_one, interrupted);
	return 0;
}
