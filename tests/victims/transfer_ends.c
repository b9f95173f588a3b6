/* SPDX-License-Identifier: Apache-2.0 */
/* The longer ways to something to transfer to: a TCP connection, an io_uring. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/io_uring.h>
#include <linux/time_types.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "transfer.h"

int transfer_tcp_pair(int *ret_fds)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t size = sizeof(address);

	ret_fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockname(listener, (struct sockaddr *)&address, &size) < 0 ||
	    listen(listener, 1) < 0 ||
	    connect(ret_fds[0], (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	ret_fds[1] = accept(listener, NULL, NULL);
	close(listener);
	return ret_fds[1] < 0 ? -1 : 0;
}

struct ring {
	int fd;
	struct io_uring_params params;
	char *rings;
	struct io_uring_sqe *sqes;
};

static uint32_t *in_ring(const struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring->rings + offset);
}

int transfer_ring_setup(struct transfer_state *t)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	size_t size;

	ring->fd = (int)syscall(SYS_io_uring_setup, 8, &ring->params);
	if (ring->fd < 0)
		return -1;
	size = ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
	if (size < ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t))
		size = ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t);
	ring->rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
			   IORING_OFF_SQ_RING);
	ring->sqes =
		mmap(NULL, ring->params.sq_entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (ring->rings == MAP_FAILED || ring->sqes == MAP_FAILED)
		return -1;
	t->ring = ring;
	return 0;
}

/* A time-out of 3 ms as the request. */
long transfer_ring_run(struct transfer_state *t)
{
	const struct ring *ring = t->ring;
	struct __kernel_timespec when = {.tv_nsec = 3000000};
	uint32_t *tail = in_ring(ring, ring->params.sq_off.tail);
	uint32_t *head = in_ring(ring, ring->params.cq_off.head);
	uint32_t *done = in_ring(ring, ring->params.cq_off.tail);
	uint32_t slot = *tail & *in_ring(ring, ring->params.sq_off.ring_mask);
	struct io_uring_sqe *sqe = &ring->sqes[slot];
	bool complete;
	long r;

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_TIMEOUT;
	sqe->addr = (uintptr_t)&when;
	sqe->len = 1;
	in_ring(ring, ring->params.sq_off.array)[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	r = syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	complete = __atomic_load_n(done, __ATOMIC_ACQUIRE) != *head;
	/* Also when it was interrupted: the next round begins with an empty ring. */
	while (__atomic_load_n(done, __ATOMIC_ACQUIRE) == *head)
		syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	if (r != 1)
		return -1;
	return complete ? 1 : 0;
}
