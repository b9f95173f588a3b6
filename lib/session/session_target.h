/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Can this process be profiled, and if not, why? Looks only; nothing is stopped or changed.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "process/process.h"

enum session_target {
	SESSION_TARGET_OK = 0,
	SESSION_TARGET_GONE = 1,   /* no such process */
	SESSION_TARGET_THREAD,     /* a thread id; other: the process it belongs to */
	SESSION_TARGET_KERNEL,     /* a kernel thread */
	SESSION_TARGET_ZOMBIE,     /* has ended, its parent (other) has not reaped it */
	SESSION_TARGET_SELF,       /* this very process */
	SESSION_TARGET_TRACED,     /* traced already, by process `other` */
	SESSION_TARGET_SAMPLED,    /* by another cprof, process `other` (0: not known) */
	SESSION_TARGET_32BIT,      /* a 32-bit program */
	SESSION_TARGET_OTHER_USER, /* belongs to uid `other`, we have no CAP_SYS_PTRACE */
	SESSION_TARGET_YAMA,       /* kernel.yama.ptrace_scope is `other` */
	SESSION_TARGET_UNDUMPABLE, /* ours, but changed its credentials or forbade it by prctl(2) */
	SESSION_TARGET_DENIED,     /* refused for a reason not found: errno in other */
};

/** What it is doing that explains an empty profile; a hint, not an obstacle. */
enum session_target_state {
	SESSION_TARGET_RUNS,
	SESSION_TARGET_STOPPED,         /* by job control or a debugger: T or t */
	SESSION_TARGET_UNINTERRUPTIBLE, /* leader in D, for 50 ms at least */
	SESSION_TARGET_FROZEN,          /* its cgroup is frozen */
};

/**
 * Looks at a process.
 *
 * @param ret_other	see the outcomes
 * @return an enum session_target, or -ENOMEM
 */
int session_target_check(pid_t pid, int64_t *ret_other);

/** SESSION_TARGET_RUNS also when it cannot be told. */
enum session_target_state session_target_state(pid_t pid);

/**
 * Claims a process for this cprof. The claim is an abstract Unix socket, which the kernel takes
 * back when its holder ends, however it ends.
 *
 * @param ret_fd	holds the claim until closed
 * @return SESSION_TARGET_OK, SESSION_TARGET_SAMPLED with ret_other, or a negative errno
 */
int session_target_claim(pid_t pid, int *ret_fd, int64_t *ret_other);

/**
 * Is a process claimed now? Looks without claiming.
 *
 * @param ret_other	the claiming process, 0 when that cannot be told
 * @return SESSION_TARGET_OK, SESSION_TARGET_SAMPLED, or a negative errno
 */
int session_target_claimed(pid_t pid, int64_t *ret_other);

/** Have we CAP_SYS_PTRACE (in our own user namespace)? */
bool session_target_privileged(void);

/** kernel.yama.ptrace_scope, -1 when this kernel has no Yama. */
int64_t session_target_yama(void);

/** Is the cgroup (v2) of the process frozen? */
bool session_target_frozen(const struct process *process);
