/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/task/TID/syscall: what a blocked thread waits in. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "process/process_priv.h"

int process_syscall_parse(const char *text, struct process_syscall *ret_call)
{
	struct process_syscall call = {};
	uint64_t *a = call.args;

	if (strncmp(text, "running", 7) == 0)
		return PROCESS_SYSCALL_RUNNING;
	if (sscanf(text, "%" SCNd64, &call.nr) != 1)
		return err_trace(-EINVAL);
	if (call.nr < 0) {
		/* Blocked elsewhere, in a page fault for instance: no arguments. */
		if (sscanf(text, "%*d %" SCNx64 " %" SCNx64, &call.sp, &call.pc) != 2)
			return err_trace(-EINVAL);
	} else if (sscanf(text,
			  "%*d %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
			  " %" SCNx64 " %" SCNx64,
			  &a[0], &a[1], &a[2], &a[3], &a[4], &a[5], &call.sp, &call.pc) != 8) {
		return err_trace(-EINVAL);
	}
	*ret_call = call;
	return 0;
}

int process_syscall_read(const struct process *process, pid_t tid, struct process_syscall *ret_call)
{
	char text[256];

	if (process_task_file_read(process, tid, "syscall", text, sizeof(text)) < 0) {
		/* Without CONFIG_HAVE_ARCH_TRACEHOOK there is no such file although the thread is
		 * there. */
		if (errno == ENOENT || errno == ESRCH)
			return PROCESS_SYSCALL_GONE;
		return err_trace(err_errno());
	}
	return process_syscall_parse(text, ret_call);
}
