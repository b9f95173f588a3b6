/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <time.h>

#include "base/map64.h"
#include "base/vec.h"
#include "tracee/tracee.h"

struct tracee {
	pid_t pid, tid;
	uint64_t asked_ns;
	bool stopped;
	int signal; /* to deliver at release */
};

/* Statuses that the timer's handler took, in order. A tick holds a few threads at most. */
#define TRACEE_TAKEN_MAX 256

struct tracee_set {
	pid_t child, owner; /* owner: our thread id */
	bool child_held;    /* stopped behind its execve */
	bool pruned;        /* statuses may come from who is not in the set, see tracee_prune() */
	bool guarding;      /* a call of ours may block that reaping sets free */
	pid_t unreaped;     /* given out as stopped, not waited for, see take_status() */
	VEC(struct tracee) tracees;
	struct map64 followed; /* tid → pid; 0: not any more */
	unsigned n_followed;
	VEC(pid_t) follows; /* processes whose threads are followed */
	bool leaving;       /* they are let go one by one */
	timer_t timer;
	struct {
		pid_t tid;
		int status;
	} taken[TRACEE_TAKEN_MAX];
	_Atomic unsigned n_taken; /* filled by the handler, on the owner's thread */
	unsigned next_taken;
};

/** The signal that interrupts a blocked call of the owner. */
#define TRACEE_KICK_SIGNAL (SIGRTMIN + 5)

/** How long a PTRACE_SEIZE may block before the guard looks for something to reap. */
#define TRACEE_SEIZE_LIMIT (5 * NSEC_PER_MSEC)

/** PTRACE_SEIZE with the guard on where it is needed. Returns 0 or an enum tracee_result. */
int tracee_seize(struct tracee_set *set, pid_t tid, int options);

/** Lets a stopped thread go, for good. False when it was killed while stopped: it stays a tracee,
 * and its end will be reported. */
bool tracee_detach(pid_t tid, int signal);

/* --- tracee_follow.c --- */

/** The process of a thread that is followed; 0: it is not. One that was just made by such a thread
 * is, from here on. */
pid_t tracee_find_followed(struct tracee_set *set, pid_t tid);

void tracee_forget_followed(struct tracee_set *set, pid_t tid);

/** Arms or disarms (ns = 0) the timer that reaps while a call of ours blocks. */
void tracee_guard_arm(struct tracee_set *set, uint64_t ns);

int tracee_guard_init(struct tracee_set *set);
void tracee_guard_deinit(struct tracee_set *set);
