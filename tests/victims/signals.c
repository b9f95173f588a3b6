/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Four busy threads that take signals, and one that waits in epoll_wait.
 *
 *	signals
 *
 * Prints "ready". Counts queued SIGRTMIN and checks that their values come in order; a line on
 * stdin ends it. Then prints "signals N disorder N waits N eintr N early N".
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t sink;
static atomic_int received, disorder, next_value, stop;
static int waits, eintr, early;

static void on_signal(int signal, siginfo_t *info, void *context)
{
	if (info->si_value.sival_int != atomic_load(&next_value))
		atomic_fetch_add(&disorder, 1);
	atomic_store(&next_value, info->si_value.sival_int + 1);
	atomic_fetch_add(&received, 1);
}

static void *spin(void *arg)
{
	while (!atomic_load(&stop))
		sink = sink * 3 + 1;
	return NULL;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Works for a moment, then waits: the sampler often meets it on the edge. */
static void *wait_in_epoll(void *arg)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	while (!atomic_load(&stop)) {
		uint64_t start;

		for (int i = 0; i < 200000; i++)
			sink = sink * 3 + 1;
		start = now_ms();
		waits++;
		if (epoll_wait(epoll, &event, 1, 5) < 0)
			eintr += errno == EINTR;
		else if (now_ms() - start < 4)
			early++;
	}
	close(epoll);
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	pthread_t threads[2], waiter;
	sigset_t signals;
	char line[16];

	sigemptyset(&signals);
	sigaddset(&signals, SIGRTMIN);
	sigaction(SIGRTMIN, &action, NULL);
	/* Only the first thread takes them: order can be checked. */
	pthread_create(&threads[0], NULL, spin, NULL);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	pthread_create(&threads[1], NULL, spin, NULL);
	pthread_create(&waiter, NULL, wait_in_epoll, NULL);
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	atomic_store(&stop, 1);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	pthread_join(waiter, NULL);
	printf("signals %d disorder %d waits %d eintr %d early %d\n", atomic_load(&received),
	       atomic_load(&disorder), waits, eintr, early);
	return 0;
}
