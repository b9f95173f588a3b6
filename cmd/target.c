/* SPDX-License-Identifier: Apache-2.0 */
#include "target.h"

#include <ctype.h>
#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "process/process.h"
#include "session/session_target.h"

static bool read_comm(pid_t pid, char *name, size_t size)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	file = fopen(path, "re");
	if (!file || !fgets(name, (int)size, file))
		return false;
	name[strcspn(name, "\n")] = '\0';
	return true;
}

bool target_has_name(pid_t pid, const char *name)
{
	char comm[64], path[64], exe[PATH_MAX];
	const char *base;
	ssize_t n;

	if (read_comm(pid, comm, sizeof(comm)) && strcmp(comm, name) == 0)
		return true;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	if (n <= 0)
		return false;
	exe[n] = '\0';
	base = strrchr(exe, '/');
	return base && strcmp(base + 1, name) == 0;
}

bool target_find(const char *name, pid_t *ret_pid)
{
	_cleanup_closedir_ DIR *proc = opendir("/proc");
	const struct dirent *entry;
	char list[256] = "";
	size_t length = 0;
	unsigned found = 0;

	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid <= 0 || pid == getpid() || !target_has_name(pid, name))
			continue;
		*ret_pid = pid;
		found++;
		if (length < sizeof(list) - 16)
			length +=
				(size_t)snprintf(list + length, sizeof(list) - length, " %d", pid);
	}
	if (found == 0)
		fprintf(stderr, "cprof: no process is named '%s'. 'ps -e' lists the names.\n",
			name);
	if (found > 1)
		fprintf(stderr, "cprof: %u processes are named '%s':%s. Choose one with -p PID.\n",
			found, name, list);
	return found == 1;
}

bool target_parse_pid(const char *text, const char *option, pid_t *ret_pid)
{
	uint64_t value;

	/* pid_max cannot be larger, proc(5). */
	if (parse_u64(text, 1, 4194304, &value) < 0) {
		fprintf(stderr, "cprof: %s wants a number from 1 to 4194304, not '%s'.\n", option,
			text);
		return false;
	}
	*ret_pid = (pid_t)value;
	return true;
}

void target_name(pid_t pid, char name[static 64])
{
	if (!read_comm(pid, name, 64) || !name[0])
		strcpy(name, "unknown");
	for (char *c = name; *c; c++) {
		if (!isalnum((unsigned char)*c) && !strchr("._+-", *c))
			*c = '_';
	}
	/* Neither a hidden file nor something that looks like an option. */
	if (name[0] == '.' || name[0] == '-')
		name[0] = '_';
}

static const char *yama_way_out(int64_t scope)
{
	switch (scope) {
	case 1:
		return "only a parent may trace its children. Run cprof as root (or with "
		       "CAP_SYS_PTRACE), start the program with 'cprof record -- CMD', or set "
		       "kernel.yama.ptrace_scope to 0";
	case 2:
		return "only processes with CAP_SYS_PTRACE may trace. Run cprof as root";
	default:
		return "tracing is switched off until the next boot";
	}
}

void target_explain(FILE *to, pid_t pid, int why, int64_t other)
{
	switch ((enum session_target)why) {
	case SESSION_TARGET_OK:
		break;
	case SESSION_TARGET_GONE:
		fprintf(to, "there is no process %d. 'ps -e' lists those there are.\n", pid);
		break;
	case SESSION_TARGET_THREAD:
		fprintf(to,
			"%d is a thread of process %" PRId64 ". Use -p %" PRId64
			", with --tid %d for this thread only.\n",
			pid, other, other, pid);
		break;
	case SESSION_TARGET_KERNEL:
		fprintf(to, "%d is a kernel thread; it has no user stack to sample.\n", pid);
		break;
	case SESSION_TARGET_ZOMBIE:
		fprintf(to,
			"process %d has ended already and waits for its parent, %" PRId64
			", to collect its exit status.\n",
			pid, other);
		break;
	case SESSION_TARGET_SELF:
		fprintf(to, "%d is this cprof. Start a second one to profile it.\n", pid);
		break;
	case SESSION_TARGET_TRACED:
		fprintf(to,
			"process %d is traced already, by process %" PRId64
			" (a debugger or strace?). A thread can have one tracer only: end that "
			"one first.\n",
			pid, other);
		break;
	case SESSION_TARGET_SAMPLED:
		fprintf(to, "process %d is being sampled already by another cprof", pid);
		if (other > 0)
			fprintf(to, ", process %" PRId64, other);
		fprintf(to, ". Wait for it to end, or end it.\n");
		break;
	case SESSION_TARGET_32BIT:
		fprintf(to,
			"process %d is a 32-bit program, which is not supported. perf record -g "
			"can profile it.\n",
			pid);
		break;
	case SESSION_TARGET_OTHER_USER:
		fprintf(to,
			"process %d belongs to another user (uid %" PRId64
			"). Run cprof as that user or as root, or give it CAP_SYS_PTRACE.\n",
			pid, other);
		break;
	case SESSION_TARGET_YAMA:
		fprintf(to, "kernel.yama.ptrace_scope is %" PRId64 ": %s.\n", other,
			yama_way_out(other));
		break;
	case SESSION_TARGET_UNDUMPABLE:
		fprintf(to,
			"process %d has protected itself (set-user-ID, changed credentials or "
			"PR_SET_DUMPABLE). Run cprof as root.\n",
			pid);
		break;
	case SESSION_TARGET_DENIED:
		fprintf(to,
			"the kernel refuses access to process %d: %s. It may be in another user "
			"namespace, or a security module forbids it; try as root outside the "
			"container.\n",
			pid, strerror((int)other));
		break;
	}
}

static void refuse(pid_t pid, int why, int64_t other)
{
	fprintf(stderr, "cprof: ");
	target_explain(stderr, pid, why, other);
}

bool target_check(pid_t pid)
{
	int64_t other;
	int r = session_target_check(pid, &other);

	if (r < 0)
		fprintf(stderr, "cprof: cannot look at process %d: %s\n", pid, strerror(-r));
	else if (r > 0)
		refuse(pid, r, other);
	return r == SESSION_TARGET_OK;
}

bool target_claim(pid_t pid)
{
	int64_t other = 0;
	/* Kept open on purpose: the claim lasts as long as this process. */
	int fd, r = session_target_claim(pid, &fd, &other);

	if (r < 0)
		fprintf(stderr, "cprof: cannot claim process %d: %s\n", pid, strerror(-r));
	else if (r > 0)
		refuse(pid, r, other);
	return r == SESSION_TARGET_OK;
}

void target_hint(pid_t pid)
{
	switch (session_target_state(pid)) {
	case SESSION_TARGET_RUNS:
		break;
	case SESSION_TARGET_STOPPED:
		fprintf(stderr,
			"cprof: process %d is stopped (job control or a debugger); nothing is seen "
			"until it continues: kill -CONT %d\n",
			pid, pid);
		break;
	case SESSION_TARGET_UNINTERRUPTIBLE:
		fprintf(stderr,
			"cprof: process %d is in uninterruptible sleep (waits for a disk or the "
			"like); it uses no CPU until that ends\n",
			pid);
		break;
	case SESSION_TARGET_FROZEN:
		fprintf(stderr,
			"cprof: the cgroup of process %d is frozen; nothing runs until it "
			"is thawed\n",
			pid);
		break;
	}
}
