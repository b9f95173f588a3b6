/* SPDX-License-Identifier: Apache-2.0 */
#include "tracee/tracee.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "process/process.h"
#include "tracee/tracee_priv.h"
#include "tracee/tracee_status.h"

/* The kernel's own codes, include/linux/errno.h: never seen by user space otherwise. */
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516
/* Of a thread that others, who trace it for a moment, may have. */
#define SEIZE_TRIES 5

int tracee_set_new(struct tracee_set **ret_set)
{
	struct tracee_set *set = calloc(1, sizeof(*set));
	int r;

	if (!set)
		return err_trace(-ENOMEM);
	set->owner = gettid();
	r = tracee_guard_init(set);
	if (r < 0) {
		free(set);
		return err_trace(r);
	}
	*ret_set = set;
	return 0;
}

unsigned tracee_held(const struct tracee_set *set)
{
	return (unsigned)set->tracees.n;
}

static struct tracee *find(const struct tracee_set *set, pid_t tid)
{
	for (size_t i = 0; i < set->tracees.n; i++) {
		if (set->tracees.items[i].tid == tid)
			return &set->tracees.items[i];
	}
	return NULL;
}

static void drop(struct tracee_set *set, struct tracee *tracee)
{
	*tracee = set->tracees.items[--set->tracees.n];
}

static pid_t read_tracer(pid_t tid)
{
	_cleanup_free_ char *status = NULL;

	if (process_status_read(tid, &status) < 0)
		return 0;
	return (pid_t)process_status_number(status, "TracerPid", 10);
}

static bool is_other_of_ours(const struct tracee_set *set, pid_t tracer)
{
	return tracer > 0 && tracer != set->owner && tgkill(getpid(), tracer, 0) == 0;
}

bool tracee_is_shared(const struct tracee_set *set, pid_t tid)
{
	return is_other_of_ours(set, read_tracer(tid));
}

static int seize(struct tracee_set *set, pid_t tid, int options)
{
	/* Without a tracee of ours there is nothing that could hold an execve up. */
	bool guard = set->tracees.n > 0 || set->n_followed > 0;
	long r;

	if (guard)
		tracee_guard_arm(set, TRACEE_SEIZE_LIMIT);
	r = ptrace(PTRACE_SEIZE, tid, NULL, (void *)(intptr_t)options);
	if (guard)
		tracee_guard_arm(set, 0);
	if (r < 0)
		return errno == ESRCH ? TRACEE_GONE : TRACEE_DENIED;
	return TRACEE_OK;
}

int tracee_seize(struct tracee_set *set, pid_t tid, int options)
{
	int r;

	for (unsigned tries = 0; tries < SEIZE_TRIES; tries++) {
		pid_t tracer;

		r = seize(set, tid, options);
		if (r != TRACEE_DENIED)
			break;
		tracer = read_tracer(tid);
		if (is_other_of_ours(set, tracer))
			return TRACEE_SHARED;
		/* Else whoever had it has let go of it in between. */
		if (tracer)
			break;
	}
	return r;
}

int tracee_stop(struct tracee_set *set, pid_t pid, pid_t tid)
{
	struct tracee *tracee;
	int r;

	if (find(set, tid))
		return TRACEE_BUSY;
	if (vec_reserve(&set->tracees, set->tracees.n + 1) < 0)
		return err_trace(-ENOMEM);
	r = set->n_followed && tracee_find_followed(set, tid) ? TRACEE_OK
							      : tracee_seize(set, tid, 0);
	if (r != TRACEE_OK)
		return r;
	tracee = vec_push(&set->tracees);
	*tracee = (struct tracee){.pid = pid, .tid = tid, .asked_ns = clock_now_ns()};
	/* ESRCH: it died in between. Its end is reported, since it is a tracee. */
	(void)ptrace(PTRACE_INTERRUPT, tid, NULL, NULL);
	return TRACEE_OK;
}

bool tracee_detach(pid_t tid, int signal)
{
	return ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal) == 0;
}

/* A stop is looked at and left to be waited for: waiting for it takes the signal that it is about
 * to deliver out of the kernel's hands (kernel/exit.c wait_task_stopped clears exit_code, which
 * kernel/signal.c ptrace_signal reads when the thread goes on), and if we were killed before
 * PTRACE_DETACH gave it back it would be lost. PTRACE_DETACH does not ask for the wait. */
