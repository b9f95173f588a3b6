/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes descriptors, mappings, threads and handles of libraries, and gives some of them back.
 *
 *	presets		prints "ready"; at a line on its stdin does what is below, and prints
 *			"done"; ends with its stdin
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEP __attribute__((noinline)) static

static volatile int sink;

/* 5 stay open. */
KEEP void leak_files(void)
{
	for (int i = 0; i < 8; i++) {
		int fd = open("/dev/null", i % 2 ? O_RDONLY : O_RDWR | O_CLOEXEC);

		if (i < 3)
			close(fd);
	}
	sink = open("/nonexistent", O_RDONLY);
}

/* 3 stay open. */
KEEP void leak_pairs(void)
{
	int fds[2];

	sink = pipe(fds);
	close(fds[0]);
	sink = socketpair(AF_UNIX, SOCK_STREAM, 0, fds);
	sink = socketpair(AF_UNIX, -1, 0, fds);
}

/* 4 stay open: what is replaced is another's no more. */
KEEP void leak_copies(void)
{
	int fd = open("/dev/null", O_RDONLY), other = dup(fd);

	dup2(fd, other);
	dup2(-1, other);
	dup3(fd, 100, O_CLOEXEC);
	sink = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	sink = fcntl(fd, F_GETFL, 0);
}

/* 3 stay open. */
KEEP void leak_others(void)
{
	sink = epoll_create1(0);
	sink = eventfd(0, 0);
	sink = timerfd_create(CLOCK_MONOTONIC, 0);
	close(memfd_create("x", 0));
}

/* Closed by the C library. */
KEEP void close_unseen(void)
{
	FILE *file = fdopen(open("/dev/null", O_RDONLY), "r");

	fclose(file);
}

/* In children nothing of it counts. */
KEEP void in_children(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		close(100);
		sink = open("/dev/null", O_RDONLY);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	pid = vfork();
	if (pid == 0) {
		close(100);
		sink = open("/dev/null", O_RDONLY);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

/* 5 stay, with 1 + 2 + 3 + 10 + 4 pages. */
KEEP void map(void)
{
	char *maps[5];
	long page = sysconf(_SC_PAGESIZE);

	for (int i = 0; i < 5; i++)
		maps[i] = mmap(NULL, (size_t)(i + 1) * (size_t)page, PROT_READ,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	munmap(maps[4], 5 * (size_t)page);
	maps[3] = mremap(maps[3], 4 * (size_t)page, 10 * (size_t)page, MREMAP_MAYMOVE);
	sink = mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
	sink = mmap(NULL, 4 * (size_t)page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != NULL;
}

static void *end_at_once(void *arg)
{
	return arg;
}

/* 3 are neither joined nor detached. */
KEEP void make_threads(void)
{
	pthread_attr_t detached;
	pthread_t threads[6];

	for (int i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, end_at_once, NULL);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	pthread_detach(threads[2]);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_create(&threads[0], &detached, end_at_once, NULL);
	pthread_attr_destroy(&detached);
}

/* 2 handles stay. */
KEEP void load(void)
{
	void *handle = dlopen("libz.so.1", RTLD_NOW);

	sink = dlopen("libz.so.1", RTLD_NOW) != NULL;
	sink = dlopen("libz.so.1", RTLD_NOW) != NULL;
	sink = dlopen("/nonexistent.so", RTLD_NOW) != NULL;
	if (handle)
		dlclose(handle);
}

int main(void)
{
	char line;

	puts("ready");
	fflush(stdout);
	while (read(0, &line, 1) == 1) {
		leak_files();
		leak_pairs();
		leak_copies();
		leak_others();
		close_unseen();
		in_children();
		map();
		make_threads();
		load();
		puts("done");
		fflush(stdout);
	}
	return 0;
}
