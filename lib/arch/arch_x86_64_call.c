/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls in a stopped thread, and the frame that brings it back without us.
 *
 * The frame is that of a signal handler, which rt_sigreturn(2) takes: arch/x86/include/asm/
 * sigframe.h (struct rt_sigframe), arch/x86/kernel/signal_64.c (restore_sigcontext) and
 * arch/x86/kernel/fpu/signal.c (check_xstate_in_sigframe), Linux 6.18; struct _fpx_sw_bytes of
 * asm/sigcontext.h.
 */
#ifdef __x86_64__

#include <asm/unistd.h>
#include <signal.h>
#include <string.h>
#include <sys/user.h>
#include <ucontext.h>

#include "arch/arch_priv.h"
#include "base/cleanup.h"

#define RED_ZONE 128
/* UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS of asm/ucontext.h */
#define FLAGS 7
/* No mode of an alternate stack: the one that the thread has is left as it is. */
#define NO_STACK_MODE 0x40000000
/* include/linux/errno.h */
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516
#define SYSCALL_SIZE 2

#define XSTATE_SW 464 /* what software keeps in the legacy part */
#define XSTATE_MIN 576
#define XSTATE_MAGIC1 0x46505853U
#define XSTATE_MAGIC2 0x46505845U
/* Tile registers follow protection keys; a thread may have no room for them (arch_prctl(2)). */
#define XSTATE_KEYS_BIT 9
#define XSTATE_TILES_BIT 17
#define XSTATE_KEYS 2688
#define XSTATE_KEYS_SIZE 8

struct xstate_sw {
	uint32_t magic1, extended_size;
	uint64_t features;
	uint32_t size, padding[7];
};

/* The kernel's ucontext ends behind the first 8 bytes of the mask. */
struct frame {
	uint64_t return_pc;
	ucontext_t context;
};

void arch_x86_64_call_set(void *user, uint64_t nr, const uint64_t *args, uint64_t pc, uint64_t sp)
{
	struct user_regs_struct *regs = user;

	regs->rax = nr;
	regs->orig_rax = UINT64_MAX;
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
	regs->rip = pc;
	regs->rsp = sp;
	/* Direction flag, by the psABI; trap flag. */
	regs->eflags &= ~0x500ULL;
}

/* As the kernel would do it, see tracee_repair(); but rt_sigreturn(2) makes it forget what a call
 * was to be continued with (kernel/signal.c, do_no_restart_syscall), so that begins anew. */
static void restart(const struct arch_resume *resume, struct user_regs_struct *regs)
{
	int64_t result = (int64_t)regs->rax;

	if ((int64_t)regs->orig_rax < 0)
		return;
	if (result <= -ERESTARTSYS && result >= -ERESTART_RESTARTBLOCK) {
		regs->rax = regs->orig_rax == __NR_restart_syscall && resume->restarted >= 0
				    ? (uint64_t)resume->restarted
				    : regs->orig_rax;
		regs->rip -= SYSCALL_SIZE;
	}
}

static void put_context(const struct user_regs_struct *regs, ucontext_t *context)
{
	greg_t *to = context->uc_mcontext.gregs;

	to[REG_R8] = (greg_t)regs->r8;
	to[REG_R9] = (greg_t)regs->r9;
	to[REG_R10] = (greg_t)regs->r10;
	to[REG_R11] = (greg_t)regs->r11;
	to[REG_R12] = (greg_t)regs->r12;
	to[REG_R13] = (greg_t)regs->r13;
	to[REG_R14] = (greg_t)regs->r14;
	to[REG_R15] = (greg_t)regs->r15;
	to[REG_RDI] = (greg_t)regs->rdi;
	to[REG_RSI] = (greg_t)regs->rsi;
	to[REG_RBP] = (greg_t)regs->rbp;
	to[REG_RBX] = (greg_t)regs->rbx;
	to[REG_RDX] = (greg_t)regs->rdx;
	to[REG_RAX] = (greg_t)regs->rax;
	to[REG_RCX] = (greg_t)regs->rcx;
	to[REG_RSP] = (greg_t)regs->rsp;
	to[REG_RIP] = (greg_t)regs->rip;
	to[REG_EFL] = (greg_t)regs->eflags;
	to[REG_CSGSFS] = (greg_t)(regs->cs | regs->gs << 16 | regs->fs << 32 | regs->ss << 48);
}

size_t arch_x86_64_resume_frame(const struct arch_resume *resume, uint8_t *bytes, size_t cap,
				uint64_t *ret_addr)
{
	struct user_regs_struct regs;
	struct frame frame = {.return_pc = resume->resume_pc};
	struct xstate_sw sw = {.magic1 = XSTATE_MAGIC1};
	uint32_t magic2 = XSTATE_MAGIC2;
	size_t vector_size = resume->vector_size, size;
	uint64_t addr, vector_addr;

	if (vector_size < XSTATE_MIN)
		return 0;
	memcpy(&regs, resume->user, sizeof(regs));
	memcpy(&sw.features, (const uint8_t *)resume->vector + XSTATE_SW, sizeof(sw.features));
	if (sw.features >> XSTATE_TILES_BIT) {
		sw.features &= (1ULL << XSTATE_TILES_BIT) - 1;
		vector_size =
			XSTATE_KEYS + (sw.features >> XSTATE_KEYS_BIT & 1 ? XSTATE_KEYS_SIZE : 0);
	}
	sw.size = (uint32_t)vector_size;
	sw.extended_size = sw.size + (uint32_t)sizeof(magic2);
	vector_addr = (regs.rsp - RED_ZONE - sw.extended_size) & ~63ULL;
	addr = (vector_addr - sizeof(frame)) & ~15ULL;
	size = vector_addr + sw.extended_size - addr;
	if (size > cap)
		return 0;
	restart(resume, &regs);
	frame.context.uc_flags = FLAGS;
	frame.context.uc_stack.ss_flags = NO_STACK_MODE;
	put_context(&regs, &frame.context);
	frame.context.uc_mcontext.fpregs = (fpregset_t)(uintptr_t)vector_addr; /* the target's */
	memcpy(&frame.context.uc_sigmask, &resume->mask, sizeof(resume->mask));
	memset(bytes, 0, size);
	memcpy(bytes, &frame, sizeof(frame));
	bytes += vector_addr - addr;
	memcpy(bytes, resume->vector, vector_size);
	memcpy(bytes + XSTATE_SW, &sw, sizeof(sw));
	memcpy(bytes + vector_size, &magic2, sizeof(magic2));
	*ret_addr = addr;
	return size;
}

#endif
