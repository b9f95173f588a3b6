/* SPDX-License-Identifier: Apache-2.0 */
/* Files of /proc/PID read whole. They report size 0, so reading goes on until the end. */
#include "process/process_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"

#define FILE_MAX_BYTES (64u << 20)

int process_file_read(const struct process *process, const char *name, char **ret_text,
		      size_t *ret_size)
{
	_cleanup_close_ int fd = openat(process->dirfd, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_trace(process_error(process, err_errno()));
	return process_fd_read(process, fd, ret_text, ret_size);
}

int process_fd_read(const struct process *process, int fd, char **ret_text, size_t *ret_size)
{
	VEC(char) text = {};
	_cleanup_free_ char *bytes = NULL;
	ssize_t n;
	int r;

	for (;;) {
		/* seq_file hands out at most one page per read. */
		r = vec_reserve(&text, text.n + 4097);
		bytes = text.items;
		if (r < 0)
			return err_trace(r);
		n = read(fd, bytes + text.n, text.cap - text.n - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_trace(process_error(process, err_errno()));
		if (n == 0)
			break;
		text.n += (size_t)n;
		if (text.n > FILE_MAX_BYTES)
			return err_trace(-EFBIG);
	}
	bytes[text.n] = '\0';
	if (ret_size)
		*ret_size = text.n;
	*ret_text = take_ptr(bytes);
	return 0;
}

ssize_t process_task_file_read(const struct process *process, pid_t tid, const char *name,
			       char *text, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "task/%d/%s", tid, name);
	fd = openat(process->dirfd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, size - 1);
	if (n >= 0)
		text[n] = '\0';
	return n;
}
