/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map64.h"
#include "base/vec.h"
#include "process/process_priv.h"
#include "process/process_wait.h"

/* A socket of the target's network namespace. */
struct process_socket {
	char text[160];
};

/* By inode, read when the first one is asked for. */
struct process_sockets {
	VEC(struct process_socket) items;
	struct map64 index; /* inode → place + 1 */
	uint64_t read_at;   /* 0: never */
};

struct process_waits {
	struct process *process;
	struct process_sockets sockets;
};

#define PROCESS_NO_ARG 6

enum process_how {
	PROCESS_HOW_FD,   /* descriptors in the arguments a and b */
	PROCESS_HOW_PATH, /* opens the path in argument a */
	PROCESS_HOW_POLL,
	PROCESS_HOW_SELECT,
	PROCESS_HOW_EPOLL,
	PROCESS_HOW_FUTEX,
	PROCESS_HOW_WAITV,
	PROCESS_HOW_WAIT4,
	PROCESS_HOW_WAITID,
	PROCESS_HOW_VFORK,
	PROCESS_HOW_SLEEP,
	PROCESS_HOW_SIGNAL,
	PROCESS_HOW_IPC,
	PROCESS_HOW_AIO,
};

/* b: for HOW_FD a second descriptor; else, and with timed, the argument that is the time-out. */
struct process_call {
	const char *name;
	enum process_how how;
	uint8_t a, b;
	bool timed; /* a time-out in argument b, 0: none */
};

/** What is known of a system call; NULL: nothing. */
const struct process_call *process_call_find(int64_t nr);

/**
 * Describes a descriptor of a thread.
 *
 * @param ret_kind	FILE, PIPE, SOCKET or EVENT
 * @return length of the text, 0 when there is no such descriptor
 */
size_t process_fd_describe(struct process_waits *waits, pid_t tid, int fd, char *text, size_t cap,
			   enum process_wait_kind *ret_kind);

/** What is behind such a link, in words. A FIFO with a path counts as a file. Returns the length of
 * the text. */
size_t process_link_describe(struct process_waits *waits, const char *link, char *text, size_t cap,
			     enum process_wait_kind *ret_kind);

/** What the descriptors in the interest list of an epoll descriptor are, epoll(7). Returns the
 * length of the text. */
size_t process_epoll_describe(struct process_waits *waits, pid_t tid, int fd, char *text,
			      size_t cap);

/** The socket of an inode in words, or NULL: protocol, addresses, state. */
const char *process_socket_find(struct process_waits *waits, uint64_t inode);

void process_sockets_deinit(struct process_sockets *sockets);

/* How many descriptors of several are named. */
#define PROCESS_WAIT_NAMED 3