static bool take_status(struct tracee_set *set, pid_t *ret_tid, int *ret_status)
{
	siginfo_t info;

	if (set->next_taken < set->n_taken) {
		*ret_tid = set->taken[set->next_taken].tid;
		*ret_status = set->taken[set->next_taken].status;
		if (++set->next_taken == set->n_taken) {
			set->next_taken = 0;
			set->n_taken = 0;
		}
		return true;
	}
	for (;;) {
		info.si_pid = 0;
		/* Stops of tracees are reported whatever the flags. */
		if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT | WNOHANG | __WALL | __WNOTHREAD) <
		    0) {
			/* ECHILD: nobody is traced. */
			set->pruned = false;
			return false;
		}
		if (info.si_pid == 0)
			return false;
		*ret_tid = info.si_pid;
		if (info.si_code == CLD_TRAPPED && info.si_pid != set->unreaped) {
			*ret_status = info.si_status << 8 | 0x7f;
			return true;
		}
		/* It ended; or it is held by the caller and would hide the others. */
		if (info.si_pid == set->unreaped)
			set->unreaped = 0;
		if (waitpid(info.si_pid, ret_status, __WALL | WNOHANG | __WNOTHREAD) > 0 &&
		    !WIFSTOPPED(*ret_status))
			return true;
	}
}

static bool handle(struct tracee_set *set, pid_t tid, int status, struct tracee_event *ret_event)
{
	struct tracee *tracee = find(set, tid);
	bool ended = !WIFSTOPPED(status);
	enum tracee_action action;
	pid_t followed = ended ? 0 : tracee_find_followed(set, tid);
	int signal;

	*ret_event = (struct tracee_event){
		.kind = TRACEE_LOST, .pid = followed, .tid = tid, .status = status};
	if (tracee) {
		ret_event->pid = tracee->pid;
		ret_event->asked_ns = tracee->asked_ns;
	}
	if (ended)
		tracee_forget_followed(set, tid);
	action = tracee_action_for(status,
				   (struct tracee_known){.asked = tracee != NULL,
							 .followed = followed != 0,
							 .child = tid == set->child},
				   &signal);
	if (set->leaving && action == TRACEE_ACT_LISTEN)
		action = TRACEE_ACT_DETACH;
	switch (action) {
	case TRACEE_ACT_SAMPLE:
		tracee->stopped = true;
		set->unreaped = tid;
		tracee->signal = signal;
		ret_event->kind = TRACEE_STOPPED;
		return true;
	case TRACEE_ACT_DETACH:
		tracee_forget_followed(set, tid);
		if (tracee_detach(tid, signal) && tracee) {
			drop(set, tracee);
			return true;
		}
		break;
	case TRACEE_ACT_GO_ON:
		/* Woken for this, it may have been in a call that is to be mended. */
		if (set->leaving) {
			set->unreaped = tid;
			ret_event->kind = TRACEE_SIGNALLED;
			return true;
		}
		(void)ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)signal);
		break;
	case TRACEE_ACT_LISTEN:
		(void)ptrace(PTRACE_LISTEN, tid, NULL, NULL);
		if (tracee)
			drop(set, tracee);
		return tracee != NULL;
	case TRACEE_ACT_CLONED:
	case TRACEE_ACT_SIGNALLED:
		set->unreaped = tid;
		ret_event->signal = signal;
		ret_event->kind = action == TRACEE_ACT_CLONED ? TRACEE_CLONED : TRACEE_SIGNALLED;
		return true;
	case TRACEE_ACT_FORGET:
		drop(set, tracee);
		return true;
	case TRACEE_ACT_CHILD_ENDED:
		if (tracee)
			drop(set, tracee);
		set->child = 0;
		ret_event->kind = TRACEE_CHILD_ENDED;
		return true;
	case TRACEE_ACT_IGNORE:
		break;
	}
	return false;
}

int tracee_next(struct tracee_set *set, struct tracee_event *ret_event)
{
	pid_t tid;
	int status;

	if (tracee_is_idle(set))
		return 0;
	while (take_status(set, &tid, &status)) {
		if (handle(set, tid, status, ret_event))
			return 1;
	}
	return 0;
}

bool tracee_is_idle(const struct tracee_set *set)
{
	return !set->tracees.n && !set->n_followed && !set->child && !set->pruned &&
	       set->next_taken >= set->n_taken;
}

