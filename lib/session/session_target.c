/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session_target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "process/process.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */

DEFINE_CLEANUP(struct process *, process_close)

/* Number behind `key:` in a status file; -1 when it is not there. */
static int64_t status_number(const char *status, const char *key, int base)
{
	const char *line = status;
	size_t length = strlen(key);

	while (line) {
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			return (int64_t)strtoull(line + length + 1, NULL, base);
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return -1;
}

static int64_t small_file_number(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	int64_t value;

	if (!file || fscanf(file, "%" SCNd64, &value) != 1)
		return -1;
	return value;
}

static bool may_ptrace_anything(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
	char text[8192];
	size_t n;

	if (!file)
		return false;
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	return status_number(text, "CapEff", 16) >> CAP_SYS_PTRACE & 1;
}

/* Opening /proc/PID/mem takes the check that PTRACE_SEIZE will take (PTRACE_MODE_ATTACH,
 * fs/proc/base.c mem_open): user, capabilities, dumpable, Yama and other security modules. */
static int check_access(struct process *process, const char *status, int64_t *ret_other)
{
	_cleanup_close_ int mem = process_memory_open(process);
	int64_t yama, uid;
	struct stat st;

	if (mem >= 0)
		return SESSION_TARGET_OK;
	*ret_other = -mem;
	if (mem == -ENOENT || mem == -ESRCH)
		return SESSION_TARGET_GONE;
	if (mem != -EACCES && mem != -EPERM)
		return SESSION_TARGET_DENIED;
	uid = status_number(status, "Uid", 10);
	if (!may_ptrace_anything()) {
		if (uid >= 0 && (uid_t)uid != geteuid()) {
			*ret_other = uid;
			return SESSION_TARGET_OTHER_USER;
		}
		/* The kernel gives the files of an undumpable process to root. */
		if (fstat(process_dirfd(process), &st) == 0 && st.st_uid != geteuid())
			return SESSION_TARGET_UNDUMPABLE;
	}
	yama = small_file_number("/proc/sys/kernel/yama/ptrace_scope");
	if (yama > 0) {
		*ret_other = yama;
		return SESSION_TARGET_YAMA;
	}
	return SESSION_TARGET_DENIED;
}

static bool is_32bit(const struct process *process)
{
	_cleanup_close_ int exe = openat(process_dirfd(process), "exe", O_RDONLY | O_CLOEXEC);
	unsigned char ident[EI_NIDENT];

	return exe >= 0 && pread(exe, ident, sizeof(ident), 0) == sizeof(ident) &&
	       memcmp(ident, ELFMAG, SELFMAG) == 0 && ident[EI_CLASS] == ELFCLASS32;
}

static int explain_no_process(pid_t pid, int64_t *ret_other)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], text[8192];
	int64_t tgid;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	if (!file)
		return SESSION_TARGET_GONE;
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	tgid = status_number(text, "Tgid", 10);
	if (tgid <= 0 || tgid == pid)
		return SESSION_TARGET_GONE;
	*ret_other = tgid;
	return SESSION_TARGET_THREAD;
}

int session_target_check(pid_t pid, int64_t *ret_other)
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	_cleanup_free_ char *status = NULL;
	struct process_stat stat;
	int64_t tracer;
	int r;

	*ret_other = 0;
	if (pid == getpid())
		return SESSION_TARGET_SELF;
	r = process_open(pid, &process);
	if (r == -ESRCH || r == -EINVAL)
		return explain_no_process(pid, ret_other);
	if (r < 0)
		return err_trace(r);
	if (process_stat_read(process, &stat) < 0 ||
	    process_file_read(process, "status", &status, NULL) < 0)
		return SESSION_TARGET_GONE;
	if (stat.flags & PF_KTHREAD)
		return SESSION_TARGET_KERNEL;
	if ((stat.state == 'Z' || stat.state == 'X') && stat.n_threads <= 1) {
		*ret_other = stat.ppid;
		return SESSION_TARGET_ZOMBIE;
	}
	tracer = status_number(status, "TracerPid", 10);
	if (tracer > 0) {
		*ret_other = tracer;
		return SESSION_TARGET_TRACED;
	}
	r = check_access(process, status, ret_other);
	if (r != SESSION_TARGET_OK)
		return r;
	return is_32bit(process) ? SESSION_TARGET_32BIT : SESSION_TARGET_OK;
}

static bool is_frozen(const struct process *process)
{
	_cleanup_free_ char *cgroup = NULL;
	_cleanup_fclose_ FILE *events = NULL;
	char path[4096], line[128];
	const char *group;

	if (process_file_read(process, "cgroup", &cgroup, NULL) < 0)
		return false;
	/* "0::/path": the unified hierarchy, cgroups(7). */
	group = strstr(cgroup, "0::");
	if (!group)
		return false;
	snprintf(path, sizeof(path), "/sys/fs/cgroup%.*s/cgroup.events",
		 (int)strcspn(group + 3, "\n"), group + 3);
	events = fopen(path, "re");
	while (events && fgets(line, sizeof(line), events)) {
		if (strcmp(line, "frozen 1\n") == 0)
			return true;
	}
	return false;
}

enum session_target_state session_target_state(pid_t pid)
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	struct process_stat stat;

	if (process_open(pid, &process) < 0 || process_stat_read(process, &stat) < 0)
		return SESSION_TARGET_RUNS;
	if (stat.state == 'T' || stat.state == 't')
		return SESSION_TARGET_STOPPED;
	if (is_frozen(process))
		return SESSION_TARGET_FROZEN;
	if (stat.state == 'D')
		return SESSION_TARGET_UNINTERRUPTIBLE;
	return SESSION_TARGET_RUNS;
}

int session_target_claim(pid_t pid, int *ret_fd, int64_t *ret_other)
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	_cleanup_close_ int fd = -1, asking = -1;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct process_stat stat;
	struct ucred holder;
	socklen_t length, holder_size = sizeof(holder);
	int r = process_open(pid, &process);

	if (r >= 0)
		r = process_stat_read(process, &stat);
	if (r < 0)
		return err_trace(r);
	/* A leading NUL makes the name abstract, unix(7). */
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "cprof/%d/%" PRIu64, pid,
		 stat.start_time);
	length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
			     strlen(address.sun_path + 1));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_trace(err_errno());
	if (bind(fd, (struct sockaddr *)&address, length) == 0) {
		if (listen(fd, 1) < 0)
			return err_trace(err_errno());
		*ret_fd = take_fd(&fd);
		return SESSION_TARGET_OK;
	}
	if (errno != EADDRINUSE)
		return err_trace(err_errno());
	*ret_other = 0;
	asking = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (asking >= 0 && connect(asking, (struct sockaddr *)&address, length) == 0 &&
	    getsockopt(asking, SOL_SOCKET, SO_PEERCRED, &holder, &holder_size) == 0)
		*ret_other = holder.pid;
	return SESSION_TARGET_SAMPLED;
}
