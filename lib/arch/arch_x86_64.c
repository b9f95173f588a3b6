/* SPDX-License-Identifier: Apache-2.0 */
/* x86-64: System V psABI 1.0; struct user_regs_struct of <sys/user.h>; Linux 6.18. */
#ifdef __x86_64__

#include <asm/unistd.h>
#include <elf.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/user.h>

#include "arch/arch_priv.h"
#include "base/cleanup.h"

static const char *const syscalls[] = {
#include "arch_syscalls.h"
};

#define AT(member) offsetof(struct user_regs_struct, member)

/* psABI figure 3.36: rax rdx rcx rbx rsi rdi rbp rsp r8…r15, return address. */
static const uint16_t user_offset[] = {
	AT(rax), AT(rdx), AT(rcx), AT(rbx), AT(rsi), AT(rdi), AT(rbp), AT(rsp), AT(r8),
	AT(r9),  AT(r10), AT(r11), AT(r12), AT(r13), AT(r14), AT(r15), AT(rip),
};

/* rbp rbx r12 r13 r14 r15 (psABI 3.2.1); rbp first, because frames hang on it. */
static const uint8_t saved[] = {6, 3, 12, 13, 14, 15};

/*
 * Calls that the kernel ends with -EINTR rather than one of its restart codes when a stop wakes
 * them, and that have changed nothing by then. A relative time-out begins anew. Files of Linux
 * 6.18. Not here, and never to be: close, whose descriptor is gone. Not needed, since they use the
 * restart codes: poll, select, nanosleep, futex, futex_waitv, wait4, waitid, pause, sigsuspend,
 * msgrcv, msgsnd, mq_*, flock, F_SETLKW, io_pgetevents; open, read, write, splice, tee of pipes;
 * reads of terminals, eventfd, timerfd, signalfd, inotify; sockets without a time-out.
 */
static const struct arch_restart restarts[] = {
	{__NR_epoll_wait, .why = "fs/eventpoll.c ep_poll: -EINTR only while no event was taken"},
	{__NR_epoll_pwait, .why = "as epoll_wait; the signal mask is put back before"},
	{__NR_epoll_pwait2, .why = "as epoll_wait"},
	{__NR_semop, .why = "ipc/sem.c __do_semtimedop: the operation was unlinked undone"},
	{__NR_semtimedop, .why = "as semop"},
	{__NR_recvfrom, .why = "include/net/sock.h sock_intr_errno: SO_RCVTIMEO, nothing taken"},
	{__NR_recvmsg, .why = "as recvfrom"},
	{__NR_recvmmsg,
	 .why = "net/socket.c do_recvmmsg: an error only while no message was taken"},
	{__NR_read, ARCH_RESTART_SOCKET, "as recvfrom"},
	{__NR_readv, ARCH_RESTART_SOCKET, "as recvfrom"},
	{__NR_accept, .why = "as recvfrom: no connection was taken"},
	{__NR_accept4, .why = "as accept"},
	{__NR_connect,
	 .why = "net/ipv4/af_inet.c __inet_stream_connect: waits on for the connection "
		"under way; at a time-out it says EALREADY for EINPROGRESS"},
	{__NR_sendto, .why = "sock_intr_errno: SO_SNDTIMEO, only when nothing was queued"},
	{__NR_sendmsg, .why = "as sendto"},
	{__NR_sendmmsg, .why = "net/socket.c __sys_sendmmsg: an error only while none was sent"},
	{__NR_write, ARCH_RESTART_SOCKET, "as sendto"},
	{__NR_writev, ARCH_RESTART_SOCKET, "as sendto"},
	{__NR_rt_sigtimedwait, .why = "kernel/signal.c do_sigtimedwait: no signal was dequeued"},
	{__NR_io_getevents, .why = "fs/aio.c: -EINTR only when no event was copied"},
	{__NR_io_uring_enter, ARCH_RESTART_NO_ARG1,
	 "io_uring/io_uring.c io_cqring_wait: completions stay in the ring; nothing was submitted"},
};

/*
 * Not here: read, for which less is the normal case; io_uring_enter that submitted all and waited
 * too short, which the ring tells.
 */
