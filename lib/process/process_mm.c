/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which thread to ask for what the threads share.
 *
 * A leader may call pthread_exit() before the others. It stays as a zombie without memory and root
 * (kernel/exit.c exit_mm, exit_fs), so /proc/PID/maps and process_vm_readv(PID) fail, while the
 * same files of any living thread, and calls with its id, work.
 */
#include "process/process_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

static bool has_memory(const struct process *process, pid_t tid)
{
	struct process_stat stat;
	char text[1024];

	if (process_task_file_read(process, tid, "stat", text, sizeof(text)) <= 0)
		return false;
	return process_stat_parse(text, &stat) == 0 && stat.state != 'Z' && stat.state != 'X';
}

bool process_mm_move(struct process *process)
{
	_cleanup_(process_tasks_deinit) struct process_tasks tasks = {};
	pid_t now = atomic_load(&process->mm_tid);

	if (has_memory(process, now) || process_tasks_read(process, &tasks) < 0)
		return false;
	for (size_t i = 0; i < tasks.tids.n; i++) {
		if (!has_memory(process, tasks.tids.items[i]))
			continue;
		atomic_store(&process->mm_tid, tasks.tids.items[i]);
		return true;
	}
	return false;
}

int process_mm_open(struct process *process, const char *name, int flags)
{
	char path[128];
	int fd, error;

	do {
		pid_t tid = atomic_load(&process->mm_tid);

		/* map_files is there for the leader only. */
		if (tid == process->pid)
			snprintf(path, sizeof(path), "%s", name);
		else
			snprintf(path, sizeof(path), "task/%d/%s", tid, name);
		fd = openat(process->dirfd, path, flags | O_CLOEXEC);
		error = fd < 0 ? err_errno() : 0;
	} while (fd < 0 && process_mm_move(process));
	if (fd >= 0)
		return fd;
	/* A zombie is there, and has no memory. */
	return has_memory(process, atomic_load(&process->mm_tid)) ? process_error(process, error)
								  : -ESRCH;
}

bool process_shares_memory(const struct process *process, pid_t other)
{
	return syscall(SYS_kcmp, process->pid, other, KCMP_VM, 0, 0) == 0;
}

int process_memory_open(struct process *process)
{
	return process_mm_open(process, "mem", O_RDONLY);
}
