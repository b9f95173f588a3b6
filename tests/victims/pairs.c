/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pair of malloc(3) and free(3) costs.
 *
 *	pairs THREADS	prints, ten times a second, when the line before was printed (seconds, of
 *			CLOCK_MONOTONIC), and the CPU time in ns that a pair took since, over all
 *			threads
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define PAIRS 1000

static _Atomic unsigned long n_pairs;

static void *work(void *arg)
{
	for (;;) {
		for (unsigned i = 0; i < PAIRS; i++) {
			void *volatile memory = malloc(48);

			free(memory);
		}
		n_pairs += PAIRS;
	}
	return arg;
}

static double clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	unsigned long before = 0;
	double cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), since = clock_ns(CLOCK_MONOTONIC);
	pthread_t thread;

	while (threads--)
		pthread_create(&thread, NULL, work, NULL);
	for (;;) {
		double now;
		unsigned long pairs;

		usleep(100000);
		now = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
		pairs = n_pairs;
		printf("%.6f %.2f\n", since / 1e9, (now - cpu) / (double)(pairs - before));
		fflush(stdout);
		before = pairs;
		cpu = now;
		since = clock_ns(CLOCK_MONOTONIC);
	}
}
