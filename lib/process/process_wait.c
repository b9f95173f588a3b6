/* SPDX-License-Identifier: Apache-2.0 */
/* From a system call and its arguments to what it waits for. */
#include "process/process_wait_priv.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

/* Descriptors of poll(2) that are looked at. */
#define MAX_POLLED 256
/* Of select(2): what fits an fd_set. */
#define MAX_SELECTED FD_SETSIZE
#define MAX_PATH 256

int process_waits_new(struct process *process, struct process_waits **ret_waits)
{
	struct process_waits *waits = calloc(1, sizeof(*waits));

	if (!waits)
		return err_trace(-ENOMEM);
	waits->process = process;
	*ret_waits = waits;
	return 0;
}

struct process_waits *process_waits_free(struct process_waits *waits)
{
	if (!waits)
		return NULL;
	process_sockets_deinit(&waits->sockets);
	free(waits);
	return NULL;
}

static void describe_fds(struct process_waits *waits, pid_t tid, const struct process_call *call,
			 const uint64_t *args, struct process_wait *wait)
{
	enum process_wait_kind ignored;
	size_t n;

	wait->fd = (int)args[call->a];
	n = process_fd_describe(waits, tid, wait->fd, wait->text, sizeof(wait->text), &wait->kind);
	if (call->b == PROCESS_NO_ARG || call->timed)
		return;
	n = text_add(wait->text, sizeof(wait->text), n, " and ");
	process_fd_describe(waits, tid, (int)args[call->b], wait->text + n, sizeof(wait->text) - n,
			    &ignored);
}

static void describe_path(struct process_waits *waits, uint64_t addr, struct process_wait *wait)
{
	char path[MAX_PATH], clean[MAX_PATH];
	/* Less where its mapping ends. */
	ssize_t n = process_read(waits->process, addr, path, sizeof(path));

	wait->kind = PROCESS_WAIT_FILE;
	if (n <= 0)
		return;
	text_clean(clean, sizeof(clean), path, strnlen(path, (size_t)n));
	text_add(wait->text, sizeof(wait->text), 0, "%s", clean);
}

/* The beginning of a list of descriptors in words, behind text of length n. */
static size_t name_fds(struct process_waits *waits, pid_t tid, const int *fds, uint64_t total,
		       unsigned known, struct process_wait *wait, size_t n)
{
	enum process_wait_kind ignored;
	unsigned named = 0;

	for (unsigned i = 0; i < known && named < PROCESS_WAIT_NAMED; i++) {
		char text[128];

		if (process_fd_describe(waits, tid, fds[i], text, sizeof(text), &ignored) == 0)
			continue;
		n = text_add(wait->text, sizeof(wait->text), n, "%s%s", named ? ", " : ": ", text);
		named++;
	}
	if (named < total)
		n = text_add(wait->text, sizeof(wait->text), n, named ? ", …" : "");
	return n;
}

static void describe_several(struct process_waits *waits, pid_t tid, const int *fds, uint64_t total,
			     unsigned known, struct process_wait *wait)
{
	size_t n;

	wait->kind = total ? PROCESS_WAIT_POLL : PROCESS_WAIT_SLEEP;
	if (total == 0) {
		text_add(wait->text, sizeof(wait->text), 0, "no descriptor");
		return;
	}
	if (total == 1 && known)
		wait->fd = fds[0];
	n = text_add(wait->text, sizeof(wait->text), 0, "%llu descriptor%s",
		     (unsigned long long)total, total == 1 ? "" : "s");
	name_fds(waits, tid, fds, total, known, wait, n);
}

static void describe_poll(struct process_waits *waits, pid_t tid, const uint64_t *args,
			  struct process_wait *wait)
{
	struct pollfd polled[MAX_POLLED];
	int fds[MAX_POLLED];
	/* nfds is an unsigned int in the kernel. */
	uint64_t total = (uint32_t)args[1], wanted = MIN(total, (uint64_t)MAX_POLLED);
	ssize_t size = process_read(waits->process, args[0], polled, wanted * sizeof(polled[0]));
	unsigned known = 0;

