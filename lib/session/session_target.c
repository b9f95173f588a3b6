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
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "process/process.h"

#define PF_KTHREAD 0x00200000 /* include/linux/sched.h */
#define LOOK_EVERY (10 * NSEC_PER_MSEC)
#define LOOKS 5

DEFINE_CLEANUP(struct process *, process_close)

int64_t session_target_yama(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int64_t value;

	if (!file || fscanf(file, "%" SCNd64, &value) != 1)
		return -1;
	return value;
}

bool session_target_privileged(void)
{
	_cleanup_free_ char *status = NULL;

	if (process_status_read(getpid(), &status) < 0)
		return false;
	return process_status_number(status, "CapEff", 16) >> CAP_SYS_PTRACE & 1;
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
	uid = process_status_number(status, "Uid", 10);
	if (!session_target_privileged()) {
		if (uid >= 0 && (uid_t)uid != geteuid()) {
			*ret_other = uid;
			return SESSION_TARGET_OTHER_USER;
		}
		/* The kernel gives the files of an undumpable process to root, but not their
		 * directory (fs/proc/base.c task_dump_owner). */
		if (fstatat(process_dirfd(process), "status", &st, 0) == 0 &&
		    st.st_uid != geteuid())
			return SESSION_TARGET_UNDUMPABLE;
	}
	yama = session_target_yama();
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
	_cleanup_free_ char *status = NULL;
	int64_t tgid;

	if (process_status_read(pid, &status) < 0)
		return SESSION_TARGET_GONE;
	tgid = process_status_number(status, "Tgid", 10);
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
	tracer = process_status_number(status, "TracerPid", 10);
	if (tracer > 0) {
		/* For the microseconds of a sample another cprof is the tracer. */
		if (session_target_claimed(pid, ret_other) == SESSION_TARGET_SAMPLED)
			return SESSION_TARGET_SAMPLED;
		*ret_other = tracer;
		return SESSION_TARGET_TRACED;
	}
	r = check_access(process, status, ret_other);
	if (r != SESSION_TARGET_OK)
		return r;
	return is_32bit(process) ? SESSION_TARGET_32BIT : SESSION_TARGET_OK;
}

bool session_target_frozen(const struct process *process)
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

/* Not the moment that a thread waits for a page or for its own process's memory map. */
static bool stays_uninterruptible(struct process *process, pid_t pid)
{
	struct timespec pause = ns_timespec(LOOK_EVERY);
	struct process_turns first, turns;
	struct process_stat stat;

	if (process_turns_read(process, pid, &first) < 0)
		return false;
	for (unsigned i = 0; i < LOOKS; i++) {
		if (process_stat_read(process, &stat) < 0 || stat.state != 'D' ||
		    process_turns_read(process, pid, &turns) < 0 || turns.slices != first.slices)
			return false;
		(void)nanosleep(&pause, NULL);
	}
	return true;
}

enum session_target_state session_target_state(pid_t pid)
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	struct process_stat stat;

	if (process_open(pid, &process) < 0 || process_stat_read(process, &stat) < 0)
		return SESSION_TARGET_RUNS;
	if (stat.state == 'T' || stat.state == 't')
		return SESSION_TARGET_STOPPED;
	if (session_target_frozen(process))
		return SESSION_TARGET_FROZEN;
	if (stat.state == 'D' && stays_uninterruptible(process, pid))
		return SESSION_TARGET_UNINTERRUPTIBLE;
	return SESSION_TARGET_RUNS;
}

/* The abstract socket, unix(7), that stands for the claim on a process. */
static int claim_address(pid_t pid, struct sockaddr_un *ret_address, socklen_t *ret_length)
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	struct process_stat stat;
	int r = process_open(pid, &process);

	if (r >= 0)
		r = process_stat_read(process, &stat);
	if (r < 0)
		return err_trace(r);
	*ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
	/* A leading NUL makes the name abstract. */
	snprintf(ret_address->sun_path + 1, sizeof(ret_address->sun_path) - 1, "cprof/%d/%" PRIu64,
		 pid, stat.start_time);
	*ret_length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				  strlen(ret_address->sun_path + 1));
	return 0;
}

/* Whether somebody holds the claim, and its pid if that can be told. Nobody accepts these
 * connections: when the queue is full the answer is EAGAIN, which tells that there is a holder. */
static bool ask_holder(const struct sockaddr_un *address, socklen_t length, int64_t *ret_pid)
{
	_cleanup_close_ int asking = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct ucred holder;
	socklen_t holder_size = sizeof(holder);

	*ret_pid = 0;
	if (asking < 0)
		return false;
	if (connect(asking, (const struct sockaddr *)address, length) < 0)
		return errno == EAGAIN;
	if (getsockopt(asking, SOL_SOCKET, SO_PEERCRED, &holder, &holder_size) == 0)
		*ret_pid = holder.pid;
	return true;
}

int session_target_claimed(pid_t pid, int64_t *ret_other)
{
	struct sockaddr_un address;
	socklen_t length;
	int r = claim_address(pid, &address, &length);

	if (r < 0)
		return err_trace(r);
	return ask_holder(&address, length, ret_other) ? SESSION_TARGET_SAMPLED : SESSION_TARGET_OK;
}

int session_target_claim(pid_t pid, int *ret_fd, int64_t *ret_other)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un address;
	socklen_t length;
	int r = claim_address(pid, &address, &length);

	if (r < 0)
		return err_trace(r);
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
	(void)ask_holder(&address, length, ret_other);
	return SESSION_TARGET_SAMPLED;
}
