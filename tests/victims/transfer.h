/* SPDX-License-Identifier: Apache-2.0 */
/* See transfer.c. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

struct transfer_state;

struct transfer {
	const char *name;
	/* 0, or -1: not possible here. */
	int (*setup)(struct transfer_state *t);
	/* The result of the call. */
	long (*run)(struct transfer_state *t);
	size_t wanted;
};

struct transfer_state {
	const struct transfer *kind;
	pthread_t thread;
	bool skipped;
	int fd[2]; /* our end, the other end */
	int file, other, zero;
	char *bytes;
	void *ring;
	unsigned calls, cut, eintr, wrong;
};

int transfer_tcp_pair(int *ret_fds);

/* io_uring: 1 when the request that was submitted is complete, 0 when the wait ended before. */
int transfer_ring_setup(struct transfer_state *t);
long transfer_ring_run(struct transfer_state *t);
