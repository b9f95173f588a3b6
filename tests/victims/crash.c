/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three threads compute; a line on stdin ends the program.
 *
 *	crash segv|int3|abort|thread|return|exit
 *
 * Prints "ready". thread: a thread that is not the leader calls a null pointer; return: main
 * returns 7 while the others run; exit: a thread that is not the leader calls exit_group(2) with 8.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile uint64_t sink;
static int (*volatile nowhere)(void);
/* Not a constant, which compilers warn of. */
static char *volatile unmapped = (char *)8;

static void *spin(void *arg)
{
	for (;;)
		sink = sink * 3 + 1;
	return arg;
}

static void *call_nowhere(void *arg)
{
	return (void *)(intptr_t)nowhere();
}

static void *leave(void *arg)
{
	_exit(8);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[16];

	if (argc != 2)
		return 64;
	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, spin, NULL);
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	if (strcmp(argv[1], "segv") == 0)
		*(volatile char *)unmapped = 1;
	else if (strcmp(argv[1], "int3") == 0)
		__asm__ volatile("int3");
	else if (strcmp(argv[1], "abort") == 0)
		abort();
	else if (strcmp(argv[1], "return") == 0)
		return 7;
	pthread_create(&thread, NULL, strcmp(argv[1], "exit") == 0 ? leave : call_nowhere, NULL);
	pthread_join(thread, NULL);
	return 1;
}
