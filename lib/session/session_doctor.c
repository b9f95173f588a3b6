/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session_doctor_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

DEFINE_CLEANUP(struct doctor *, doctor_free)

/* Namespaces are equal when the inodes behind their links are, namespaces(7). */
static enum doctor_answer same_file(const struct doctor *doctor, const char *name, const char *own)
{
	struct stat theirs, ours;

	/* Takes PTRACE_MODE_READ. */
	if (fstatat(process_dirfd(doctor->process), name, &theirs, 0) < 0 || stat(own, &ours) < 0)
		return DOCTOR_UNKNOWN;
	return theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino ? DOCTOR_YES
									    : DOCTOR_NO;
}

/* The kernel gives the files of an undumpable process to root, but not their directory
 * (fs/proc/base.c task_dump_owner), so of a root process it cannot be told. */
static enum doctor_answer is_dumpable(const struct doctor *doctor)
{
	struct stat st;

	if (doctor->euid <= 0 || fstatat(process_dirfd(doctor->process), "status", &st, 0) < 0)
		return DOCTOR_UNKNOWN;
	return st.st_uid == (uid_t)doctor->euid ? DOCTOR_YES : DOCTOR_NO;
}

static void look_identity(struct doctor *doctor, const char *status)
{
	struct process_stat stat;
	int64_t numbers[32];
	unsigned n;
	ssize_t size;

	if (process_stat_read(doctor->process, &stat) == 0)
		snprintf(doctor->name, sizeof(doctor->name), "%s", stat.name);
	size = readlinkat(process_dirfd(doctor->process), "exe", doctor->exe,
			  sizeof(doctor->exe) - 1);
	doctor->exe[MAX(size, (ssize_t)0)] = '\0';
	/* Real, effective, saved, file system. */
	n = process_status_numbers(status, "Uid", numbers, 4);
	doctor->uid = n > 0 ? numbers[0] : -1;
	doctor->euid = n > 1 ? numbers[1] : -1;
	n = process_status_numbers(status, "NSpid", numbers, ARRAY_SIZE(numbers));
	doctor->inner_pid = n > 0 ? (pid_t)numbers[n - 1] : doctor->pid;
	doctor->seccomp = process_status_number(status, "Seccomp", 10);
	doctor->seccomp_filters = process_status_number(status, "Seccomp_filters", 10);
	doctor->same_pid_ns = same_file(doctor, "ns/pid", "/proc/self/ns/pid");
	/* Anybody may read NSpid: more than one number means a namespace below ours. */
	if (doctor->same_pid_ns == DOCTOR_UNKNOWN && n > 1)
		doctor->same_pid_ns = DOCTOR_NO;
	doctor->same_mnt_ns = same_file(doctor, "ns/mnt", "/proc/self/ns/mnt");
	doctor->same_user_ns = same_file(doctor, "ns/user", "/proc/self/ns/user");
	doctor->same_root = same_file(doctor, "root", "/");
	doctor->dumpable = is_dumpable(doctor);
}

static void look_kernel(struct doctor *doctor)
{
	_cleanup_free_ char *schedstat = NULL, *call = NULL;
	unsigned long long run = 0;
	ssize_t n;
	char byte;
	int r;

	/* Without CONFIG_SCHED_INFO the file is not there, or all zeroes (fs/proc/base.c). */
	r = process_file_read(doctor->process, "schedstat", &schedstat, NULL);
	doctor->schedstat = r == 0 && sscanf(schedstat, "%llu", &run) == 1 && run > 0 ? DOCTOR_YES
			    : r == 0 || r == -ENOENT                                  ? DOCTOR_NO
						     : DOCTOR_UNKNOWN;
	r = process_file_read(doctor->process, "syscall", &call, NULL);
	doctor->syscall_file = r == 0 ? DOCTOR_YES : r == -ENOENT ? DOCTOR_NO : DOCTOR_UNKNOWN;
	/* Address 0 is not mapped: the kernel checks the permission first and then finds nothing
	 * (mm/process_vm_access.c), so no page of the target is touched. */
	n = process_read(doctor->process, 0, &byte, 1);
	if (n >= 0)
		doctor->stack_reads = DOCTOR_YES;
	/* Where the target as a whole is refused, this says nothing about the call. */
	else if (n != -ESRCH && doctor->target == SESSION_TARGET_OK)
		doctor->stack_reads = DOCTOR_NO;
}

static int look(struct doctor *doctor)
{
	_cleanup_free_ char *status = NULL;
	int64_t other;
	int r = process_open(doctor->pid, &doctor->process);

	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : 0;
	r = process_status_read(doctor->pid, &status);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : 0;
	look_identity(doctor, status);
	if (doctor->target == SESSION_TARGET_OK &&
	    session_target_claimed(doctor->pid, &other) == SESSION_TARGET_SAMPLED) {
		doctor->target = SESSION_TARGET_SAMPLED;
		doctor->target_other = other;
	}
	doctor->frozen = session_target_frozen(doctor->process);
	r = doctor_look_threads(doctor);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : 0;
	/* Neither has a user stack, memory or files. */
	if (doctor->target == SESSION_TARGET_KERNEL || doctor->target == SESSION_TARGET_ZOMBIE)
		return 0;
	look_kernel(doctor);
	r = doctor_watch_threads(doctor);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : 0;
	return doctor_look_modules(doctor);
}

int doctor_new(pid_t pid, struct doctor **ret_doctor)
{
	_cleanup_(doctor_free_cleanup) struct doctor *doctor = calloc(1, sizeof(*doctor));
	struct process_stat stat;
	int r;

	if (!doctor)
		return err_trace(-ENOMEM);
	doctor->pid = doctor->inner_pid = pid;
	doctor->uid = doctor->euid = doctor->seccomp = doctor->seccomp_filters = -1;
	doctor->perf_map_bytes = -1;
	doctor->modules_error = -ESRCH;
	doctor->privileged = session_target_privileged();
	doctor->yama = session_target_yama();
	doctor->n_cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	r = session_target_check(pid, &doctor->target_other);
	if (r < 0)
		return err_trace(r);
	doctor->target = r;
	r = look(doctor);
	if (r < 0)
		return err_trace(r);
	if (doctor->process && inject_left(doctor->process, &doctor->remains) < 0)
		return err_trace(-ENOMEM);
	doctor_measure_stop(doctor);
	/* It may have ended meanwhile, and then the findings are of nothing. */
	if (doctor->process && process_stat_read(doctor->process, &stat) < 0)
		doctor->target = SESSION_TARGET_GONE;
	*ret_doctor = take_ptr(doctor);
	return 0;
}

struct doctor *doctor_free(struct doctor *doctor)
{
	if (!doctor)
		return NULL;
	vec_deinit(&doctor->modules);
	module_map_free(doctor->map);
	process_close(doctor->process);
	free(doctor);
	return NULL;
}

int doctor_resume(struct doctor *doctor)
{
	/* By descriptor: never another process that got the number. */
	if (pidfd_send_signal(process_pidfd(doctor->process), SIGCONT, NULL, 0) < 0)
		return err_errno();
	return 0;
}
