/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a wait status of a seized thread means, and what is to be done: ptrace(2), "Stopped states".
 * Pure functions, so that recorded sequences can be replayed.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

enum tracee_status {
	TRACEE_STATUS_TRAP,   /* PTRACE_EVENT_STOP by our PTRACE_INTERRUPT */
	TRACEE_STATUS_GROUP,  /* PTRACE_EVENT_STOP of a group-stop */
	TRACEE_STATUS_SIGNAL, /* signal-delivery-stop */
	TRACEE_STATUS_EXEC,   /* PTRACE_EVENT_EXEC; only where it was asked for */
	TRACEE_STATUS_CLONE,  /* PTRACE_EVENT_CLONE; only where it was asked for */
	TRACEE_STATUS_EVENT,  /* another PTRACE_EVENT_*, which we never ask for */
	TRACEE_STATUS_ENDED,  /* exited or killed */
};

/**
 * Tells stop statuses apart.
 *
 * @param ret_signal	GROUP and SIGNAL: the signal; else 0
 */
enum tracee_status tracee_status_of(int status, int *ret_signal);

enum tracee_action {
	TRACEE_ACT_SAMPLE,      /* its registers are the sample; then detach with the signal */
	TRACEE_ACT_DETACH,      /* not ours to sample: detach at once, with the signal */
	TRACEE_ACT_FORGET,      /* gone: drop the entry */
	TRACEE_ACT_CHILD_ENDED, /* our child, not a tracee any more */
	TRACEE_ACT_IGNORE,
	/* Of a thread that is followed: */
	TRACEE_ACT_GO_ON,     /* nobody asked: it goes on, and stays a tracee */
	TRACEE_ACT_LISTEN,    /* job control has it: it stays stopped, and a tracee */
	TRACEE_ACT_CLONED,    /* it has made another thread, and waits to be let go on */
	TRACEE_ACT_SIGNALLED, /* a signal is about to be delivered, and it waits likewise */
};

/* What the set knows of a thread. */
struct tracee_known {
	bool asked;    /* to stop, for its sample */
	bool followed; /* stays a tracee */
	bool child;    /* is our own child, by its pid */
};

/**
 * The action for one status.
 *
 * A group-stop is detached without a signal: the kernel then keeps it stopped
 * (kernel/ptrace.c __ptrace_unlink). A stop of a thread that was not asked is either a non-leader
 * that called execve and now carries the leader's id, or a child that a traced thread cloned,
 * reported before its parent's event: detached either way.
 *
 * @param ret_signal	signal to detach, or go on, with; 0 = none
 */
enum tracee_action tracee_action_for(int status, struct tracee_known known, int *ret_signal);
