/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that may call read, write and exit only: SECCOMP_MODE_STRICT kills it for anything else.
 *
 *	strict SECONDS
 *
 * It computes and answers another thread through pipes. Prints "answers N wrong N".
 */
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t sink;
static int ask[2], answer[2];

static void *live_strictly(void *arg)
{
	uint64_t word;

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) < 0)
		_exit(77);
	while (read(ask[0], &word, sizeof(word)) == sizeof(word)) {
		for (int i = 0; i < 200000; i++)
			sink = sink * 3 + 1;
		word++;
		if (write(answer[1], &word, sizeof(word)) != sizeof(word))
			break;
	}
	syscall(SYS_exit, 0);
	return arg;
}

int main(int argc, char **argv)
{
	uint64_t word, answers = 0, wrong = 0;
	struct timespec ts, end;
	pthread_t thread;

	if (argc != 2 || pipe(ask) < 0 || pipe(answer) < 0)
		return 64;
	alarm(60);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += atoi(argv[1]);
	pthread_create(&thread, NULL, live_strictly, NULL);
	do {
		word = answers;
		if (write(ask[1], &word, sizeof(word)) != sizeof(word) ||
		    read(answer[0], &word, sizeof(word)) != sizeof(word))
			return 1;
		wrong += word != answers + 1;
		answers++;
		clock_gettime(CLOCK_MONOTONIC, &ts);
	} while (ts.tv_sec < end.tv_sec);
	close(ask[1]);
	pthread_join(thread, NULL);
	printf("answers %lu wrong %lu\n", (unsigned long)answers, (unsigned long)wrong);
	return 0;
}
