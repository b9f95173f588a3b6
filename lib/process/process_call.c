/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls that wait, and where their arguments say for what. Calls are known by their
 * names, whose arguments are in the same order on all CPUs but for a few that are not here. */
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "process/process_wait_priv.h"

static const struct process_call calls[] = {
	{"accept", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"accept4", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"connect", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"copy_file_range", PROCESS_HOW_FD, 0, 2},
	{"fallocate", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"fcntl", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"fdatasync", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"flock", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"fsync", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"ftruncate", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"getdents64", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"io_uring_enter", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"ioctl", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"mq_timedreceive", PROCESS_HOW_FD, 0, 4, true},
	{"mq_timedsend", PROCESS_HOW_FD, 0, 4, true},
	{"pread64", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"preadv", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"preadv2", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"pwrite64", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"pwritev", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"pwritev2", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"read", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"readv", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"recvfrom", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"recvmmsg", PROCESS_HOW_FD, 0, 4, true},
	{"recvmsg", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"sendfile", PROCESS_HOW_FD, 1, 0},
	{"sendmmsg", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"sendmsg", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"sendto", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"splice", PROCESS_HOW_FD, 0, 2},
	{"syncfs", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"tee", PROCESS_HOW_FD, 0, 1},
	{"vmsplice", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"write", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"writev", PROCESS_HOW_FD, 0, PROCESS_NO_ARG},
	{"open", PROCESS_HOW_PATH, 0, PROCESS_NO_ARG},
	{"openat", PROCESS_HOW_PATH, 1, PROCESS_NO_ARG},
	{"openat2", PROCESS_HOW_PATH, 1, PROCESS_NO_ARG},
	{"poll", PROCESS_HOW_POLL, 0, 2},
	{"ppoll", PROCESS_HOW_POLL, 0, 2, true},
	{"select", PROCESS_HOW_SELECT, 0, 4, true},
	{"pselect6", PROCESS_HOW_SELECT, 0, 4, true},
	{"epoll_wait", PROCESS_HOW_EPOLL, 0, 3},
	{"epoll_pwait", PROCESS_HOW_EPOLL, 0, 3},
	{"epoll_pwait2", PROCESS_HOW_EPOLL, 0, 3, true},
	{"futex", PROCESS_HOW_FUTEX, 0, 3, true},
	{"futex_waitv", PROCESS_HOW_WAITV, 0, 3, true},
	{"wait4", PROCESS_HOW_WAIT4, 0, PROCESS_NO_ARG},
	{"waitid", PROCESS_HOW_WAITID, 0, PROCESS_NO_ARG},
	{"vfork", PROCESS_HOW_VFORK, 0, PROCESS_NO_ARG},
	{"nanosleep", PROCESS_HOW_SLEEP, 0, 0, true},
	{"clock_nanosleep", PROCESS_HOW_SLEEP, 0, 2, true},
	{"pause", PROCESS_HOW_SIGNAL, 0, PROCESS_NO_ARG},
	{"rt_sigsuspend", PROCESS_HOW_SIGNAL, 0, PROCESS_NO_ARG},
	{"rt_sigtimedwait", PROCESS_HOW_SIGNAL, 0, 2, true},
	{"msgrcv", PROCESS_HOW_IPC, 0, PROCESS_NO_ARG},
	{"msgsnd", PROCESS_HOW_IPC, 0, PROCESS_NO_ARG},
	{"semop", PROCESS_HOW_IPC, 0, PROCESS_NO_ARG},
	{"semtimedop", PROCESS_HOW_IPC, 0, 3, true},
	{"io_getevents", PROCESS_HOW_AIO, 0, 4, true},
	{"io_pgetevents", PROCESS_HOW_AIO, 0, 4, true},
};

const struct process_call *process_call_find(int64_t nr)
{
	const char *name;

	if (nr < 0)
		return NULL;
	name = arch_syscall_name(arch_native(), (int)nr);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		if (strcmp(calls[i].name, name) == 0)
			return &calls[i];
	}
	return NULL;
}
