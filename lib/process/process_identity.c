/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the process is, and staying with it.
 *
 * Three things are held: the /proc/PID directory (lookups below it fail with ESRCH once that very
 * process is reaped), a pidfd, and the start time. The pidfd is opened by number, but after the
 * directory; the directory still answering afterwards proves that both are the same process.
 */
#include "process/process_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"

DEFINE_CLEANUP(struct process *, process_close)

/* Tgid of /proc/PID/status: the kernel lets /proc/TID be opened for every thread. */
static int read_tgid(const struct process *process, pid_t *ret_tgid)
{
	_cleanup_free_ char *text = NULL;
	char *field, *end;
	uint64_t tgid;
	int r;

	r = process_file_read(process, "status", &text, NULL);
	if (r < 0)
		return err_trace(r);
	/* A newline in Name: is written as \n, so no name can forge this. */
	field = strstr(text, "\nTgid:\t");
	if (!field)
		return err_trace(-EIO);
	field += strlen("\nTgid:\t");
	end = strchrnul(field, '\n');
	*end = '\0';
	r = parse_u64(field, 0, INT32_MAX, &tgid);
	if (r < 0)
		return err_trace(r);
	*ret_tgid = (pid_t)tgid;
	return 0;
}

int process_open(pid_t pid, struct process **ret_process)
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	struct process_stat stat;
	char path[32];
	pid_t tgid = 0;
	int r;

	if (pid <= 0)
		return err_trace(-ESRCH);
	process = calloc(1, sizeof(*process));
	if (!process)
		return err_trace(-ENOMEM);
	process->pid = pid;
	atomic_init(&process->mm_tid, pid);
	process->pidfd = -1;
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	process->dirfd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (process->dirfd < 0)
		return err_trace(errno == ENOENT ? -ESRCH : err_errno());
	r = read_tgid(process, &tgid);
	if (r < 0)
		return err_trace(r == -ENOENT ? -ESRCH : r);
	if (tgid != pid)
		return err_trace(-EINVAL);
	process->pidfd = pidfd_open(pid, 0);
	if (process->pidfd < 0)
		return err_trace(err_errno());
	r = process_stat_read(process, &stat);
	if (r < 0)
		return err_trace(r);
	process->start_time = stat.start_time;
	if (clock_getcpuclockid(pid, &process->clock) != 0)
		return err_trace(-ESRCH);
	*ret_process = take_ptr(process);
	return 0;
}

struct process *process_close(struct process *process)
{
	if (!process)
		return NULL;
	process_leave(process);
	free(process);
	return NULL;
}

int process_clone(const struct process *process, struct process **ret_process)
{
	struct process *clone = calloc(1, sizeof(*clone));

	if (!clone)
		return err_trace(-ENOMEM);
	clone->pid = process->pid;
	clone->start_time = process->start_time;
	atomic_init(&clone->mm_tid, atomic_load(&process->mm_tid));
	clone->dirfd = clone->pidfd = -1;
	if (!process->left) {
		clone->dirfd = fcntl(process->dirfd, F_DUPFD_CLOEXEC, 3);
		clone->pidfd = fcntl(process->pidfd, F_DUPFD_CLOEXEC, 3);
	}
	if (clone->dirfd < 0 || clone->pidfd < 0)
		process_leave(clone);
	*ret_process = clone;
	return 0;
}

void process_leave(struct process *process)
{
	if (process->dirfd >= 0)
		close(process->dirfd);
	if (process->pidfd >= 0)
		close(process->pidfd);
	process->dirfd = process->pidfd = -1;
	process->left = true;
}

bool process_has_ended(const struct process *process)
{
	struct pollfd fd = {.fd = process->pidfd, .events = POLLIN};

	return process->left || poll(&fd, 1, 0) > 0;
}

pid_t process_pid(const struct process *process)
{
	return process->pid;
}

int process_pidfd(const struct process *process)
{
	return process->pidfd;
}

int process_dirfd(const struct process *process)
{
	return process->dirfd;
}

int process_check_alive(const struct process *process)
{
	if (process->left)
		return -ESRCH;
	/* Signal 0 sends nothing (kill(2)); a zombie still counts, EPERM is a living one too. */
	if (process->pidfd >= 0 && pidfd_send_signal(process->pidfd, 0, NULL, 0) < 0 &&
	    errno == ESRCH)
		return -ESRCH;
	return 0;
}

int process_error(const struct process *process, int error)
{
	if (error == -ENOENT && faccessat(process->dirfd, "stat", F_OK, 0) < 0)
		return -ESRCH;
	return process_check_alive(process) < 0 ? -ESRCH : error;
}

int process_cpu_time(const struct process *process, uint64_t *ret_ns)
{
	struct timespec ts;

	if (clock_gettime(process->clock, &ts) < 0)
		return err_trace(-ESRCH);
	if (process_check_alive(process) < 0)
		return err_trace(-ESRCH);
	*ret_ns = timespec_ns(ts);
	return 0;
}
