/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets, with the time-outs of SO_RCVTIMEO and SO_SNDTIMEO and without. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "torture.h"

/* fd[0] is the waiter's end, fd[1] the other one. */
static int setup_unix_stream(struct waiter *w)
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, w->fd) < 0 ? errno : 0;
}

static int setup_unix_dgram(struct waiter *w)
{
	return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, w->fd) < 0 ? errno : 0;
}

/* A socket on the loopback interface; its address. */
static int bound(int type, struct sockaddr_in *ret_address)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -1;
	*ret_address = address;
	return fd;
}

static int setup_udp(struct waiter *w)
{
	struct sockaddr_in address;

	w->fd[0] = bound(SOCK_DGRAM, &address);
	w->fd[1] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return connect(w->fd[1], (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;
}

static int setup_tcp(struct waiter *w)
{
	struct sockaddr_in address;
	int listener = bound(SOCK_STREAM, &address);

	w->fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listen(listener, 1) < 0 ||
	    connect(w->fd[0], (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno;
	w->fd[1] = accept(listener, NULL, NULL);
	close(listener);
	return w->fd[1] < 0 ? errno : 0;
}

/* Until the sender has to wait. */
static int fill(struct waiter *w, int setup)
{
	static const char bytes[4096];
	int size = 4096;

	if (setup)
		return setup;
	setsockopt(w->fd[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(w->fd[1], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	/* TCP moves what was sent to the other end for a while yet. */
	for (int i = 0; i < 20; i++) {
		while (send(w->fd[0], bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
			;
		usleep(1000);
	}
	return errno == EAGAIN ? 0 : errno;
}

static int setup_full_unix_stream(struct waiter *w)
{
	return fill(w, setup_unix_stream(w));
}

static int setup_full_unix_dgram(struct waiter *w)
{
	return fill(w, setup_unix_dgram(w));
}

static int setup_full_tcp(struct waiter *w)
{
	return fill(w, setup_tcp(w));
}

static void set_timeout(const struct waiter *w, int option, uint64_t ns)
{
	struct timeval timeout = {(time_t)(ns / SEC), (suseconds_t)(ns % SEC / 1000)};

	setsockopt(w->fd[0], SOL_SOCKET, option, &timeout, sizeof(timeout));
}

static int wait_recv_timeo(struct waiter *w, uint64_t ns)
{
	char byte;

	set_timeout(w, SO_RCVTIMEO, ns);
	return want_error(recv(w->fd[0], &byte, 1, 0), EAGAIN);
}

static int wait_peek_timeo(struct waiter *w, uint64_t ns)
{
	char byte;

	set_timeout(w, SO_RCVTIMEO, ns);
	return want_error(recv(w->fd[0], &byte, 1, MSG_PEEK), EAGAIN);
}

static int wait_read_timeo(struct waiter *w, uint64_t ns)
{
	char byte;

	set_timeout(w, SO_RCVTIMEO, ns);
	return want_error(read(w->fd[0], &byte, 1), EAGAIN);
}

static int wait_readv_timeo(struct waiter *w, uint64_t ns)
{
	char byte;
	struct iovec iov = {&byte, 1};

	set_timeout(w, SO_RCVTIMEO, ns);
	return want_error(readv(w->fd[0], &iov, 1), EAGAIN);
}

static int wait_recvmsg_timeo(struct waiter *w, uint64_t ns)
{
	char byte;
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	set_timeout(w, SO_RCVTIMEO, ns);
	return want_error(recvmsg(w->fd[0], &message, 0), EAGAIN);
}

/* Its own time-out is looked at after a datagram only (recvmmsg(2), BUGS). */
static int wait_recvmmsg_timeo(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);
	char byte;
	struct iovec iov = {&byte, 1};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	set_timeout(w, SO_RCVTIMEO, ns);
	return want_error(recvmmsg(w->fd[0], &message, 1, 0, &timeout), EAGAIN);
}

static int wait_recv(struct waiter *w, uint64_t ns)
{
	char byte;

	(void)ns;
	return want(recv(w->fd[0], &byte, 1, 0), 1);
}

static int wait_recv_waitall(struct waiter *w, uint64_t ns)
{
	char bytes[2];

	(void)ns;
	return want(recv(w->fd[0], bytes, 2, MSG_WAITALL), 2);
}

static int wait_read(struct waiter *w, uint64_t ns)
{
	char byte;

	(void)ns;
	return want(read(w->fd[0], &byte, 1), 1);
}

static int wait_recvmmsg(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(30 * SEC);
	char byte;
	struct iovec iov = {&byte, 1};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	(void)ns;
	return want(recvmmsg(w->fd[0], &message, 1, 0, &timeout), 1);
}

static void wake_recv(struct waiter *w)
{
	send(w->fd[1], "xy", 1, MSG_DONTWAIT);
}

static void wake_recv_two(struct waiter *w)
{
	send(w->fd[1], "xy", 2, MSG_DONTWAIT);
}

static int wait_send_timeo(struct waiter *w, uint64_t ns)
{
	set_timeout(w, SO_SNDTIMEO, ns);
	return want_error(send(w->fd[0], "x", 1, 0), EAGAIN);
}

static int wait_write_timeo(struct waiter *w, uint64_t ns)
{
	set_timeout(w, SO_SNDTIMEO, ns);
	return want_error(write(w->fd[0], "x", 1), EAGAIN);
}

static int wait_writev_timeo(struct waiter *w, uint64_t ns)
{
	struct iovec iov = {(char *)"x", 1};

	set_timeout(w, SO_SNDTIMEO, ns);
	return want_error(writev(w->fd[0], &iov, 1), EAGAIN);
}

static int wait_sendmsg_timeo(struct waiter *w, uint64_t ns)
{
	struct iovec iov = {(char *)"x", 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	set_timeout(w, SO_SNDTIMEO, ns);
	return want_error(sendmsg(w->fd[0], &message, 0), EAGAIN);
}

static int wait_sendmmsg_timeo(struct waiter *w, uint64_t ns)
{
	struct iovec iov = {(char *)"x", 1};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &iov, .msg_iovlen = 1}};

	set_timeout(w, SO_SNDTIMEO, ns);
	return want_error(sendmmsg(w->fd[0], &message, 1, 0), EAGAIN);
}

static int wait_send_dgram(struct waiter *w, uint64_t ns)
{
	static const char bytes[4096];

	(void)ns;
	return want(send(w->fd[0], bytes, sizeof(bytes), 0), sizeof(bytes));
}

static void wake_by_room(struct waiter *w)
{
	char bytes[4096];

	recv(w->fd[1], bytes, sizeof(bytes), MSG_DONTWAIT);
}

/* fd[0] listens. Unix: by an address of the kernel's choice (unix(7), autobind). */
static int setup_unix_listener(struct waiter *w)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	w->fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(w->fd[0], (struct sockaddr *)&address, sizeof(sa_family_t)) < 0)
		return errno;
	return listen(w->fd[0], 0) < 0 ? errno : 0;
}

static int setup_tcp_listener(struct waiter *w)
{
	struct sockaddr_in address;

	w->fd[0] = bound(SOCK_STREAM, &address);
	return listen(w->fd[0], 0) < 0 ? errno : 0;
}

/* A non-blocking socket on the way to the listener. */
static int connect_to(int listener)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int fd;

	getsockname(listener, (struct sockaddr *)&address, &size);
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	(void)connect(fd, (struct sockaddr *)&address, size);
	return fd;
}

static int wait_accept_timeo(struct waiter *w, uint64_t ns)
{
	set_timeout(w, SO_RCVTIMEO, ns);
	return want_error(accept(w->fd[0], NULL, NULL), EAGAIN);
}

static int wait_accept4_timeo(struct waiter *w, uint64_t ns)
{
	set_timeout(w, SO_RCVTIMEO, ns);
	return want_error(accept4(w->fd[0], NULL, NULL, SOCK_CLOEXEC), EAGAIN);
}

static int wait_accept(struct waiter *w, uint64_t ns)
{
	int fd = accept(w->fd[0], NULL, NULL);

	(void)ns;
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static void wake_accept(struct waiter *w)
{
	close(connect_to(w->fd[0]));
}

/* fd[1] is a listener whose queue is full: a connect to it waits. */
static int setup_full_listener(struct waiter *w, int setup)
{
	if (setup)
		return setup;
	w->fd[1] = w->fd[0];
	for (int i = 0; i < 4; i++)
		connect_to(w->fd[1]);
	/* The queue of TCP fills when the handshakes are through. */
	usleep(10000);
	return 0;
}

static int setup_unix_connect(struct waiter *w)
{
	return setup_full_listener(w, setup_unix_listener(w));
}

static int setup_tcp_connect(struct waiter *w)
{
	return setup_full_listener(w, setup_tcp_listener(w));
}

static int wait_connect(struct waiter *w, uint64_t ns, int error)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int r;

	getsockname(w->fd[1], (struct sockaddr *)&address, &size);
	w->fd[0] = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	set_timeout(w, SO_SNDTIMEO, ns);
	r = want_error(connect(w->fd[0], (struct sockaddr *)&address, size), error);
	close(w->fd[0]);
	return r;
}

static int wait_unix_connect(struct waiter *w, uint64_t ns)
{
	return wait_connect(w, ns, EAGAIN);
}

static int wait_tcp_connect(struct waiter *w, uint64_t ns)
{
	return wait_connect(w, ns, EINPROGRESS);
}

const struct call calls_socket[] = {
	{"recv-unix-timeo", setup_unix_stream, wait_recv_timeo, .coarse = true},
	{"recv-unix-dgram-timeo", setup_unix_dgram, wait_recv_timeo, .coarse = true},
	{"recv-tcp-timeo", setup_tcp, wait_recv_timeo, .coarse = true},
	{"recv-udp-timeo", setup_udp, wait_recv_timeo, .coarse = true},
	{"recv-peek-timeo", setup_tcp, wait_peek_timeo, .coarse = true},
	{"read-unix-timeo", setup_unix_stream, wait_read_timeo, .coarse = true},
	{"read-tcp-timeo", setup_tcp, wait_read_timeo, .coarse = true},
	{"readv-udp-timeo", setup_udp, wait_readv_timeo, .coarse = true},
	{"recvmsg-udp-timeo", setup_udp, wait_recvmsg_timeo, .coarse = true},
	{"recvmmsg-udp-timeo", setup_udp, wait_recvmmsg_timeo, .coarse = true},
	{"recv-unix", setup_unix_stream, wait_recv, wake_recv},
	{"recv-unix-dgram", setup_unix_dgram, wait_recv, wake_recv},
	{"recv-tcp", setup_tcp, wait_recv, wake_recv},
	{"recv-udp", setup_udp, wait_recv, wake_recv},
	{"recv-waitall", setup_tcp, wait_recv_waitall, wake_recv_two},
	{"read-tcp", setup_tcp, wait_read, wake_recv},
	{"recvmmsg-udp", setup_udp, wait_recvmmsg, wake_recv},
	{"send-unix-timeo", setup_full_unix_stream, wait_send_timeo, .coarse = true},
	{"send-unix-dgram-timeo", setup_full_unix_dgram, wait_send_timeo, .coarse = true},
	{"send-tcp-timeo", setup_full_tcp, wait_send_timeo, .coarse = true},
	{"write-unix-timeo", setup_full_unix_stream, wait_write_timeo, .coarse = true},
	{"writev-tcp-timeo", setup_full_tcp, wait_writev_timeo, .coarse = true},
	{"sendmsg-unix-timeo", setup_full_unix_stream, wait_sendmsg_timeo, .coarse = true},
	{"sendmmsg-unix-timeo", setup_full_unix_dgram, wait_sendmmsg_timeo, .coarse = true},
	{"send-unix-dgram", setup_full_unix_dgram, wait_send_dgram, wake_by_room},
	{"accept-unix-timeo", setup_unix_listener, wait_accept_timeo, .coarse = true},
	{"accept4-tcp-timeo", setup_tcp_listener, wait_accept4_timeo, .coarse = true},
	{"accept-unix", setup_unix_listener, wait_accept, wake_accept},
	{"accept-tcp", setup_tcp_listener, wait_accept, wake_accept},
	{"connect-unix-timeo", setup_unix_connect, wait_unix_connect, .coarse = true},
	{"connect-tcp-timeo", setup_tcp_connect, wait_tcp_connect, .coarse = true},
	{"h-recv-timeo", setup_tcp, wait_recv_timeo, .handled = true},
	{"h-recvmmsg-timeo", setup_udp, wait_recvmmsg_timeo, .handled = true},
	{"h-send-timeo", setup_full_unix_stream, wait_send_timeo, .handled = true},
	{"h-accept-timeo", setup_tcp_listener, wait_accept_timeo, .handled = true},
	{"h-connect-timeo", setup_unix_connect, wait_unix_connect, .handled = true},
	{},
};