	for (size_t i = 0; size > 0 && i < (size_t)size / sizeof(polled[0]); i++) {
		/* Negative ones are ignored, poll(2). */
		if (polled[i].fd >= 0)
			fds[known++] = polled[i].fd;
		else
			total--;
	}
	describe_several(waits, tid, fds, total, known, wait);
}

static void describe_select(struct process_waits *waits, pid_t tid, const uint64_t *args,
			    struct process_wait *wait)
{
	uint64_t bits[MAX_SELECTED / 64] = {};
	int fds[MAX_SELECTED];
	uint64_t limit = MIN((uint64_t)(uint32_t)args[0], (uint64_t)MAX_SELECTED);
	unsigned known = 0;

	for (unsigned set = 1; set <= 3; set++) {
		uint64_t words[MAX_SELECTED / 64] = {};

		if (!args[set] ||
		    process_read(waits->process, args[set], words, (limit + 63) / 64 * 8) <= 0)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(bits); i++)
			bits[i] |= words[i];
	}
	for (uint64_t fd = 0; fd < limit; fd++) {
		if (bits[fd / 64] >> (fd % 64) & 1)
			fds[known++] = (int)fd;
	}
	describe_several(waits, tid, fds, known, known, wait);
}

static void describe_epoll(struct process_waits *waits, pid_t tid, const uint64_t *args,
			   struct process_wait *wait)
{
	wait->kind = PROCESS_WAIT_POLL;
	wait->fd = (int)args[0];
	process_epoll_describe(waits, tid, wait->fd, wait->text, sizeof(wait->text));
}

static void describe_futex(const uint64_t *args, struct process_wait *wait)
{
	unsigned command = (unsigned)args[1] & (unsigned)FUTEX_CMD_MASK;
	const char *word = "";

	wait->kind = PROCESS_WAIT_FUTEX;
	wait->futex_addr = args[0];
	wait->futex_value = (uint32_t)args[2];
	wait->shared = !(args[1] & FUTEX_PRIVATE_FLAG);
	switch (command) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		wait->futex = PROCESS_FUTEX_LOCK_PI;
		word = " (lock_pi)";
		break;
	case FUTEX_WAIT_REQUEUE_PI:
		word = " (wait_requeue_pi)";
		break;
	case FUTEX_WAIT_BITSET:
		word = " (wait_bitset)";
		break;
	default:
		break;
	}
	text_add(wait->text, sizeof(wait->text), 0, "futex 0x%llx%s%s", (unsigned long long)args[0],
		 word, wait->shared ? ", shared" : "");
}

static void describe_waitv(struct process_waits *waits, const uint64_t *args,
			   struct process_wait *wait)
{
	struct futex_waitv first;

	wait->kind = PROCESS_WAIT_FUTEX;
	wait->futex = PROCESS_FUTEX_WAITV;
	if (process_read(waits->process, args[0], &first, sizeof(first)) == sizeof(first)) {
		wait->futex_addr = first.uaddr;
		wait->futex_value = (uint32_t)first.val;
		wait->shared = !(first.flags & FUTEX_PRIVATE_FLAG);
	}
	text_add(wait->text, sizeof(wait->text), 0, "%u futexes, the first 0x%llx%s",
		 (unsigned)args[1], (unsigned long long)wait->futex_addr,
		 wait->shared ? ", shared" : "");
}

static void describe_child(int64_t pid, bool is_group, struct process_wait *wait)
{
	wait->kind = PROCESS_WAIT_CHILD;
	if (is_group) {
		text_add(wait->text, sizeof(wait->text), 0, "a child in process group %lld",
			 (long long)pid);
	} else if (pid > 0) {
		wait->child = (pid_t)pid;
		text_add(wait->text, sizeof(wait->text), 0, "child process %d", (int)pid);
	} else {
		text_add(wait->text, sizeof(wait->text), 0, "any child process");
	}
}

static void describe_waitid(const uint64_t *args, struct process_wait *wait)
{
	switch ((unsigned)args[0]) {
	case P_PID:
		describe_child((int)args[1], false, wait);
		break;
	case P_PGID:
		describe_child((int)args[1], true, wait);
		break;
	default:
		describe_child(0, false, wait);
		break;
	}
}

