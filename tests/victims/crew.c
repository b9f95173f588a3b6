/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sixteen threads that compute, wait in system calls and take signals, and a child process that
 * sends these signals as fast as they are taken.
 *
 *	crew
 *
 * Prints "ready". A line on stdin ends it; then it prints one line of "NAME NUMBER" pairs: for each
 * kind of signal how many were sent and received, "disorder" (a queued value that is not the next
 * one), "strange" (siginfo of another sender), and of the threads that no signal reaches: waits,
 * "eintr", "early", and pipe bytes that are "wrong". Every wait must have gone on until the end, or
 * it does not end.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* To the process, queued; to one thread, queued; to the process, not queued; for sigwaitinfo(2). */
enum {
	QUEUED,
	DIRECTED,
	PLAIN,
	WAITED,
	KINDS
};

/* How many may be under way: a signal that is not queued only one at a time, or they merge. */
static const int limits[KINDS] = {64, 64, 1, 64};
static const char *const names[KINDS] = {"queued", "directed", "plain", "waited"};

static struct shared {
	atomic_long sent[KINDS], received[KINDS];
	atomic_long disorder, strange, lost;
	atomic_int directed_tid, stop;
} * shared;

static volatile uint64_t sink;
static atomic_int stop;
static atomic_long waits, eintr, early, wrong;
static pid_t sender;
static const struct timespec two_ms = {.tv_nsec = 2000000};

static int number_of(int kind)
{
	return kind == PLAIN ? SIGUSR1 : SIGRTMIN + kind;
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void compute(int n)
{
	for (int i = 0; i < n; i++)
		sink = sink * 3 + 1;
}

/* --- the sender --- */

static void send_one(int kind, pid_t pid)
{
	siginfo_t info = {.si_signo = number_of(kind), .si_code = SI_QUEUE};
	long next = atomic_load(&shared->sent[kind]);
	long r;

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = (int)next;
	/* Counted first, or it could be received before. */
	atomic_fetch_add(&shared->sent[kind], 1);
	if (kind == PLAIN)
		r = kill(pid, number_of(kind));
	else if (kind == DIRECTED)
		r = syscall(SYS_rt_tgsigqueueinfo, pid, atomic_load(&shared->directed_tid),
			    number_of(kind), &info);
	else
		r = sigqueue(pid, number_of(kind), info.si_value);
	if (r < 0)
		_exit(1);
}

static void send_all(pid_t pid)
{
	uint64_t moved = now();

	for (;;) {
		int sent = 0, missing = 0;

		for (int kind = 0; kind < KINDS; kind++) {
			long out = atomic_load(&shared->sent[kind]) -
				   atomic_load(&shared->received[kind]);

			if (kind == PLAIN)
				out -= atomic_load(&shared->lost);
			missing += out > 0;
			if (out >= limits[kind] || atomic_load(&shared->stop))
				continue;
			send_one(kind, pid);
			sent++;
			if (kind == PLAIN)
				moved = now();
		}
		if (atomic_load(&shared->stop) && (!missing || now() > moved + 5000000000ULL))
			_exit(0);
		/* So that the rest of the test is not of signals that wait for a lost one. */
		if (now() > moved + 5000000000ULL) {
			atomic_fetch_add(&shared->lost, 1);
			moved = now();
		}
		if (!sent)
			nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
	}
}

/* --- the receivers --- */

static void take(int kind, const siginfo_t *info)
{
	static atomic_long next[KINDS];

	if (info->si_pid != sender || info->si_code != (kind == PLAIN ? SI_USER : SI_QUEUE))
		atomic_fetch_add(&shared->strange, 1);
	if (kind != PLAIN && info->si_value.sival_int != atomic_load(&next[kind]))
		atomic_fetch_add(&shared->disorder, 1);
	atomic_store(&next[kind], info->si_value.sival_int + 1);
	atomic_fetch_add(&shared->received[kind], 1);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
	take(signal == SIGUSR1 ? PLAIN : signal - SIGRTMIN, info);
}

static void unblock(int signal)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, signal);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

static void *take_queued(void *arg)
{
	unblock(number_of(QUEUED));
	while (!atomic_load(&stop))
		compute(1000);
	return NULL;
}

static void *take_directed(void *arg)
{
	atomic_store(&shared->directed_tid, gettid());
	unblock(number_of(DIRECTED));
	while (!atomic_load(&stop)) {
		compute(1000);
		nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
	}
	return NULL;
}

static void *take_plain(void *arg)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event event;

	unblock(number_of(PLAIN));
	while (!atomic_load(&stop)) {
		epoll_wait(epoll, &event, 1, 1);
		compute(10000);
	}
	close(epoll);
	return NULL;
}

