/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measures what is taken from it.
 *
 *	meter gaps SECONDS               one thread reads the clock in a loop
 *	meter work SECONDS THREADS [DEPTH [IDLE]]
 *
 * A line per thread and slice of 50 ms. gaps: "START LOST GAPS WAITED", where LOST sums what the
 * readings that lie more than 1 us apart are apart, and WAITED those of more than 1 ms, in which
 * another thread had the CPU. work: "START UNITS", units of work done, at the
 * end of DEPTH calls, with IDLE threads beside that sleep. All times are nanoseconds of
 * CLOCK_MONOTONIC. Prints "ready" first, on stderr.
 */
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define SLICE 50000000ULL
#define FLOOR 1000
#define OTHER 1000000

static uint64_t deadline;
static unsigned depth;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

NOINLINE static void gaps(void)
{
	for (uint64_t start = now(); start < deadline; start = now()) {
		uint64_t lost = 0, waited = 0, n = 0;

		for (uint64_t last = start, t; (t = now()) < start + SLICE; last = t) {
			if (t - last <= FLOOR)
				continue;
			if (t - last > OTHER)
				waited += t - last;
			else
				lost += t - last;
			n++;
		}
		dprintf(1, "%llu %llu %llu %llu\n", (unsigned long long)start,
			(unsigned long long)lost, (unsigned long long)n,
			(unsigned long long)waited);
	}
}

NOINLINE static uint64_t unit(uint64_t x)
{
	for (int i = 0; i < 2000; i++)
		x = x * 6364136223846793005ULL + 1;
	return x;
}

NOINLINE static uint64_t work(void)
{
	uint64_t x = 1;

	for (uint64_t start = now(); start < deadline;) {
		uint64_t units = 0, t;

		do {
			x = unit(x);
			units++;
			t = now();
		} while (t < start + SLICE);
		/* Per full slice: the last unit may have ended late. */
		dprintf(1, "%llu %.1f\n", (unsigned long long)start,
			(double)units * SLICE / (double)(t - start));
		start = t;
	}
	return x;
}

NOINLINE static uint64_t descend(unsigned left)
{
	volatile uint64_t local[3] = {left, left, left};

	return (left ? descend(left - 1) : work()) + local[1];
}

static void *busy(void *arg)
{
	return (void *)descend(depth);
}

static void *idle(void *arg)
{
	pause();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[64];
	pthread_attr_t small;
	unsigned n, n_idle;

	if (argc < 3)
		return 64;
	deadline = now() + (uint64_t)(atof(argv[2]) * 1e9);
	if (strcmp(argv[1], "gaps") == 0) {
		fputs("ready\n", stderr);
		gaps();
		return 0;
	}
	n = argc > 3 ? (unsigned)atoi(argv[3]) : 1;
	depth = argc > 4 ? (unsigned)atoi(argv[4]) : 0;
	n_idle = argc > 5 ? (unsigned)atoi(argv[5]) : 0;
	if (strcmp(argv[1], "work") != 0 || n > 64)
		return 64;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 65536);
	for (unsigned i = 0; i < n_idle; i++) {
		if (pthread_create(&threads[0], &small, idle, NULL) != 0) {
			fprintf(stderr, "meter: no more than %u threads\n", i);
			return 1;
		}
	}
	deadline = now() + (uint64_t)(atof(argv[2]) * 1e9);
	for (unsigned i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, busy, NULL);
	fputs("ready\n", stderr);
	for (unsigned i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	/* Idle threads end with the process. */
	_exit(0);
}
