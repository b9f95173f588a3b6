/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Payments that are under way, as a profile of the program's own: cprof/probe.h.
 *
 *	payment [SECONDS]	then ends; prints how many payments are open
 *
 * While it runs: cprof record --type payment -p PID -d 5s. Every tenth refund is never finished.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cprof/probe.h>

#define AT_ONCE 64

struct payment {
	int amount;
};

static unsigned n_open;

__attribute__((noinline)) static struct payment *payment_begin(int amount)
{
	struct payment *payment = malloc(sizeof(*payment));

	payment->amount = amount;
	/* 1: the stack begins at who wants to pay. */
	cprof_add("payment", payment, 1);
	n_open++;
	return payment;
}

static void payment_end(struct payment *payment)
{
	cprof_remove("payment", payment);
	free(payment);
	n_open--;
}

__attribute__((noinline)) static struct payment *order(int amount)
{
	struct payment *payment = payment_begin(amount);

	cprof_count("turnover", amount);
	return payment;
}

__attribute__((noinline)) static struct payment *refund(int amount)
{
	struct payment *payment = payment_begin(-amount);

	cprof_count("refunds", 1);
	return payment;
}

int main(int argc, char **argv)
{
	const struct timespec pause = {0, 2000000};
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3600);
	struct payment *under_way[AT_ONCE] = {0};

	for (unsigned i = 0; time(NULL) < end; i++) {
		struct payment **place = &under_way[i % AT_ONCE];

		/* Every 64th payment is one of a refund, and every tenth of those is forgotten. */
		if (*place && (i % AT_ONCE || i / AT_ONCE % 10))
			payment_end(*place);
		*place = i % AT_ONCE ? order((int)i) : refund((int)i);
		nanosleep(&pause, NULL);
	}
	printf("%u payments are open\n", n_open);
	return 0;
}
