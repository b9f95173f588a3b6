/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures its own CPU time by phase, for comparison with a profile of it.
 *
 *	phases user|kernel THREADS SECONDS
 *
 * Each thread goes through the phases again and again, and asks its own CPU clock what each took.
 * At the end prints a line "PHASE NANOSECONDS" for each, and "process NANOSECONDS": all of its CPU
 * time. A phase is a function of that name.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

static volatile uint64_t sink;
static uint64_t deadline;

static uint64_t now(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

struct state {
	uint32_t numbers[20000];
	char from[1 << 20], to[1 << 20];
	int zero, null;
};

NOINLINE static void phase_hash(struct state *s)
{
	uint64_t h = 1469598103934665603ULL;

	for (int round = 0; round < 6; round++) {
		for (size_t i = 0; i < sizeof(s->from); i++)
			h = (h ^ (unsigned char)s->from[i]) * 1099511628211ULL;
	}
	sink += h;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

NOINLINE static void phase_sort(struct state *s)
{
	uint32_t x = 12345;

	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < 20000; i++)
			s->numbers[i] = x = x * 1664525 + 1013904223;
		qsort(s->numbers, 20000, sizeof(s->numbers[0]), compare);
	}
	sink += s->numbers[77];
}

NOINLINE static uint64_t descend(unsigned depth, uint64_t x)
{
	volatile uint64_t local = x;

	if (depth == 0) {
		for (int i = 0; i < 20000; i++)
			local = local * 6364136223846793005ULL + 1;
		return local;
	}
	return descend(depth - 1, x + 1) + local;
}

NOINLINE static void phase_recursion(struct state *s)
{
	for (int i = 0; i < 150; i++)
		sink += descend(300, (uint64_t)i);
}

NOINLINE static void phase_copy(struct state *s)
{
	for (int i = 0; i < 100; i++) {
		memcpy(s->to, s->from, sizeof(s->to));
		sink += (uint64_t)s->to[i];
	}
}

NOINLINE static void phase_bursts(struct state *s)
{
	/* Some 200 µs of work, then a nap, like a thread that serves requests. */
	for (int i = 0; i < 20; i++) {
		struct timespec nap = {.tv_nsec = 300000};

		for (int k = 0; k < 100000; k++)
			sink = sink * 3 + 1;
		nanosleep(&nap, NULL);
	}
}

NOINLINE static void phase_zero(struct state *s)
{
	for (int i = 0; i < 100; i++) {
		if (read(s->zero, s->to, sizeof(s->to)) < 0)
			abort();
	}
}

NOINLINE static void phase_map(struct state *s)
{
	for (int i = 0; i < 20; i++) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			abort();
		for (size_t at = 0; at < 1 << 20; at += 4096)
			p[at] = 1;
		munmap(p, 1 << 20);
	}
}

NOINLINE static void phase_calls(struct state *s)
{
	/* Short calls: half of the time or more is the way in and out of the kernel. */
	for (int i = 0; i < 30000; i++) {
		if (write(s->null, s->from, 64) != 64)
			abort();
	}
}

NOINLINE static void phase_random(struct state *s)
{
	static __thread int fd = -1;

	if (fd < 0)
		fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < 40; i++) {
		if (read(fd, s->to, 1 << 17) < 0)
			abort();
	}
}

struct phase {
	const char *name;
	void (*run)(struct state *s);
};

static const struct phase user_phases[] = {
	{"phase_hash", phase_hash}, {"phase_sort", phase_sort}, {"phase_recursion", phase_recursion},
	{"phase_copy", phase_copy}, {"phase_bursts", phase_bursts}, {NULL, NULL},
};

static const struct phase kernel_phases[] = {
	{"phase_zero", phase_zero}, {"phase_map", phase_map}, {"phase_calls", phase_calls},
	{"phase_random", phase_random}, {"phase_hash", phase_hash}, {NULL, NULL},
};

static const struct phase *phases;
static uint64_t totals[16];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *work(void *arg)
{
	struct state *s = calloc(1, sizeof(*s));
	uint64_t mine[16] = {0};

	if (!s)
		abort();
	s->zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	s->null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	while (now(CLOCK_MONOTONIC) < deadline) {
		for (int i = 0; phases[i].name; i++) {
			uint64_t start = now(CLOCK_THREAD_CPUTIME_ID);

			phases[i].run(s);
			mine[i] += now(CLOCK_THREAD_CPUTIME_ID) - start;
		}
	}
	pthread_mutex_lock(&lock);
	for (int i = 0; phases[i].name; i++)
		totals[i] += mine[i];
	pthread_mutex_unlock(&lock);
	free(s);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[256];
	int n;

	if (argc != 4)
		return 64;
	phases = strcmp(argv[1], "kernel") == 0 ? kernel_phases : user_phases;
	n = atoi(argv[2]);
	deadline = now(CLOCK_MONOTONIC) + (uint64_t)(atof(argv[3]) * 1e9);
	for (int i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, work, NULL);
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; phases[i].name; i++)
		printf("%s %llu\n", phases[i].name, (unsigned long long)totals[i]);
	printf("process %llu\n", (unsigned long long)now(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}
