/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/process_priv.h"

bool process_thread_is_filtered(const struct process *process, pid_t tid)
{
	_cleanup_close_ int fd = -1;
	char path[64], text[4096];
	const char *line;
	ssize_t n;

	snprintf(path, sizeof(path), "task/%d/status", tid);
	fd = openat(process->dirfd, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	line = strstr(text, "\nSeccomp:\t");
	return line && line[10] != '0';
}