static const struct arch_transfer transfers[] = {
	{__NR_write, 2},
	{__NR_pwrite64, 2},
	{__NR_writev, 1, .count = ARCH_COUNT_IOVEC},
	{__NR_pwritev, 1, .count = ARCH_COUNT_IOVEC},
	{__NR_sendto, 2},
	{__NR_sendmsg, 1, .count = ARCH_COUNT_MSGHDR},
	{__NR_sendfile, 3},
	{__NR_splice, 4},
	{__NR_copy_file_range, 4},
	{__NR_recvmmsg, 2, .keeps_error = true},
	{__NR_sendmmsg, 2},
	{__NR_tee, 2},
	{__NR_recvfrom, 2, 3, MSG_WAITALL},
	{__NR_recvmsg, 1, 2, MSG_WAITALL, ARCH_COUNT_MSGHDR},
	{__NR_io_uring_enter, 1},
	{__NR_getrandom, 1},
};

/* [endbr64] [bnd] jmp *disp32(%rip): psABI 1.0, figures 5.2 and 13.1. */
static bool plt_slot(const uint8_t *code, size_t size, uint64_t svma, uint64_t *ret_slot)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	size_t at = 0;
	int32_t displacement;

	if (size >= sizeof(endbr64) && memcmp(code, endbr64, sizeof(endbr64)) == 0)
		at = sizeof(endbr64);
	at += at < size && code[at] == 0xf2;
	if (at + 6 > size || code[at] != 0xff || code[at + 1] != 0x25)
		return false;
	memcpy(&displacement, code + at + 2, sizeof(displacement));
	*ret_slot = svma + at + 6 + (uint64_t)(int64_t)displacement;
	return true;
}

/* syscall; ret. And __restore_rt of glibc and musl: mov $15, %rax; syscall. */
static const uint8_t call_code[] = {0x0f, 0x05, 0xc3};
static const uint8_t resume_code[] = {0x48, 0xc7, 0xc0, __NR_rt_sigreturn, 0, 0, 0, 0x0f, 0x05};

/* call *%rbx, where gcc keeps registers in a function with a frame pointer. */
static const uint8_t frame_code[] = {0xff, 0xd3};
static const struct arch_slot frame_slots[] = {{16, -8},  {6, -16},  {15, -24}, {14, -32},
					       {13, -40}, {12, -48}, {3, -56}};

static const struct arch x86_64 = {
	.name = "x86_64",
	.plt_slot = plt_slot,
	.frame_size = arch_x86_64_frame_size,
	.call_before = arch_x86_64_call_before,
	.syscall_before = arch_x86_64_syscall_before,
	.n_regs = ARRAY_SIZE(user_offset),
	.pc = 16,
	.sp = 7,
	.fp = 6,
	.n_saved = ARRAY_SIZE(saved),
	.saved = saved,
	.red_zone = 128,
	.user_size = sizeof(struct user_regs_struct),
	.user_offset = user_offset,
	.user_syscall = AT(orig_rax),
	.user_result = AT(rax),
	.user_args = {AT(rdi), AT(rsi), AT(rdx), AT(r10), AT(r8), AT(r9)},
	.user_mode = AT(cs),
	.user_mode_32 = 0x23, /* __USER32_CS, arch/x86/include/asm/segment.h */
	.user_tp = AT(fs_base),
	.call_code = call_code,
	.call_code_size = sizeof(call_code),
	.resume_code = resume_code,
	.resume_code_size = sizeof(resume_code),
	.frame_code = frame_code,
	.frame_code_size = sizeof(frame_code),
	.frame_slots = frame_slots,
	.n_frame_slots = ARRAY_SIZE(frame_slots),
	.frame_cfa = 16,
	.call_set = arch_x86_64_call_set,
	.resume_frame = arch_x86_64_resume_frame,
	.reloc_jump_slot = R_X86_64_JUMP_SLOT,
	.reloc_glob_dat = R_X86_64_GLOB_DAT,
	.reloc_word = R_X86_64_64,
	.restart_syscall = __NR_restart_syscall,
	.n_syscalls = ARRAY_SIZE(syscalls),
	.syscalls = syscalls,
	.restarts = restarts,
	.n_restarts = ARRAY_SIZE(restarts),
	.transfers = transfers,
	.n_transfers = ARRAY_SIZE(transfers),
};

const struct arch *arch_native(void)
{
	return &x86_64;
}

#endif