static void *take_waited(void *arg)
{
	sigset_t signals;
	siginfo_t info;

	sigemptyset(&signals);
	sigaddset(&signals, number_of(WAITED));
	while (!atomic_load(&stop)) {
		if (sigtimedwait(&signals, &info, &two_ms) > 0)
			take(WAITED, &info);
		else if (errno == EINTR)
			atomic_fetch_add(&eintr, 1);
	}
	return NULL;
}

/* --- threads that no signal reaches --- */

static void *spin(void *arg)
{
	while (!atomic_load(&stop))
		compute(1000);
	return NULL;
}

static int in_epoll(int epoll)
{
	struct epoll_event event;

	return epoll_wait(epoll, &event, 1, 2);
}

static int in_nanosleep(int unused)
{
	return nanosleep(&two_ms, NULL);
}

static int in_futex(int unused)
{
	static uint32_t word;
	long r = syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &two_ms, NULL, 0);

	return r < 0 && errno == ETIMEDOUT ? 0 : -1;
}

/* Works for a moment, then waits: the sampler often meets it on the edge. */
static void *wait_often(void *arg)
{
	int (*wait)(int) = (int (*)(int))(uintptr_t)arg;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	while (!atomic_load(&stop)) {
		uint64_t start;

		compute(20000);
		start = now();
		if (wait(epoll) < 0)
			atomic_fetch_add(&eintr, 1);
		else if (now() - start < 1900000)
			atomic_fetch_add(&early, 1);
		atomic_fetch_add(&waits, 1);
	}
	close(epoll);
	return NULL;
}

static void *fill_pipe(void *arg)
{
	const int *ends = arg;
	uint32_t words[64];

	for (uint32_t next = 0; !atomic_load(&stop);) {
		for (int i = 0; i < 64; i++)
			words[i] = next++;
		compute(5000);
		if (write(ends[1], words, sizeof(words)) != sizeof(words))
			atomic_fetch_add(&eintr, 1);
	}
	close(ends[1]);
	return NULL;
}

static void *drain_pipe(void *arg)
{
	const int *ends = arg;
	uint32_t words[64], next = 0;
	ssize_t n;

	while ((n = read(ends[0], words, sizeof(words))) != 0) {
		if (n != sizeof(words))
			atomic_fetch_add(&eintr, 1);
		for (ssize_t i = 0; i < n / 4; i++, next++) {
			if (words[i] != next)
				atomic_fetch_add(&wrong, 1);
		}
		atomic_fetch_add(&waits, 1);
	}
	return NULL;
}

int main(void)
{
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
	int pipes[2][2], n = 0;
	pthread_t threads[16];
	sigset_t all;
	char line[16];

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	if (shared == MAP_FAILED || pipe(pipes[0]) < 0 || pipe(pipes[1]) < 0)
		return 1;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (int kind = 0; kind < KINDS; kind++)
		sigaction(number_of(kind), &action, NULL);
	sender = fork();
	if (sender == 0) {
		while (!atomic_load(&shared->directed_tid))
			sched_yield();
		send_all(getppid());
	}
	pthread_create(&threads[n++], NULL, take_queued, NULL);
	pthread_create(&threads[n++], NULL, take_directed, NULL);
	pthread_create(&threads[n++], NULL, take_plain, NULL);
	pthread_create(&threads[n++], NULL, take_waited, NULL);
	for (int i = 0; i < 2; i++) {
		pthread_create(&threads[n++], NULL, spin, NULL);
		pthread_create(&threads[n++], NULL, wait_often, (void *)(uintptr_t)in_epoll);
		pthread_create(&threads[n++], NULL, wait_often, (void *)(uintptr_t)in_nanosleep);
		pthread_create(&threads[n++], NULL, wait_often, (void *)(uintptr_t)in_futex);
		pthread_create(&threads[n++], NULL, fill_pipe, pipes[i]);
		pthread_create(&threads[n++], NULL, drain_pipe, pipes[i]);
	}
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		fputs("crew: no line came\n", stderr);
	atomic_store(&shared->stop, 1);
	waitpid(sender, NULL, 0);
	atomic_store(&stop, 1);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (int kind = 0; kind < KINDS; kind++)
		printf("%s_sent %ld %s_received %ld ", names[kind], shared->sent[kind], names[kind],
		       shared->received[kind]);
	printf("disorder %ld strange %ld waits %ld eintr %ld early %ld wrong %ld\n",
	       shared->disorder, shared->strange, atomic_load(&waits), atomic_load(&eintr),
	       atomic_load(&early), atomic_load(&wrong));
	return 0;
}