int tracee_prune(struct tracee_set *set, struct tracee_event *ret_event)
{
	for (size_t i = 0; i < set->tracees.n; i++) {
		struct tracee *tracee = &set->tracees.items[i];

		if (tracee->stopped || tgkill(tracee->pid, tracee->tid, 0) == 0 || errno != ESRCH)
			continue;
		*ret_event = (struct tracee_event){
			.kind = TRACEE_LOST, .pid = tracee->pid, .tid = tracee->tid};
		drop(set, tracee);
		set->pruned = true;
		return 1;
	}
	return 0;
}

int tracee_poll(struct tracee_set *set, uint64_t ns, struct tracee_event *ret_event)
{
	uint64_t end = clock_now_ns() + ns;

	do {
		if (tracee_next(set, ret_event))
			return 1;
	} while (clock_now_ns() < end);
	return 0;
}

int tracee_registers(const struct tracee_set *set, pid_t tid, const struct arch *arch,
		     void *ret_user)
{
	struct iovec iov = {ret_user, arch->user_size};

	if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_PRSTATUS, &iov) < 0)
		return TRACEE_GONE;
	return 0;
}

bool tracee_needs_restart_syscall(const struct arch *arch, const void *user)
{
	return (int64_t)arch_user_word(user, arch->user_syscall) >= 0 &&
	       (int64_t)arch_user_word(user, arch->user_result) == -ERESTART_RESTARTBLOCK;
}

static bool is_socket(pid_t tid, int fd)
{
	char path[48], target[16];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", tid, fd);
	n = readlink(path, target, sizeof(target));
	return n >= 8 && memcmp(target, "socket:[", 8) == 0;
}

static bool may_restart(pid_t tid, const struct arch *arch, const void *user, int nr)
{
	const struct arch_restart *restart = arch_restart_find(arch, nr);

	if (!restart)
		return false;
	switch (restart->only_if) {
	case ARCH_RESTART_ALWAYS:
		return true;
	case ARCH_RESTART_SOCKET:
		return is_socket(tid, (int)arch_user_word(user, arch->user_args[0]));
	case ARCH_RESTART_NO_ARG1:
		/* An unsigned int: the upper half means nothing. */
		return (uint32_t)arch_user_word(user, arch->user_args[1]) == 0;
	}
	return false;
}

enum tracee_repair tracee_repair(const struct tracee_set *set, pid_t tid, const struct arch *arch,
				 const void *user, bool plain)
{
	int64_t nr = (int64_t)arch_user_word(user, arch->user_syscall);
	int64_t result = (int64_t)arch_user_word(user, arch->user_result);

	if (nr < 0 || (result != -EINTR && !(plain && result == -ERESTART_RESTARTBLOCK)))
		return TRACEE_NOT_NEEDED;
	if (result == -EINTR && !may_restart(tid, arch, user, (int)nr))
		return TRACEE_LEFT_EINTR;
	/* PTRACE_POKEUSER writes one register; its offsets are those of the block. */
	if (ptrace(PTRACE_POKEUSER, tid, (void *)(uintptr_t)arch->user_result,
		   (void *)(intptr_t)-ERESTARTNOHAND) < 0)
		return TRACEE_LEFT_EINTR;
	return TRACEE_REPAIRED;
}

void tracee_release(struct tracee_set *set, pid_t tid)
{
	struct tracee *tracee = find(set, tid);

	if (!tracee)
		return;
	if (set->unreaped == tid)
		set->unreaped = 0;
	tracee->stopped = false;
	if (!set->leaving && set->n_followed && tracee_find_followed(set, tid)) {
		(void)ptrace(PTRACE_CONT, tid, NULL, (void *)(intptr_t)tracee->signal);
		drop(set, tracee);
		return;
	}
	tracee_forget_followed(set, tid);
	if (tracee_detach(tid, tracee->signal))
		drop(set, tracee);
}

struct tracee_set *tracee_set_free(struct tracee_set *set)
{
	if (!set)
		return NULL;
	tracee_spawn_release(set);
	for (size_t i = set->tracees.n; i-- > 0;) {
		if (set->tracees.items[i].stopped)
			tracee_release(set, set->tracees.items[i].tid);
	}
	/* What has not stopped yet is released by the kernel when the owner's thread ends, which
	 * the session sees to; waiting here could take as long as the target's longest call. */
	tracee_guard_deinit(set);
	vec_deinit(&set->tracees);
	vec_deinit(&set->follows);
	map64_deinit(&set->followed);
	free(set);
	return NULL;
}
