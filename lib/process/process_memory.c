/* SPDX-License-Identifier: Apache-2.0 */
/* Target memory, read while it runs. */
#include "process/process_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/uio.h>
#include <unistd.h>

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

size_t process_read_stopped(pid_t tid, const struct process_mark *mark, uint64_t addr, void *bytes,
			    size_t size, bool *ret_same)
{
	uint8_t found[sizeof(mark->bytes)];
	struct iovec local[] = {{found, mark->addr ? sizeof(found) : 0},
				{bytes, MIN(size, (size_t)INT32_MAX)}};
	struct iovec remote[] = {{(void *)(uintptr_t)mark->addr, local[0].iov_len},
				 {(void *)(uintptr_t)addr, local[1].iov_len}};
	ssize_t n = process_vm_readv(tid, local, 2, remote, 2, 0);

	*ret_same = mark->addr && n >= (ssize_t)sizeof(found) &&
		    memcmp(found, mark->bytes, sizeof(found)) == 0;
	if (n >= (ssize_t)local[0].iov_len)
		return (size_t)n - local[0].iov_len;
	/* The mark is not there, and nothing behind it was read. */
	n = process_vm_readv(tid, local + 1, 1, remote + 1, 1, 0);
	return n > 0 ? (size_t)n : 0;
}

uint64_t process_auxv(struct process *process, uint64_t type)
{
	_cleanup_close_ int fd = process_mm_open(process, "auxv", O_RDONLY);
	uint64_t words[128];
	ssize_t n = fd < 0 ? -1 : read(fd, words, sizeof(words));

	for (ssize_t i = 0; i + 1 < n / (ssize_t)sizeof(*words); i += 2) {
		if (words[i] == type)
			return words[i + 1];
	}
	return 0;
}

void process_mark_read(struct process *process, struct process_mark *ret_mark)
{
	ret_mark->addr = process_auxv(process, AT_RANDOM);
	if (ret_mark->addr && process_read(process, ret_mark->addr, ret_mark->bytes,
					   sizeof(ret_mark->bytes)) != sizeof(ret_mark->bytes))
		ret_mark->addr = 0;
}
