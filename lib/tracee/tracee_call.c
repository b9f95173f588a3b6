/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A system call is entered and left under PTRACE_SYSCALL, which sends no signal and so leaves the
 * target's handling of SIGTRAP alone (include/linux/ptrace.h ptrace_report_syscall).
 */
#include "tracee/tracee_call.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "tracee/tracee_priv.h"
#include "tracee/tracee_status.h"

#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */
#define MASK_SIZE ((void *)(uintptr_t)sizeof(uint64_t))

static bool set_registers(pid_t tid, const struct arch *arch, const void *user)
{
	struct iovec iov = {(void *)user, arch->user_size};

	return ptrace(PTRACE_SETREGSET, tid, (void *)(uintptr_t)NT_PRSTATUS, &iov) == 0;
}

static bool copy_memory(pid_t tid, uint64_t addr, void *bytes, size_t size, bool write)
{
	struct iovec local = {bytes, size}, remote = {(void *)(uintptr_t)addr, size};
	ssize_t n = write ? process_vm_writev(tid, &local, 1, &remote, 1, 0)
			  : process_vm_readv(tid, &local, 1, &remote, 1, 0);

	return n == (ssize_t)size;
}

static struct tracee *find_stopped(struct tracee_set *set, pid_t tid)
{
	for (size_t i = 0; i < set->tracees.n; i++) {
		if (set->tracees.items[i].tid == tid && set->tracees.items[i].stopped)
			return &set->tracees.items[i];
	}
	return NULL;
}

/* Lets the thread go on until it stops as wanted. Job control is dealt with when it is released:
 * its signal is kept for then, a group-stop comes again by itself (kernel/ptrace.c
 * __ptrace_unlink). */
static int run_to(struct tracee_call *call, int request, bool syscall_stop)
{
	int status, signal;

	for (;;) {
		struct tracee *tracee = find_stopped(call->set, call->tid);

		if (!tracee || ptrace(request, call->tid, NULL, NULL) < 0)
			return TRACEE_GONE;
		while (waitpid(call->tid, &status, __WALL) < 0) {
			if (errno != EINTR)
				return TRACEE_GONE;
		}
		if (!WIFSTOPPED(status))
			return TRACEE_GONE;
		if (WSTOPSIG(status) == SYSCALL_STOP) {
			if (syscall_stop)
				return TRACEE_OK;
			continue;
		}
		switch (tracee_status_of(status, &signal)) {
		case TRACEE_STATUS_TRAP:
		case TRACEE_STATUS_GROUP:
			if (!syscall_stop)
				return TRACEE_OK;
			break;
		case TRACEE_STATUS_SIGNAL:
			tracee->signal = signal;
			break;
		case TRACEE_STATUS_EXEC:
		case TRACEE_STATUS_CLONE:
		case TRACEE_STATUS_EVENT:
			break;
		case TRACEE_STATUS_ENDED:
			return TRACEE_GONE;
		}
	}
}

/* Which call do the instructions before pc make? */
static int64_t call_before(const struct tracee_call *call)
{
	uint64_t pc = arch_user_word(call->user, call->arch->user_offset[call->arch->pc]);
	uint8_t code[32];

	if (!copy_memory(call->tid, pc - sizeof(code), code, sizeof(code), false))
		return -1;
	return arch_syscall_before(call->arch, code + sizeof(code), sizeof(code));
}

/* The frame is there before a register changes. */
static int put_frame(struct tracee_call *call, uint64_t resume_pc)
{
	_cleanup_free_ uint8_t *vector = calloc(1, TRACEE_VECTOR_MAX);
	uint8_t frame[TRACEE_FRAME_MAX];
	struct iovec iov = {vector, TRACEE_VECTOR_MAX};
	struct arch_resume resume = {.user = call->user,
				     .vector = vector,
				     .mask = call->mask,
				     .restarted = call_before(call),
				     .resume_pc = resume_pc};

	if (!vector ||
	    ptrace(PTRACE_GETREGSET, call->tid, (void *)(uintptr_t)NT_X86_XSTATE, &iov) < 0)
		return TRACEE_BUSY;
	resume.vector_size = iov.iov_len;
	call->n_frame = arch_resume_frame(call->arch, &resume, frame, sizeof(frame), &call->sp);
	if (!call->n_frame || !copy_memory(call->tid, call->sp, call->below, call->n_frame, false))
		return TRACEE_BUSY;
	return copy_memory(call->tid, call->sp, frame, call->n_frame, true) ? TRACEE_OK
									    : TRACEE_BUSY;
}

int tracee_call_begin(struct tracee_set *set, pid_t tid, const struct arch *arch, uint64_t call_pc,
		      uint64_t resume_pc, struct tracee_call *ret_call)
{
	struct tracee *tracee = find_stopped(set, tid);
	struct tracee_call *call = ret_call;
	int status;

	if (!tracee || tracee->signal)
		return TRACEE_BUSY;
	*call = (struct tracee_call){.set = set, .arch = arch, .tid = tid, .call_pc = call_pc};
	if (tracee_registers(set, tid, arch, call->user) != 0 ||
	    ptrace(PTRACE_GETSIGMASK, tid, MASK_SIZE, &call->mask) < 0 ||
	    ptrace(PTRACE_SETOPTIONS, tid, NULL, (void *)(uintptr_t)PTRACE_O_TRACESYSGOOD) < 0)
		return TRACEE_GONE;
	/* The stop was only looked at, see tracee.c. */
	if (waitpid(tid, &status, __WALL | WNOHANG) > 0 && !WIFSTOPPED(status))
		return TRACEE_GONE;
	if (set->unreaped == tid)
		set->unreaped = 0;
	return put_frame(call, resume_pc);
}

int tracee_call(struct tracee_call *call, uint64_t nr, const uint64_t args[static 6],
		int64_t *ret_result)
{
	uint64_t user[TRACEE_USER_WORDS], blocked = UINT64_MAX;
	int r;

	memcpy(user, call->user, sizeof(user));
	arch_call_set(call->arch, user, nr, args, call->call_pc, call->sp);
	/* The frame has the mask to go back to, so it changes after the registers do. */
	if (!set_registers(call->tid, call->arch, user) ||
	    ptrace(PTRACE_SETSIGMASK, call->tid, MASK_SIZE, &blocked) < 0)
		return TRACEE_GONE;
	r = run_to(call, PTRACE_SYSCALL, true);
	if (r == TRACEE_OK)
		r = run_to(call, PTRACE_SYSCALL, true);
	if (r != TRACEE_OK || tracee_registers(call->set, call->tid, call->arch, user) != 0)
		return TRACEE_GONE;
	*ret_result = (int64_t)arch_user_word(user, call->arch->user_result);
	return TRACEE_OK;
}

int tracee_call_end(struct tracee_call *call)
{
	int r;

	/* An interrupted call of the thread is restarted behind a stop of this kind only, which is
	 * where signals are looked for (arch/x86/kernel/signal.c arch_do_signal_or_restart). */
	if (ptrace(PTRACE_INTERRUPT, call->tid, NULL, NULL) < 0)
		return TRACEE_GONE;
	r = run_to(call, PTRACE_CONT, false);
	if (r != TRACEE_OK)
		return r;
	if (ptrace(PTRACE_SETSIGMASK, call->tid, MASK_SIZE, &call->mask) < 0 ||
	    !set_registers(call->tid, call->arch, call->user))
		return TRACEE_GONE;
	(void)copy_memory(call->tid, call->sp, call->below, call->n_frame, true);
	return TRACEE_OK;
}
