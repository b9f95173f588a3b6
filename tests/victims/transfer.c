/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls that move much, one per thread, which a stop in the middle can cut short.
 *
 *	transfer SECONDS
 *
 * Each thread computes for a moment and transfers; a child is at the other end and takes or gives
 * bit by bit. Prints "ready N"; SIGTERM ends it early. Then a line per call:
 *
 *	NAME calls N short N eintr N wrong N
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "transfer.h"

#define SIZE (256 * 1024)
#define PIECE (32 * 1024)
#define MESSAGES 16
#define MESSAGE_SIZE 64
#define SEC 1000000000ULL

static atomic_bool stop;
static volatile uint64_t sink;
static char zeros[SIZE];

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * SEC + (uint64_t)ts.tv_nsec;
}

/* The other end, in a process of its own: a piece per millisecond, for ever. */
static void start_peer(struct transfer_state *t, size_t size, bool gives)
{
	static char bytes[PIECE];

	if (fork() > 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGTERM, SIG_IGN);
	close(t->fd[0]);
	for (;;) {
		ssize_t n = gives ? write(t->fd[1], bytes, size) : read(t->fd[1], bytes, size);

		if (n <= 0)
			_exit(0);
		usleep(1000);
	}
}

static int setup_pipe(struct transfer_state *t)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	t->fd[0] = fds[1];
	t->fd[1] = fds[0];
	start_peer(t, PIECE, false);
	return 0;
}

static int setup_taken(struct transfer_state *t)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->fd) < 0)
		return -1;
	start_peer(t, PIECE, false);
	return 0;
}

static int setup_given(struct transfer_state *t)
{
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, t->fd) < 0)
		return -1;
	start_peer(t, PIECE, true);
	return 0;
}

static int setup_tcp_taken(struct transfer_state *t)
{
	if (transfer_tcp_pair(t->fd) < 0)
		return -1;
	start_peer(t, PIECE, false);
	return 0;
}

static int setup_messages_given(struct transfer_state *t)
{
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, t->fd) < 0)
		return -1;
	start_peer(t, MESSAGE_SIZE, true);
	return 0;
}

static int setup_messages_taken(struct transfer_state *t)
{
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, t->fd) < 0)
		return -1;
	start_peer(t, MESSAGE_SIZE, false);
	return 0;
}

static long do_write(struct transfer_state *t)
{
	return write(t->fd[0], zeros, SIZE);
}

static long do_writev(struct transfer_state *t)
{
	struct iovec iov[] = {{zeros, SIZE / 2}, {zeros, SIZE / 2}};

	return writev(t->fd[0], iov, 2);
}

static long do_send(struct transfer_state *t)
{
	return send(t->fd[0], zeros, SIZE, 0);
}

static long do_sendmsg(struct transfer_state *t)
{
	struct iovec iov = {zeros, SIZE};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	return sendmsg(t->fd[0], &message, 0);
}

static long do_recv_waitall(struct transfer_state *t)
{
	return recv(t->fd[0], t->bytes, SIZE, MSG_WAITALL);
}

static void fill_messages(struct transfer_state *t, struct mmsghdr *messages, struct iovec *iov)
{
	for (int i = 0; i < MESSAGES; i++) {
		iov[i] = (struct iovec){t->bytes, MESSAGE_SIZE};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
	}
}

static long do_recvmmsg(struct transfer_state *t)
{
	struct mmsghdr messages[MESSAGES];
	struct iovec iov[MESSAGES];

	fill_messages(t, messages, iov);
	return recvmmsg(t->fd[0], messages, MESSAGES, 0, NULL);
}

static long do_sendmmsg(struct transfer_state *t)
{
	struct mmsghdr messages[MESSAGES];
	struct iovec iov[MESSAGES];

	fill_messages(t, messages, iov);
	return sendmmsg(t->fd[0], messages, MESSAGES, 0);
}

static long do_sendfile(struct transfer_state *t)
{
	off_t at = 0;

	return sendfile(t->fd[0], t->file, &at, SIZE);
}

static long do_splice(struct transfer_state *t)
{
	off_t at = 0;

	/* What the pipe has room for by now: it does not wait for room once something was moved. */
	return splice(t->file, &at, t->fd[0], NULL, PIECE, 0);
}

