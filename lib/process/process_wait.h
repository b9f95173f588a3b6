/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a blocked thread waits for, told from its system call and the arguments.
 *
 *	process_syscall_read() → struct process_syscall → process_wait_read() → kind and words
 *
 * Looks at /proc and reads memory of the target; nothing is stopped. What is read is of now: where
 * the thread may have moved on since the call was read, the caller compares its schedstat.
 * A handle belongs to one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/process.h"

struct process_waits;

enum process_wait_kind {
	PROCESS_WAIT_OTHER, /* a call about which no more is known; or no call at all */
	PROCESS_WAIT_FILE,  /* a file, device or directory; or one that is being opened */
	PROCESS_WAIT_PIPE,  /* a pipe or FIFO */
	PROCESS_WAIT_SOCKET,
	PROCESS_WAIT_EVENT, /* one of the kernel's objects behind a descriptor: eventfd, timerfd …
			     */
	PROCESS_WAIT_POLL,  /* several descriptors: poll, select, epoll_wait */
	PROCESS_WAIT_FUTEX,
	PROCESS_WAIT_CHILD, /* the end of a child; or vfork(2) */
	PROCESS_WAIT_SLEEP,
	PROCESS_WAIT_SIGNAL,
	PROCESS_WAIT_IPC,   /* System V messages and semaphores */
	PROCESS_WAIT_AIO,   /* completions: io_uring, io_getevents */
	PROCESS_WAIT_FAULT, /* not in a call: a page fault, or stopped in user code */
	PROCESS_WAIT_KINDS, /* not a kind: how many there are */
};

/** How a futex is waited for; futex(2). */
enum process_futex {
	PROCESS_FUTEX_WAIT,
	PROCESS_FUTEX_LOCK_PI, /* the kernel's priority inheritance: the word is the owner's tid */
	PROCESS_FUTEX_WAITV,   /* several */
};

#define PROCESS_WAIT_TEXT 320

struct process_wait {
	enum process_wait_kind kind;
	int fd;      /* that it waits on, -1: none, or several */
	bool timed;  /* the call has a time-out */
	pid_t child; /* CHILD: that pid in the target's pid namespace; 0: any, or not known */
	/* FUTEX only. */
	enum process_futex futex;
	bool shared;          /* not FUTEX_PRIVATE_FLAG */
	uint64_t futex_addr;  /* target address of the word */
	uint32_t futex_value; /* what the word had to be for the wait to begin */
	/* In words, without the name of the call; "": nothing is known. Valid UTF-8 without control
	 * characters. */
	char text[PROCESS_WAIT_TEXT];
};

/** Makes a handle; process is borrowed and must outlive it. Returns 0 or -ENOMEM. */
int process_waits_new(struct process *process, struct process_waits **ret_waits);
struct process_waits *process_waits_free(struct process_waits *waits);

/**
 * Finds out what a thread waits for in a call.
 *
 * @param call	of the thread; restart_syscall(2) has been replaced by the call that it restarts
 */
void process_wait_read(struct process_waits *waits, pid_t tid, const struct process_syscall *call,
		       struct process_wait *ret_wait);

/**
 * The one descriptor that a call waits on; that of poll(2) with a single one, too, which is read
 * from the target's memory. -1: none, several, or not known.
 */
int process_wait_descriptor(struct process *process, const struct process_syscall *call);

/** Room for most links; longer ones are cut. */
#define PROCESS_LINK_SIZE 256

/** Reads what a descriptor of a thread is, as /proc/PID/task/TID/fd links to it. Returns the size
 * of the text with its NUL; 0 when there is no such descriptor. */
size_t process_link_read(const struct process *process, pid_t tid, int fd,
			 char ret_text[static PROCESS_LINK_SIZE]);

/**
 * What a thread waits for, in a word or two that are the same for all waits of the kind: "futex",
 * "child", "sleep", "poll"; a path, "pipe", or a socket's protocol and addresses.
 *
 * @param call	as of process_wait_read()
 * @param link	of the descriptor that process_wait_descriptor() told, as it was then; "": not known
 * @param ret_text	"": nothing is known. Clean, as of text_clean()
 */
void process_wait_label(struct process_waits *waits, const struct process_syscall *call,
			const char *link, char ret_text[static PROCESS_WAIT_TEXT]);

/** One word for a kind: "file", "pipe", "socket" … */
const char *process_wait_kind_name(enum process_wait_kind kind);