static void describe(struct process_waits *waits, pid_t tid, const struct process_call *call,
		     const uint64_t *args, struct process_wait *wait)
{
	switch (call->how) {
	case PROCESS_HOW_FD:
		describe_fds(waits, tid, call, args, wait);
		break;
	case PROCESS_HOW_PATH:
		describe_path(waits, args[call->a], wait);
		break;
	case PROCESS_HOW_POLL:
		/* Of poll(2) in milliseconds, negative: none. */
		wait->timed = call->timed ? wait->timed : (int)args[2] >= 0;
		describe_poll(waits, tid, args, wait);
		break;
	case PROCESS_HOW_SELECT:
		describe_select(waits, tid, args, wait);
		break;
	case PROCESS_HOW_EPOLL:
		wait->timed = call->timed ? wait->timed : (int)args[3] >= 0;
		describe_epoll(waits, tid, args, wait);
		break;
	case PROCESS_HOW_FUTEX:
		describe_futex(args, wait);
		break;
	case PROCESS_HOW_WAITV:
		describe_waitv(waits, args, wait);
		break;
	case PROCESS_HOW_WAIT4:
		/* 0: the caller's group, below -1: that group. */
		describe_child((int)args[0] < -1 ? -(int64_t)(int)args[0] : (int)args[0],
			       (int)args[0] < -1, wait);
		break;
	case PROCESS_HOW_WAITID:
		describe_waitid(args, wait);
		break;
	case PROCESS_HOW_VFORK:
		wait->kind = PROCESS_WAIT_CHILD;
		text_add(wait->text, sizeof(wait->text), 0, "its child to call execve or exit");
		break;
	case PROCESS_HOW_SLEEP:
		wait->kind = PROCESS_WAIT_SLEEP;
		break;
	case PROCESS_HOW_SIGNAL:
		wait->kind = PROCESS_WAIT_SIGNAL;
		text_add(wait->text, sizeof(wait->text), 0, "a signal");
		break;
	case PROCESS_HOW_IPC:
		wait->kind = PROCESS_WAIT_IPC;
		text_add(wait->text, sizeof(wait->text), 0, "%s %d",
			 call->name[0] == 'm' ? "message queue" : "semaphore set", (int)args[0]);
		break;
	case PROCESS_HOW_AIO:
		wait->kind = PROCESS_WAIT_AIO;
		text_add(wait->text, sizeof(wait->text), 0, "asynchronous input and output");
		break;
	}
}

void process_wait_read(struct process_waits *waits, pid_t tid, const struct process_syscall *call,
		       struct process_wait *ret_wait)
{
	const struct process_call *known;

	*ret_wait = (struct process_wait){.fd = -1};
	if (call->nr < 0) {
		ret_wait->kind = PROCESS_WAIT_FAULT;
		return;
	}
	known = process_call_find(call->nr);
	if (!known)
		return;
	ret_wait->timed = known->timed && call->args[known->b] != 0;
	describe(waits, tid, known, call->args, ret_wait);
}

const char *process_wait_kind_name(enum process_wait_kind kind)
{
	static const char *const names[] = {
		[PROCESS_WAIT_OTHER] = "other", [PROCESS_WAIT_FILE] = "file",
		[PROCESS_WAIT_PIPE] = "pipe",   [PROCESS_WAIT_SOCKET] = "socket",
		[PROCESS_WAIT_EVENT] = "event", [PROCESS_WAIT_POLL] = "poll",
		[PROCESS_WAIT_FUTEX] = "futex", [PROCESS_WAIT_CHILD] = "child",
		[PROCESS_WAIT_SLEEP] = "sleep", [PROCESS_WAIT_SIGNAL] = "signal",
		[PROCESS_WAIT_IPC] = "ipc",     [PROCESS_WAIT_AIO] = "aio",
		[PROCESS_WAIT_FAULT] = "fault",
	};

	return kind < PROCESS_WAIT_KINDS ? names[kind] : "other";
}
