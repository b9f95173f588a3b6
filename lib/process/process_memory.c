/* SPDX-License-Identifier: Apache-2.0 */
/* Target memory, read while it runs. */
#include "process/process_priv.h"

#include <errno.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/err.h"

ssize_t process_read(struct process *process, uint64_t addr, void *bytes, size_t size)
{
	struct iovec local = {.iov_base = bytes, .iov_len = MIN(size, (size_t)INT32_MAX)};
	struct iovec remote = {.iov_base = (void *)(uintptr_t)addr, .iov_len = local.iov_len};
	ssize_t n;
	int error;

	if (size == 0)
		return 0;
	/*
	 * A single element is copied page by page up to the first one that is missing
	 * (mm/process_vm_access.c, process_vm_rw_single_vec), although the manual page speaks of
	 * whole elements only.
	 */
	do {
		n = process_vm_readv(atomic_load(&process->mm_tid), &local, 1, &remote, 1, 0);
		error = n < 0 ? err_errno() : 0;
	} while (error == -ESRCH && process_mm_move(process));
	if (n < 0 && error != -EFAULT)
		return err_trace(error);
	if (process_check_alive(process) < 0)
		return err_trace(-ESRCH);
	return MAX(n, (ssize_t)0);
}
