/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "tracee/tracee_priv.h"
#include "tracee/tracee_status.h"

/* In the child. Waits until it is seized, then becomes the command, or tells why not. */
static _Noreturn void become(char *const argv[], int go, int failed)
{
	sigset_t none;
	char byte;
	int error;

	/* What the session blocked or set up for itself is not the command's business. */
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	while (read(go, &byte, 1) < 0 && errno == EINTR)
		;
	execvp(argv[0], argv);
	error = errno;
	while (write(failed, &error, sizeof(error)) < 0 && errno == EINTR)
		;
	_exit(127);
}

/* The child writes its errno if execve fails; a close-on-exec end of file means success. Signal
 * stops on the way (none is likely) are passed on. */
static int wait_for_exec(pid_t pid)
{
	int status, signal;

	for (;;) {
		if (waitpid(pid, &status, __WALL) < 0) {
			if (errno == EINTR)
				continue;
			return err_errno();
		}
		switch (tracee_status_of(status, &signal)) {
		case TRACEE_STATUS_EXEC:
			return 0;
		case TRACEE_STATUS_ENDED:
			return -ECHILD;
		case TRACEE_STATUS_TRAP:
		case TRACEE_STATUS_GROUP:
		case TRACEE_STATUS_SIGNAL:
		case TRACEE_STATUS_CLONE:
		case TRACEE_STATUS_EVENT:
			(void)ptrace(PTRACE_CONT, pid, NULL, (void *)(intptr_t)signal);
			break;
		}
	}
}

int tracee_spawn(struct tracee_set *set, char *const argv[], pid_t *ret_pid)
{
	_cleanup_close_ int go_read = -1, go_write = -1, failed_read = -1, failed_write = -1;
	int fds[2], error = 0, r;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_trace(err_errno());
	go_read = fds[0];
	go_write = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_trace(err_errno());
	failed_read = fds[0];
	failed_write = fds[1];
	pid = fork();
	if (pid < 0)
		return err_trace(err_errno());
	if (pid == 0) {
		/* Its own copy would keep the end of file from coming. */
		close(go_write);
		become(argv, go_read, failed_write);
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(uintptr_t)PTRACE_O_TRACEEXEC) < 0) {
		r = err_errno();
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return err_trace(r);
	}
	close(take_fd(&failed_write));
	close(take_fd(&go_write)); /* end of file is the word to go */
	r = wait_for_exec(pid);
	if (r == -ECHILD) {
		if (read(failed_read, &error, sizeof(error)) == sizeof(error) && error > 0)
			return -error;
		return err_trace(r);
	}
	if (r < 0)
		return err_trace(r);
	set->child = pid;
	set->child_held = true;
	*ret_pid = pid;
	return 0;
}

void tracee_spawn_release(struct tracee_set *set)
{
	if (set->child_held)
		(void)ptrace(tracee_find_followed(set, set->child) ? PTRACE_CONT : PTRACE_DETACH,
			     set->child, NULL, NULL);
	set->child_held = false;
}
