/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way out of the exec deadlock.
 *
 * PTRACE_SEIZE waits for cred_guard_mutex of the target (kernel/ptrace.c ptrace_attach). A thread
 * in execve holds it until its siblings are gone (fs/exec.c de_thread), and a sibling that we
 * traced is not gone before we waited for it: neither side moves. The wait is interruptible but
 * starts again by itself (-ERESTARTNOINTR), so the signal's handler does the reaping. It runs on
 * the owner's thread, where waitpid() sees the tracees, and waitpid() is async-signal-safe.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "tracee/tracee_priv.h"

/* A handler has no argument of ours when a thread sent the signal: hence per thread. */
static _Thread_local struct tracee_set *guarded;

static void on_kick(int signal, siginfo_t *info, void *context)
{
	struct tracee_set *set = guarded;
	int saved = errno;

	while (set && set->guarding && set->n_taken < TRACEE_TAKEN_MAX) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL | WNOHANG | __WNOTHREAD);

		if (tid <= 0)
			break;
		/* Given out already. */
		if (tid == set->unreaped) {
			set->unreaped = 0;
			continue;
		}
		set->taken[set->n_taken].tid = tid;
		set->taken[set->n_taken].status = status;
		set->n_taken++;
	}
	errno = saved;
}

int tracee_guard_init(struct tracee_set *set)
{
	struct sigaction action = {.sa_sigaction = on_kick, .sa_flags = SA_SIGINFO};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
				 .sigev_signo = TRACEE_KICK_SIGNAL};
	sigset_t signals;

	guarded = set;
	if (sigaction(TRACEE_KICK_SIGNAL, &action, NULL) < 0)
		return err_trace(err_errno());
	sigemptyset(&signals);
	sigaddset(&signals, TRACEE_KICK_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
	event._sigev_un._tid = set->owner;
	if (timer_create(CLOCK_MONOTONIC, &event, &set->timer) < 0)
		return err_trace(err_errno());
	return 0;
}

void tracee_guard_deinit(struct tracee_set *set)
{
	timer_delete(set->timer);
	guarded = NULL;
}

void tracee_guard_arm(struct tracee_set *set, uint64_t ns)
{
	struct itimerspec spec = {.it_value = ns_timespec(ns), .it_interval = ns_timespec(ns)};

	set->guarding = ns > 0;
	timer_settime(set->timer, 0, &spec, NULL);
}

void tracee_set_kick(struct tracee_set *set)
{
	syscall(SYS_tgkill, getpid(), set->owner, TRACEE_KICK_SIGNAL);
}
