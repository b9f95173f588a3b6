/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits that are short, under a seccomp filter that kills whoever calls restart_syscall(2).
 *
 *	filtered SECONDS
 *
 * Three threads work for a moment and wait in poll, nanosleep and a timed futex. Prints
 * "waits N early N".
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_uint waits, early;
static uint64_t deadline;
static const struct timespec three_ms = {.tv_nsec = 3000000};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static int in_poll(void)
{
	return poll(NULL, 0, 3);
}

static int in_nanosleep(void)
{
	return nanosleep(&three_ms, NULL);
}

static int in_futex(void)
{
	static uint32_t word;

	return syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &three_ms, NULL, 0) < 0 &&
			       errno == ETIMEDOUT
		       ? 0
		       : -1;
}

static void *work(void *arg)
{
	int (*wait)(void) = (int (*)(void))(uintptr_t)arg;

	while (now() < deadline) {
		uint64_t start = now();

		while (now() < start + 300000)
			;
		start = now();
		if (wait() != 0 || now() - start < 2900000)
			atomic_fetch_add(&early, 1);
		atomic_fetch_add(&waits, 1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_restart_syscall, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};
	int (*const calls[])(void) = {in_poll, in_nanosleep, in_futex};
	pthread_t threads[3];

	if (argc != 2)
		return 64;
	deadline = now() + (uint64_t)(atof(argv[1]) * 1e9);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
		return 77;
	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)calls[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("waits %u early %u\n", atomic_load(&waits), atomic_load(&early));
	return 0;
}
