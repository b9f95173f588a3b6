/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts processes in every way there is, from two threads at once, and checks each.
 *
 *	brood SECONDS        prints "children N wrong N"
 *	brood check NUMBER   is such a child: exits with NUMBER
 *	brood vfork SECONDS [work]
 *
 * The last starts one child by vfork(2) that waits, or computes, for that time, while another
 *thread computes; prints "ready" before and "suspended_ms N computed_ms N" behind it: how long
 *vfork took, and the CPU time of the other thread meanwhile. Its functions are thread_computes()
 *and vfork_computes().
 */
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
static volatile uint64_t sink;
static atomic_ulong started, wrong;
static atomic_int stop;
static uint64_t deadline;

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void compute(int n)
{
	for (int i = 0; i < n; i++)
		sink = sink * 3 + 1;
}

/* --- many children --- */

static pid_t by_fork(char **argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		compute(100000);
		_exit(atoi(argv[2]));
	}
	return pid;
}

static pid_t by_fork_and_exec(char **argv)
{
	pid_t pid = fork();

	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	return pid;
}

static pid_t by_vfork(char **argv)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	return pid;
}

static pid_t by_spawn(char **argv)
{
	pid_t pid;

	return posix_spawn(&pid, "/proc/self/exe", NULL, NULL, argv, environ) == 0 ? pid : -1;
}

static int clone_main(void *arg)
{
	compute(100000);
	_exit(atoi(((char **)arg)[2]));
}

static pid_t by_clone(char **argv)
{
	static __thread char stack[65536] __attribute__((aligned(16)));

	return clone(clone_main, stack + sizeof(stack), SIGCHLD, argv);
}

static void *start_many(void *arg)
{
	pid_t (*const ways[])(char **) = {by_fork, by_fork_and_exec, by_vfork, by_spawn, by_clone};
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; now(CLOCK_MONOTONIC) < deadline; i++) {
		char number[16], *argv[] = {"brood", "check", number, NULL};
		int code = rand_r(&seed) % 120, status;
		pid_t pid;

		snprintf(number, sizeof(number), "%d", code);
		pid = ways[i % 5](argv);
		compute(20000);
		if (pid <= 0 || waitpid(pid, &status, 0) != pid || status != code << 8)
			atomic_fetch_add(&wrong, 1);
		atomic_fetch_add(&started, 1);
	}
	return NULL;
}

/* --- one child by vfork --- */

__attribute__((noinline)) static void *thread_computes(void *arg)
{
	uint64_t *used = arg, start;

	while (!atomic_load(&stop))
		compute(1000);
	start = now(CLOCK_THREAD_CPUTIME_ID);
	while (atomic_load(&stop) == 1)
		compute(1000);
	*used = now(CLOCK_THREAD_CPUTIME_ID) - start;
	return NULL;
}

__attribute__((noinline)) static void vfork_computes(uint64_t end)
{
	while (now(CLOCK_MONOTONIC) < end)
		compute(1000);
}

static int one_by_vfork(double seconds, int work)
{
	uint64_t used = 0, start, end;
	struct timespec nap;
	pthread_t thread;
	char line[16];
	pid_t pid;
	int status;

	pthread_create(&thread, NULL, thread_computes, &used);
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	atomic_store(&stop, 1);
	start = now(CLOCK_MONOTONIC);
	end = start + (uint64_t)(seconds * 1e9);
	nap = (struct timespec){end / 1000000000, end % 1000000000};
	pid = vfork();
	if (pid == 0) {
		if (work)
			vfork_computes(end);
		else if (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &nap, NULL) != 0)
			_exit(1);
		_exit(5);
	}
	end = now(CLOCK_MONOTONIC);
	atomic_store(&stop, 2);
	pthread_join(thread, NULL);
	if (waitpid(pid, &status, 0) != pid || status != 5 << 8)
		return 1;
	printf("suspended_ms %lu computed_ms %lu\n", (unsigned long)((end - start) / 1000000),
	       (unsigned long)(used / 1000000));
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc > 2 && strcmp(argv[1], "check") == 0) {
		compute(100000);
		return atoi(argv[2]);
	}
	if (argc > 2 && strcmp(argv[1], "vfork") == 0)
		return one_by_vfork(atof(argv[2]), argc > 3);
	if (argc != 2)
		return 64;
	deadline = now(CLOCK_MONOTONIC) + (uint64_t)(atof(argv[1]) * 1e9);
	pthread_create(&thread, NULL, start_many, (void *)1);
	start_many((void *)2);
	pthread_join(thread, NULL);
	printf("children %lu wrong %lu\n", atomic_load(&started), atomic_load(&wrong));
	return 0;
}
