/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that live for a moment only.
 *
 *	storm SECONDS [MICROSECONDS]
 *
 * Four threads start one thread after the other, each of which computes for MICROSECONDS (100) and
 * ends. Prints "started N".
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static atomic_ulong started;
static uint64_t deadline, life_ns = 100000;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void *live(void *arg)
{
	uint64_t end = now() + life_ns;

	while (now() < end)
		;
	return NULL;
}

static void *start_many(void *arg)
{
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 64 * 1024);
	while (now() < deadline) {
		pthread_t thread;

		if (pthread_create(&thread, &small, live, NULL) != 0)
			abort();
		pthread_join(thread, NULL);
		atomic_fetch_add(&started, 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];

	if (argc < 2)
		return 64;
	if (argc > 2)
		life_ns = strtoull(argv[2], NULL, 10) * 1000;
	deadline = now() + (uint64_t)(atof(argv[1]) * 1e9);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, start_many, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("started %lu\n", atomic_load(&started));
	return 0;
}
