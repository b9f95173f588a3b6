/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libunwind-ptrace on a stopped thread: the second opinion, and `--unwinder=libunwind`.
 *
 * The thread is held for as long as the unwinding takes. libunwind opens the mapped files by their
 * path in our own root, and cannot unwind the vDSO (libunwind 1.6.2).
 */
#pragma once

#include <sys/types.h>

#include "base/trace.h"

struct tracee_unwinder;

/** Makes an address space with libunwind's own caches. Returns 0 or -ENOMEM. */
int tracee_unwinder_new(struct tracee_unwinder **ret_unwinder);
struct tracee_unwinder *tracee_unwinder_free(struct tracee_unwinder *unwinder);

/** Unwinds a thread that is stopped under ptrace by this thread. Returns 0 or -ENOMEM; a trace that
 * cannot be completed is an end of the trace, not an error. */
int tracee_unwinder_run(struct tracee_unwinder *unwinder, pid_t tid, struct trace *ret_trace);
