/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls made in a stopped thread of the target.
 *
 * Before its registers are changed the thread gets a frame on its stack, below the red zone, by
 * which it returns to where it was stopped without us: should this process be killed in the middle,
 * the thread finishes the system call, returns, and goes on as if nothing had been. Its signals are
 * blocked meanwhile.
 */
#pragma once

#include "tracee/tracee.h"

/** Room for registers of any CPU, and for the frame. */
#define TRACEE_USER_WORDS 64
#define TRACEE_VECTOR_MAX 16384
#define TRACEE_FRAME_MAX 8192

struct tracee_call {
	struct tracee_set *set;
	const struct arch *arch;
	pid_t tid;
	uint64_t call_pc; /* target address of arch->call_code */
	uint64_t mask;
	uint64_t user[TRACEE_USER_WORDS]; /* as it was stopped */
	uint64_t sp;                      /* of its calls: where the frame begins */
	size_t n_frame;
	uint8_t below[TRACEE_FRAME_MAX]; /* what was in the place of the frame */
};

/**
 * Prepares a thread that tracee_next() gave as STOPPED. Its stack must have room for a frame of
 * TRACEE_FRAME_MAX below sp, as for a signal handler.
 *
 * @param call_pc, resume_pc	where arch->call_code and arch->resume_code are in the target
 * @return TRACEE_OK; TRACEE_GONE; TRACEE_BUSY: it is about to get a signal, or its stack has no
 *	   room: nothing was changed, take another one
 */
int tracee_call_begin(struct tracee_set *set, pid_t tid, const struct arch *arch, uint64_t call_pc,
		      uint64_t resume_pc, struct tracee_call *ret_call);

/**
 * Makes a system call, one that does not wait for anything.
 *
 * @param ret_result	what it returned: a negative errno where it failed
 * @return TRACEE_OK or TRACEE_GONE
 */
int tracee_call(struct tracee_call *call, uint64_t nr, const uint64_t args[static 6],
		int64_t *ret_result);

/** Puts everything back as it was; the thread is stopped as before, for tracee_release(). Returns
 * TRACEE_OK or TRACEE_GONE. */
int tracee_call_end(struct tracee_call *call);
