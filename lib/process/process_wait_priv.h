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

/**
 * Describes a descriptor of a thread.
 *
 * @param ret_kind	FILE, PIPE, SOCKET or EVENT
 * @return length of the text, 0 when there is no such descriptor
 */
size_t process_fd_describe(struct process_waits *waits, pid_t tid, int fd, char *text, size_t cap,
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
