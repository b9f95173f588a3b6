/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of the process. */
#include "process/process_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

static int compare_tids(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return (x > y) - (x < y);
}

int process_tasks_read(const struct process *process, struct process_tasks *tasks)
{
	_cleanup_closedir_ DIR *dir = NULL;
	_cleanup_close_ int fd = -1;
	struct dirent *entry;
	uint64_t tid;
	pid_t *slot;

	fd = openat(process->dirfd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_trace(process_error(process, err_errno()));
	dir = fdopendir(fd);
	if (!dir)
		return err_trace(err_errno());
	(void)take_fd(&fd);
	tasks->tids.n = 0;
	for (;;) {
		errno = 0;
		entry = readdir(dir);
		if (!entry)
			break;
		if (parse_u64(entry->d_name, 1, INT32_MAX, &tid) < 0)
			continue;
		slot = vec_push(&tasks->tids);
		if (!slot)
			return err_trace(-ENOMEM);
		*slot = (pid_t)tid;
	}
	/* The kernel ends the list of a dead process with ENOENT, or with nothing. */
	if (errno != 0 && errno != ENOENT)
		return err_trace(process_error(process, err_errno()));
	if (tasks->tids.n == 0)
		return err_trace(-ESRCH);
	qsort(tasks->tids.items, tasks->tids.n, sizeof(*tasks->tids.items), compare_tids);
	return 0;
}

void process_tasks_deinit(struct process_tasks *tasks)
{
	vec_deinit(&tasks->tids);
}
