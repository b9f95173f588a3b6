/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executes itself again and again, with busy siblings.
 *
 *	execloop TIMES [leader|alternate]
 *
 * From a thread that is not the leader, from the leader, or from either in turn. Prints "done" at
 *the end.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t sink;

static void *spin(void *arg)
{
	for (;;)
		sink = sink * 3 + 1;
	return arg;
}

static void *again(void *arg)
{
	char **argv = arg, times[16];
	struct timespec nap = {.tv_nsec = 3000000};

	nanosleep(&nap, NULL);
	snprintf(times, sizeof(times), "%d", atoi(argv[1]) - 1);
	execl("/proc/self/exe", argv[0], times, argv[2], (char *)NULL);
	abort();
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 2)
		return 64;
	if (atoi(argv[1]) == 0) {
		puts("done");
		return 0;
	}
	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, spin, NULL);
	if (argc > 2 && (strcmp(argv[2], "leader") == 0 || atoi(argv[1]) % 2))
		again(argv);
	pthread_create(&thread, NULL, again, argv);
	spin(NULL);
	return 1;
}
