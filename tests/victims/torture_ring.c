/* SPDX-License-Identifier: Apache-2.0 */
/* Asynchronous I/O: the wait for completions, by the bare system calls. */
#define _GNU_SOURCE
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "torture.h"

static int setup_aio(struct waiter *w)
{
	aio_context_t context = 0;

	if (syscall(SYS_io_setup, 8, &context) < 0)
		return errno;
	w->area = (void *)context;
	w->fd[0] = eventfd(0, EFD_CLOEXEC);
	return w->fd[0] < 0 ? errno : 0;
}

static int wait_aio(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);
	struct io_event event;

	return want(syscall(SYS_io_getevents, w->area, 1, 1, &event, &timeout), 0);
}

static int wait_aio_pgetevents(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);
	struct {
		sigset_t *set;
		size_t size;
	} mask;
	struct io_event event;
	sigset_t set;

	sigemptyset(&set);
	/* The main thread waits for these. */
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	mask.set = &set;
	mask.size = 8;
	return want(syscall(SYS_io_pgetevents, w->area, 1, 1, &event, &timeout, &mask), 0);
}

/* id: a poll request is under way. */
static int wait_aio_event(struct waiter *w, uint64_t ns)
{
	struct iocb iocb = {.aio_lio_opcode = IOCB_CMD_POLL,
			    .aio_fildes = (uint32_t)w->fd[0],
			    .aio_buf = POLLIN};
	struct iocb *iocbs[] = {&iocb};
	struct io_event event;
	eventfd_t value;
	int r;

	(void)ns;
	if (!w->id && syscall(SYS_io_submit, w->area, 1, iocbs) != 1)
		return WRONG;
	w->id = 1;
	r = want(syscall(SYS_io_getevents, w->area, 1, 1, &event, NULL), 1);
	if (r)
		return r;
	w->id = 0;
	return want(eventfd_read(w->fd[0], &value), 0);
}

static void wake_event(struct waiter *w)
{
	eventfd_write(w->fd[0], 1);
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

static int setup_ring(struct waiter *w)
{
	struct ring *ring = calloc(1, sizeof(*ring));
	size_t size;

	ring->fd = (int)syscall(SYS_io_uring_setup, 8, &ring->params);
	if (ring->fd < 0)
		return errno;
	if (!(ring->params.features & IORING_FEAT_EXT_ARG))
		return ENOSYS;
	size = ring->params.cq_off.cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
	if (size < ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t))
		size = ring->params.sq_off.array + ring->params.sq_entries * sizeof(uint32_t);
	ring->rings = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring->fd,
			   IORING_OFF_SQ_RING);
	ring->sqes =
		mmap(NULL, ring->params.sq_entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (ring->rings == MAP_FAILED || ring->sqes == MAP_FAILED)
		return errno;
	w->area = ring;
	w->fd[0] = eventfd(0, EFD_CLOEXEC);
	return w->fd[0] < 0 ? errno : 0;
}

static int wait_ring(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);
	struct io_uring_getevents_arg arg = {.ts = (uintptr_t)&timeout};
	const struct ring *ring = w->area;

	return want_error(syscall(SYS_io_uring_enter, ring->fd, 0, 1,
				  IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &arg, sizeof(arg)),
			  ETIME);
}

/* Puts one request into the queue. */
static void queue_poll(struct waiter *w)
{
	const struct ring *ring = w->area;
	uint32_t *tail = in_ring(ring, ring->params.sq_off.tail);
	uint32_t slot = *tail & *in_ring(ring, ring->params.sq_off.ring_mask);
	struct io_uring_sqe *sqe = &ring->sqes[slot];

	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_POLL_ADD;
	sqe->fd = w->fd[0];
	sqe->poll32_events = POLLIN;
	in_ring(ring, ring->params.sq_off.array)[slot] = slot;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
}

static int take_completion(struct waiter *w)
{
	const struct ring *ring = w->area;
	uint32_t *head = in_ring(ring, ring->params.cq_off.head);
	eventfd_t value;

	if (__atomic_load_n(in_ring(ring, ring->params.cq_off.tail), __ATOMIC_ACQUIRE) != *head + 1)
		return WRONG;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	w->id = 0;
	return want(eventfd_read(w->fd[0], &value), 0);
}

static int wait_ring_event(struct waiter *w, uint64_t ns)
{
	const struct ring *ring = w->area;
	int r;

	(void)ns;
	if (!w->id) {
		queue_poll(w);
		if (syscall(SYS_io_uring_enter, ring->fd, 1, 0, 0, NULL, 0) != 1)
			return WRONG;
	}
	w->id = 1;
	r = want(syscall(SYS_io_uring_enter, ring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0), 0);
	return r ? r : take_completion(w);
}

const struct call calls_ring[] = {
	{"io_getevents", setup_aio, wait_aio},
	{"io_getevents-event", setup_aio, wait_aio_event, wake_event},
	{"io_pgetevents", setup_aio, wait_aio_pgetevents},
	{"io_uring_enter", setup_ring, wait_ring},
	{"io_uring_enter-event", setup_ring, wait_ring_event, wake_event},
	{"h-io_getevents", setup_aio, wait_aio, .handled = true},
	{"h-io_uring_enter", setup_ring, wait_ring, .handled = true},
	{},
};
