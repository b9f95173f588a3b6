/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spins at the end of a known chain of calls: main → chain_a → … → spin.
 *
 *	chain plain|signal|realign|deep|alloca|tail|pointer [DEPTH]
 *
 * Prints "ready" once it spins; ends by a signal, or after 60 seconds.
 */
#include <alloca.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

static volatile uint64_t sink;
static volatile int sinks[4];

NOINLINE static void spin(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		sink = sink * 3 + 1;
}

/* Else a buffer that nobody reads, before a call that never returns, is left out. */
static void keep(void *buffer)
{
	__asm__ volatile("" : : "r"(buffer) : "memory");
}

/* Work behind the call keeps it from becoming a jump. */
#define LINK(name, next)                                                                           \
	NOINLINE static void name(void)                                                            \
	{                                                                                          \
		next();                                                                            \
		sinks[0]++;                                                                        \
	}

LINK(chain_c, spin)
LINK(chain_b, chain_c)
LINK(chain_a, chain_b)

static void on_signal(int signal)
{
	chain_a();
}

NOINLINE static void in_handler(void)
{
	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	sinks[1]++;
}

NOINLINE static void realign(void)
{
	/* 64-byte alignment makes the compiler realign the stack: the CFA is an expression. */
	volatile char __attribute__((aligned(64))) buffer[64];

	keep((void *)buffer);
	chain_a();
	sinks[2] = buffer[0];
}

NOINLINE static void with_alloca(size_t n)
{
	volatile char *buffer = alloca(n);

	memset((char *)buffer, 1, n);
	keep((void *)buffer);
	chain_a();
	sinks[3] = buffer[n - 1];
}

NOINLINE static uint64_t deep(unsigned depth)
{
	volatile uint64_t local[3] = {depth, depth, depth};

	if (depth == 0)
		chain_a();
	return depth ? deep(depth - 1) + local[1] : 0;
}

static void (*volatile pointer)(void) = chain_a;

NOINLINE static void by_pointer(void)
{
	pointer();
	sinks[0]++;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "plain";
	unsigned depth = argc > 2 ? (unsigned)atoi(argv[2]) : 100;

	alarm(60);
	if (strcmp(kind, "plain") == 0)
		chain_a();
	else if (strcmp(kind, "signal") == 0)
		in_handler();
	else if (strcmp(kind, "realign") == 0)
		realign();
	else if (strcmp(kind, "deep") == 0)
		sink += deep(depth);
	else if (strcmp(kind, "alloca") == 0)
		with_alloca(depth);
	else if (strcmp(kind, "pointer") == 0)
		by_pointer();
	else
		return 64;
	return 0;
}
