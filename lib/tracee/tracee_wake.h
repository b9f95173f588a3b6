/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Being woken by stops, beside other tracer threads of this process.
 *
 * A stop is told by SIGCHLD, which goes to the process and not to the thread that traces
 * (kernel/signal.c do_notify_parent_cldstop), is pending once however many there are, and is gone
 * when one thread has read it. So whoever reads it tells all others that wait for a stop, by an
 * eventfd(2) of each; who was told that way does not tell on. One that waits for none is not woken:
 * the signal then stays pending until somebody waits or reads it.
 *
 * That no stop goes unnoticed: tracee_wake_hold() is called before a stop is asked for. A signal
 * read before that was of an earlier stop; whoever reads one later finds the mark.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct tracee_wake {
	int signal_fd;     /* signalfd(2) of SIGCHLD; readable: somebody's tracee has stopped */
	int told_fd;       /* eventfd(2), written by whoever has read SIGCHLD */
	_Atomic bool hold; /* stops may come */
	_Atomic bool told; /* told_fd is readable; changed together with it */
	bool is_known;     /* is in the list of all */
	struct tracee_wake *next, *previous;
};

/** For one tracer thread. SIGCHLD must be blocked in every thread. Returns 0 or a negative errno;
 * to be released in any case. */
int tracee_wake_init(struct tracee_wake *wake);
void tracee_wake_deinit(struct tracee_wake *wake);

/** Whether stops may come from now on. No system call. */
static inline void tracee_wake_hold(struct tracee_wake *wake, bool hold)
{
	if (atomic_load_explicit(&wake->hold, memory_order_relaxed) != hold)
		atomic_store(&wake->hold, hold);
}

/** Takes what has been told so far, so that only what comes later wakes; the others are told. To
 * be called before it is looked for stops, or when there can be none. */
void tracee_wake_take(struct tracee_wake *wake);

/** Sleeps until there may be a stop, for `ns` nanoseconds at most. */
void tracee_wake_wait(struct tracee_wake *wake, uint64_t ns);
