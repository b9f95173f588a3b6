/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits in words that samples can be grouped by.
 *
 * The descriptor, and what it is, are read while the thread is known to be in the call: later its
 * number may mean another file. The list of several is not read at all.
 */
#include <poll.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "process/process_wait_priv.h"

int process_wait_descriptor(struct process *process, const struct process_syscall *call)
{
	const struct process_call *known = process_call_find(call->nr);
	struct pollfd polled;

	if (!known)
		return -1;
	if (known->how == PROCESS_HOW_FD)
		return (int)call->args[known->a];
	/* nfds is an unsigned int in the kernel. */
	if (known->how == PROCESS_HOW_POLL && (uint32_t)call->args[1] == 1 &&
	    process_read(process, call->args[0], &polled, sizeof(polled)) == sizeof(polled))
		return polled.fd;
	return -1;
}

/* A word for calls whose object is not told; NULL: none would be right. */
static const char *word_of(const struct process_syscall *call)
{
	const struct process_call *known = process_call_find(call->nr);

	if (call->nr < 0)
		return "fault";
	if (!known)
		return NULL;
	switch (known->how) {
	case PROCESS_HOW_FD:
		break;
	case PROCESS_HOW_PATH:
		return "open";
	case PROCESS_HOW_POLL:
	case PROCESS_HOW_SELECT:
	case PROCESS_HOW_EPOLL:
		return "poll";
	case PROCESS_HOW_FUTEX:
	case PROCESS_HOW_WAITV:
		return "futex";
	case PROCESS_HOW_WAIT4:
	case PROCESS_HOW_WAITID:
	case PROCESS_HOW_VFORK:
		return "child";
	case PROCESS_HOW_SLEEP:
		return "sleep";
	case PROCESS_HOW_SIGNAL:
		return "signal";
	case PROCESS_HOW_IPC:
		return "ipc";
	case PROCESS_HOW_AIO:
		return "aio";
	}
	return NULL;
}

void process_wait_label(struct process_waits *waits, const struct process_syscall *call,
			const char *link, char ret_text[static PROCESS_WAIT_TEXT])
{
	enum process_wait_kind kind;
	const char *word;

	ret_text[0] = '\0';
	if (link[0]) {
		process_link_describe(waits, link, ret_text, PROCESS_WAIT_TEXT, &kind);
		return;
	}
	word = word_of(call);
	if (word)
		text_add(ret_text, PROCESS_WAIT_TEXT, 0, "%s", word);
}
