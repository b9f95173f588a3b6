/* SPDX-License-Identifier: Apache-2.0 */
/* Semaphores and message queues, System V and POSIX. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <unistd.h>

#include "torture.h"

static int setup_semop(struct waiter *w)
{
	w->id = semget(IPC_PRIVATE, 1, 0600);
	if (w->id < 0)
		return errno;
	remove_at_end(w->id, false);
	return 0;
}

static int wait_semop(struct waiter *w, uint64_t ns)
{
	struct sembuf down = {.sem_op = -1};

	(void)ns;
	return want(semop(w->id, &down, 1), 0);
}

static void wake_semop(struct waiter *w)
{
	struct sembuf up = {.sem_op = 1};

	semop(w->id, &up, 1);
}

static int wait_semtimedop(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);
	struct sembuf down = {.sem_op = -1};

	return want_error(semtimedop(w->id, &down, 1, &timeout), EAGAIN);
}

struct message {
	long type;
	char bytes[16];
};

static int setup_queue(struct waiter *w)
{
	w->id = msgget(IPC_PRIVATE, 0600);
	if (w->id < 0)
		return errno;
	remove_at_end(w->id, true);
	return 0;
}

static int setup_full_queue(struct waiter *w)
{
	struct message message = {.type = 1};
	struct msqid_ds state;

	if (setup_queue(w) || msgctl(w->id, IPC_STAT, &state) < 0)
		return errno;
	state.msg_qbytes = sizeof(message.bytes);
	if (msgctl(w->id, IPC_SET, &state) < 0)
		return errno;
	return want(msgsnd(w->id, &message, sizeof(message.bytes), 0), 0);
}

static int wait_msgrcv(struct waiter *w, uint64_t ns)
{
	struct message message;

	(void)ns;
	return want(msgrcv(w->id, &message, sizeof(message.bytes), 0, 0), sizeof(message.bytes));
}

static void wake_msgrcv(struct waiter *w)
{
	struct message message = {.type = 1};

	msgsnd(w->id, &message, sizeof(message.bytes), IPC_NOWAIT);
}

static int wait_msgsnd(struct waiter *w, uint64_t ns)
{
	struct message message = {.type = 1};

	(void)ns;
	return want(msgsnd(w->id, &message, sizeof(message.bytes), 0), 0);
}

static void wake_msgsnd(struct waiter *w)
{
	struct message message;

	(void)!msgrcv(w->id, &message, sizeof(message.bytes), 0, IPC_NOWAIT);
}

static int setup_mq(struct waiter *w)
{
	struct mq_attr attr = {.mq_maxmsg = 1, .mq_msgsize = 16};
	char name[64];

	snprintf(name, sizeof(name), "/torture-%d-%p", getpid(), (void *)w);
	w->fd[0] = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
	if (w->fd[0] < 0)
		return errno;
	mq_unlink(name);
	return 0;
}

static int setup_full_mq(struct waiter *w)
{
	int r = setup_mq(w);

	return r ? r : want(mq_send(w->fd[0], "x", 1, 0), 0);
}

static int wait_mq_timedreceive(struct waiter *w, uint64_t ns)
{
	struct timespec when = realtime_in(ns);
	char bytes[16];

	return want_error(mq_timedreceive(w->fd[0], bytes, sizeof(bytes), NULL, &when), ETIMEDOUT);
}

static int wait_mq_receive(struct waiter *w, uint64_t ns)
{
	char bytes[16];

	(void)ns;
	return want(mq_receive(w->fd[0], bytes, sizeof(bytes), NULL), 1);
}

static void wake_mq_receive(struct waiter *w)
{
	mq_send(w->fd[0], "x", 1, 0);
}

static int wait_mq_timedsend(struct waiter *w, uint64_t ns)
{
	struct timespec when = realtime_in(ns);

	return want_error(mq_timedsend(w->fd[0], "x", 1, 0, &when), ETIMEDOUT);
}

static int wait_mq_send(struct waiter *w, uint64_t ns)
{
	(void)ns;
	return want(mq_send(w->fd[0], "x", 1, 0), 0);
}

static void wake_mq_send(struct waiter *w)
{
	char bytes[16];

	(void)!mq_receive(w->fd[0], bytes, sizeof(bytes), NULL);
}

const struct call calls_ipc[] = {
	{"semop", setup_semop, wait_semop, wake_semop},
	{"semtimedop", setup_semop, wait_semtimedop},
	{"msgrcv", setup_queue, wait_msgrcv, wake_msgrcv},
	{"msgsnd", setup_full_queue, wait_msgsnd, wake_msgsnd},
	{"mq_timedreceive", setup_mq, wait_mq_timedreceive},
	{"mq_receive", setup_mq, wait_mq_receive, wake_mq_receive},
	{"mq_timedsend", setup_full_mq, wait_mq_timedsend},
	{"mq_send", setup_full_mq, wait_mq_send, wake_mq_send},
	{"h-semop", setup_semop, wait_semop, .handled = true},
	{"h-semtimedop", setup_semop, wait_semtimedop, .handled = true},
	{"h-msgrcv", setup_queue, wait_msgrcv, .handled = true},
	{"h-msgsnd", setup_full_queue, wait_msgsnd, .handled = true},
	{"h-mq_timedreceive", setup_mq, wait_mq_timedreceive, .handled = true},
	{},
};