static long do_copy_file_range(struct transfer_state *t)
{
	off_t from = 0, to = 0;

	return copy_file_range(t->file, &from, t->other, &to, SIZE, 0);
}

static long do_getrandom(struct transfer_state *t)
{
	return getrandom(t->bytes, SIZE, 0);
}

static long do_read_zero(struct transfer_state *t)
{
	return pread(t->zero, t->bytes, SIZE, 0);
}

static const struct transfer kinds[] = {
	{"write-pipe", setup_pipe, do_write, SIZE},
	{"writev-pipe", setup_pipe, do_writev, SIZE},
	{"write-unix", setup_taken, do_write, SIZE},
	{"send-tcp", setup_tcp_taken, do_send, SIZE},
	{"sendmsg-tcp", setup_tcp_taken, do_sendmsg, SIZE},
	{"recv-waitall", setup_given, do_recv_waitall, SIZE},
	{"recvmmsg", setup_messages_given, do_recvmmsg, MESSAGES},
	{"sendmmsg", setup_messages_taken, do_sendmmsg, MESSAGES},
	{"sendfile-tcp", setup_tcp_taken, do_sendfile, SIZE},
	{"splice", setup_pipe, do_splice, PIECE},
	{"copy_file_range", NULL, do_copy_file_range, SIZE},
	{"io_uring-submit-wait", transfer_ring_setup, transfer_ring_run, 1},
	{"getrandom", NULL, do_getrandom, SIZE},
	{"pread-dev-zero", NULL, do_read_zero, SIZE},
};

static void *run_transfer(void *arg)
{
	struct transfer_state *t = arg;
	struct timespec pause = {0, 3000000};
	uint64_t random = (uint64_t)(uintptr_t)t;

	pthread_setname_np(pthread_self(), t->kind->name);
	while (!atomic_load(&stop)) {
		uint64_t end;
		long r;

		random = random * 6364136223846793005ULL + 1442695040888963407ULL;
		end = now_ns() + (random >> 33) % 500000;
		while (now_ns() < end)
			sink = sink * 3 + 1;
		r = t->kind->run(t);
		t->calls++;
		if (r >= 0 && (size_t)r < t->kind->wanted)
			t->cut++;
		else if (r < 0 && errno == EINTR)
			t->eintr++;
		else if (r < 0 || (size_t)r != t->kind->wanted)
			t->wrong++;
		nanosleep(&pause, NULL);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	enum {
		N_KINDS = sizeof(kinds) / sizeof(kinds[0])
	};
	static struct transfer_state states[N_KINDS];
	sigset_t set;
	uint64_t end;

	if (argc < 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < N_KINDS; i++) {
		struct transfer_state *t = &states[i];

		t->kind = &kinds[i];
		t->bytes = malloc(SIZE);
		t->zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
		t->file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		t->other = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (write(t->file, zeros, SIZE) != SIZE)
			return 1;
		t->skipped = t->kind->setup && t->kind->setup(t) < 0;
		if (t->skipped)
			fprintf(stderr, "%s: skipped: %s\n", t->kind->name, strerror(errno));
	}
	for (int i = 0; i < N_KINDS; i++) {
		if (!states[i].skipped)
			pthread_create(&states[i].thread, NULL, run_transfer, &states[i]);
	}
	printf("ready %d\n", N_KINDS);
	fflush(stdout);
	end = now_ns() + strtoull(argv[1], NULL, 10) * SEC;
	for (uint64_t now; (now = now_ns()) < end;) {
		struct timespec left = {(time_t)((end - now) / SEC), (long)((end - now) % SEC)};

		if (sigtimedwait(&set, NULL, &left) > 0)
			break;
	}
	atomic_store(&stop, true);
	for (int i = 0; i < N_KINDS; i++) {
		struct transfer_state *t = &states[i];

		if (t->skipped)
			continue;
		pthread_join(t->thread, NULL);
		printf("%s calls %u short %u eintr %u wrong %u\n", t->kind->name, t->calls, t->cut,
		       t->eintr, t->wrong);
	}
	return 0;
}
