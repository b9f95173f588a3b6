/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates on 16 threads and looks after every byte, while other threads wait in timed calls,
 * fork, start programs, load libraries, and open and close descriptors.
 *
 *	churn [fork] [exec] [dlopen] [fds]	until its stdin ends; prints "alive N", and at the
 *						end counts that must be 0: wrong, interrupted,
 *						early, child
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 16
#define BLOCKS 64

static _Atomic unsigned long wrong, interrupted, early, child, rounds;
static _Atomic int ended;

struct block {
	unsigned char *bytes;
	size_t size;
	unsigned char value;
};

static unsigned long next_random(unsigned long *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void check(const struct block *block, size_t size)
{
	for (size_t i = 0; i<size; i += size> 64 ? 61 : 1) {
		if (block->bytes[i] != block->value)
			wrong++;
	}
}

static void renew(struct block *block, unsigned long *state)
{
	size_t size = 1 + next_random(state) % (next_random(state) % 16 ? 500 : 40000);

	errno = 4711;
	if (block->bytes) {
		check(block, block->size);
		if (next_random(state) % 4) {
			free(block->bytes);
			block->bytes = NULL;
		}
	}
	if (block->bytes) {
		block->bytes = realloc(block->bytes, size);
		check(block, size < block->size ? size : block->size);
	} else if (next_random(state) % 4 == 0) {
		block->bytes = calloc(1, size);
		block->value = 0;
		check(&(struct block){block->bytes, size, 0}, size);
	} else {
		block->bytes = next_random(state) % 2 ? aligned_alloc(64, (size + 63) / 64 * 64)
						      : malloc(size);
	}
	if (!block->bytes || errno != 4711)
		wrong++;
	block->size = size;
	block->value = (unsigned char)next_random(state);
	memset(block->bytes, block->value, size);
}

static void work(unsigned long state, unsigned n)
{
	struct block blocks[BLOCKS] = {};

	for (unsigned i = 0; i < n; i++)
		renew(&blocks[next_random(&state) % BLOCKS], &state);
	for (unsigned i = 0; i < BLOCKS; i++)
		free(blocks[i].bytes);
}

static void *worker(void *arg)
{
	unsigned long state = 88172645463325252UL + (unsigned long)arg;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
	while (!ended) {
		work(next_random(&state), 100);
		rounds++;
		usleep(8000);
	}
	return NULL;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void *waiter(void *arg)
{
	int how = (int)(long)arg, epoll = epoll_create1(0);
	struct epoll_event event;

	while (!ended) {
		double start = now();
		struct timespec ts = {0, 50000000};
		int r = how == 0   ? epoll_wait(epoll, &event, 1, 50)
			: how == 1 ? poll(NULL, 0, 50)
				   : nanosleep(&ts, NULL);

		interrupted += r != 0;
		early += r == 0 && now() - start < 0.0499;
	}
	return NULL;
}

static void *forker(void *arg)
{
	while (!ended) {
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			wrong = 0;
			work(4242, 300);
			_exit(wrong != 0);
		}
		if (waitpid(pid, &status, 0) != pid || status)
			child++;
		usleep(30000);
	}
	return arg;
}

/* Between vfork(2) and execve(2) the child runs in the memory of its parent. */
static void *starter(void *arg)
{
	char *const argv[] = {"true", NULL}, *const none[] = {NULL};

	while (!ended) {
		int status;
		pid_t pid;

		if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, none) != 0 ||
		    waitpid(pid, &status, 0) != pid || status)
			child++;
		usleep(20000);
	}
	return arg;
}

static void *loader(void *arg)
{
	static const char *const names[] = {"libz.so.1", "libexpat.so.1", "liblzma.so.5"};

	for (unsigned i = 0; !ended; i++) {
		void *library = dlopen(names[i % 3], RTLD_NOW);

		usleep(40000);
		if (library)
			dlclose(library);
	}
	return arg;
}

/* In a worker, which waits for nothing. */
static void on_signal(int signal)
{
	free(malloc(1 + (size_t)signal * 100));
}

/* A byte goes through; then both are closed. */
static void check_pair(int to, int from)
{
	char byte = 0;

	if (write(to, "x", 1) != 1 || read(from, &byte, 1) != 1 || byte != 'x')
		wrong++;
	if (close(to) != 0 || close(from) != 0)
		wrong++;
}

static void check_copies(void)
{
	int fd, other;

	errno = 4711;
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	other = dup(fd);
	if (fd < 0 || dup2(fd, other) != other || errno != 4711)
		wrong++;
	if (dup2(-1, other) != -1 || errno != EBADF || write(other, "x", 1) != 1)
		wrong++;
	if (fcntl(fd, F_GETFD) != FD_CLOEXEC || fcntl(other, F_GETFD) != 0)
		wrong++;
	if (close(fd) != 0 || close(other) != 0)
		wrong++;
}

static void check_mapping(void)
{
	char *bytes = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bytes[8191] = 1;
	bytes = mremap(bytes, 8192, 16384, MREMAP_MAYMOVE);
	if (bytes[8191] != 1 || munmap(bytes, 16384) != 0)
		wrong++;
}

static void *opener(void *arg)
{
	struct sockaddr_un any = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(any);
	int fds[2], listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* A name of the kernel's choice (unix(7), autobind). */
	if (bind(listening, (struct sockaddr *)&any, sizeof(sa_family_t)) != 0 ||
	    getsockname(listening, (struct sockaddr *)&any, &size) != 0 ||
	    listen(listening, 4) != 0)
		wrong++;
	while (!ended) {
		check_copies();
		check_mapping();
		if (pipe(fds) != 0)
			wrong++;
		check_pair(fds[1], fds[0]);
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
			wrong++;
		check_pair(fds[0], fds[1]);
		fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
		if (connect(fds[0], (struct sockaddr *)&any, size) != 0)
			wrong++;
		fds[1] = accept(listening, NULL, NULL);
		check_pair(fds[0], fds[1]);
		usleep(300);
	}
	return arg;
}

static void *(*find_job(const char *name))(void *)
{
	return strcmp(name, "fork") == 0   ? forker
	       : strcmp(name, "exec") == 0 ? starter
	       : strcmp(name, "fds") == 0  ? opener
					   : loader;
}

int main(int argc, char **argv)
{
	pthread_t threads[WORKERS + 8];
	unsigned n = 0;
	sigset_t signals;
	int polled;

	signal(SIGUSR1, on_signal);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	/* A signal that is ignored wakes a thread all the same when who forked is traced at that
	 * moment (kernel/signal.c sig_ignored), and ends its epoll_wait. */
	sigaddset(&signals, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	for (long i = 0; i < WORKERS; i++)
		pthread_create(&threads[n++], NULL, worker, (void *)i);
	for (long i = 0; i < 3; i++)
		pthread_create(&threads[n++], NULL, waiter, (void *)i);
	for (int i = 1; i < argc; i++)
		pthread_create(&threads[n++], NULL, find_job(argv[i]), NULL);
	do {
		struct pollfd fd = {.fd = 0, .events = POLLIN};

		printf("alive %lu\n", rounds);
		fflush(stdout);
		polled = poll(&fd, 1, 50);
		interrupted += polled < 0;
	} while (polled <= 0);
	ended = 1;
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("wrong %lu interrupted %lu early %lu child %lu rounds %lu\n", wrong, interrupted,
	       early, child, rounds);
	return 0;
}
