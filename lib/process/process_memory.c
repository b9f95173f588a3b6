/* SPDX-License-Identifier: Apache-2.0 */
/* Target memory, read while it runs. */
#include "process/process_priv.h"

#include <errno.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"

ssize_t process_read(const struct process *process, uint64_t addr, void *bytes, size_t size)
{
	struct iovec local = {.iov_base = bytes, .iov_len = MIN(size, (size_t)INT32_MAX)};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)addr, .iov_len = local.iov_len};
	ssize_t n;

	if (size == 0)
		return 0;
	/*
	 * A single element is copied page by page up to the first one that is missing
	 * (mm/process_vm_access.c, process_vm_rw_single_vec), although the manual page speaks of
	 * whole elements only.
	 */
	n = process_vm_readv(process->pid, &local, 1, &remote, 1, 0);
	if (n < 0 && errno != EFAULT)
		return err_trace(err_errno());
	if (process_check_alive(process) < 0)
		return err_trace(-ESRCH);
	return MAX(n, (ssize_t)0);
}
