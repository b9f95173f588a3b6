/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process tree with known CPU time.
 *
 *	family SECONDS
 *
 * The parent starts, one after the other: a fork(2) that computes in child_computes(), a vfork(2)
 * of /bin/true, a posix_spawn(3) of itself as "family work", a thread that forks; and in the end
 * some children that live for a moment only. It computes in parent_computes() meanwhile. Prints
 * "total NANOSECONDS", the CPU time of itself and its children.
 */
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static volatile uint64_t sink;
static double seconds;

static double cpu(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       1e-6 * (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static void compute(double time)
{
	double end = cpu(RUSAGE_SELF) + time;

	do {
		for (int i = 0; i < 100000; i++)
			sink = sink * 3 + 1;
	} while (cpu(RUSAGE_SELF) < end);
}

__attribute__((noinline)) void child_computes(double time)
{
	compute(time);
	sink++;
}

__attribute__((noinline)) void spawned_computes(double time)
{
	compute(time);
	sink++;
}

__attribute__((noinline)) void parent_computes(double time)
{
	compute(time);
	sink++;
}

static void *forks(void *arg)
{
	if (fork() == 0) {
		child_computes(seconds / 8);
		_exit(0);
	}
	return NULL;
}

static void end_all(void)
{
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	char *work[] = {argv[0], "work", argv[1], NULL};
	pthread_t thread;
	pid_t pid;

	if (argc == 3) {
		spawned_computes(atof(argv[2]) / 4);
		return 0;
	}
	if (argc != 2)
		return 64;
	seconds = atof(argv[1]);
	if (fork() == 0) {
		child_computes(seconds / 4);
		_exit(0);
	}
	pid = vfork();
	if (pid == 0) {
		execl("/bin/true", "true", (char *)NULL);
		_exit(127);
	}
	if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, work, environ) != 0)
		return 1;
	pthread_create(&thread, NULL, forks, NULL);
	parent_computes(seconds / 4);
	pthread_join(thread, NULL);
	end_all();
	for (int i = 0; i < 50; i++) {
		if (fork() == 0)
			_exit(0);
		end_all();
	}
	printf("total %.0f\n", 1e9 * (cpu(RUSAGE_SELF) + cpu(RUSAGE_CHILDREN)));
	return 0;
}
