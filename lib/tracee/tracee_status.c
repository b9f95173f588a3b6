/* SPDX-License-Identifier: Apache-2.0 */
#include "tracee/tracee_status.h"

#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

enum tracee_status tracee_status_of(int status, int *ret_signal)
{
	int event = status >> 16, signal = WSTOPSIG(status);

	*ret_signal = 0;
	if (!WIFSTOPPED(status))
		return TRACEE_STATUS_ENDED;
	switch (event) {
	case 0:
		*ret_signal = signal;
		return TRACEE_STATUS_SIGNAL;
	case PTRACE_EVENT_STOP:
		if (signal == SIGTRAP)
			return TRACEE_STATUS_TRAP;
		*ret_signal = signal;
		return TRACEE_STATUS_GROUP;
	case PTRACE_EVENT_EXEC:
		return TRACEE_STATUS_EXEC;
	case PTRACE_EVENT_CLONE:
		return TRACEE_STATUS_CLONE;
	default:
		return TRACEE_STATUS_EVENT;
	}
}

enum tracee_action tracee_action_for(int status, struct tracee_known known, int *ret_signal)
{
	enum tracee_action otherwise = known.followed ? TRACEE_ACT_GO_ON : TRACEE_ACT_DETACH;
	int signal;

	*ret_signal = 0;
	switch (tracee_status_of(status, &signal)) {
	case TRACEE_STATUS_TRAP:
		return known.asked ? TRACEE_ACT_SAMPLE : otherwise;
	case TRACEE_STATUS_SIGNAL:
		*ret_signal = signal;
		if (known.asked)
			return TRACEE_ACT_SAMPLE;
		return known.followed ? TRACEE_ACT_SIGNALLED : TRACEE_ACT_DETACH;
	case TRACEE_STATUS_GROUP:
		return known.followed ? TRACEE_ACT_LISTEN : TRACEE_ACT_DETACH;
	case TRACEE_STATUS_CLONE:
		return known.followed ? TRACEE_ACT_CLONED : TRACEE_ACT_DETACH;
	case TRACEE_STATUS_EXEC:
	case TRACEE_STATUS_EVENT:
		return otherwise;
	case TRACEE_STATUS_ENDED:
		if (known.child)
			return TRACEE_ACT_CHILD_ENDED;
		return known.asked ? TRACEE_ACT_FORGET : TRACEE_ACT_IGNORE;
	}
	return TRACEE_ACT_IGNORE;
}
