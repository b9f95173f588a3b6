/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "arch/arch.h"

/* The kernel's register block at the end of a call. */
static uint64_t user[64];

static void set(uint16_t offset, uint64_t value)
{
	memcpy((char *)user + offset, &value, sizeof(value));
}

/* Addresses of this very process. */
static bool read_own(void *from, uint64_t addr, void *bytes, size_t size)
{
	memcpy(bytes, (const void *)(uintptr_t)addr, size);
	return from == NULL;
}

static bool is_short(long nr, uint64_t arg1, uint64_t arg2, uint64_t arg3, int64_t result)
{
	const struct arch *arch = arch_native();

	memset(user, 0, sizeof(user));
	set(arch->user_syscall, (uint64_t)nr);
	set(arch->user_args[1], arg1);
	set(arch->user_args[2], arg2);
	set(arch->user_args[3], arg3);
	set(arch->user_result, (uint64_t)result);
	return arch_transfer_short(arch, user, read_own, NULL) != NULL;
}

static void short_counts(void **state)
{
	assert_true(is_short(SYS_write, 0, 100, 0, 99));
	assert_false(is_short(SYS_write, 0, 100, 0, 100));
	assert_false(is_short(SYS_write, 0, 100, 0, 0));
	assert_false(is_short(SYS_write, 0, 100, 0, -EINTR));
	/* Its second argument is how much is wanted, its third the flags. */
	assert_true(is_short(SYS_getrandom, 100, 0, 0, 99));
	/* Less than a full buffer is how these end. */
	assert_false(is_short(SYS_read, 0, 100, 0, 99));
	assert_false(is_short(SYS_recvfrom, 0, 100, MSG_PEEK, 99));
	assert_true(is_short(SYS_recvfrom, 0, 100, MSG_WAITALL, 99));
	assert_false(is_short(SYS_recvfrom, 0, 100, MSG_WAITALL, 100));
	/* Not in a call. */
	assert_false(is_short(-1, 100, 100, MSG_WAITALL, 99));
}

static void short_counts_in_memory(void **state)
{
	struct iovec iovecs[] = {{NULL, 60}, {NULL, 40}};
	struct msghdr message = {.msg_iov = iovecs, .msg_iovlen = 2};
	uint64_t vector = (uintptr_t)iovecs, header = (uintptr_t)&message;

	assert_true(is_short(SYS_writev, vector, 2, 0, 99));
	assert_false(is_short(SYS_writev, vector, 2, 0, 100));
	assert_false(is_short(SYS_writev, vector, 1, 0, 60));
	assert_true(is_short(SYS_sendmsg, header, 0, 0, 99));
	assert_false(is_short(SYS_sendmsg, header, 0, 0, 100));
	assert_false(is_short(SYS_recvmsg, header, 0, 0, 99));
	assert_true(is_short(SYS_recvmsg, header, MSG_WAITALL, 0, 99));
	/* Too many to be judged. */
	assert_false(is_short(SYS_writev, vector, 1000, 0, 1));
}

static enum arch_restart_if condition(long nr)
{
	const struct arch_restart *restart = arch_restart_find(arch_native(), (int)nr);

	assert_non_null(restart);
	assert_non_null(restart->why);
	return restart->only_if;
}

static void restarts(void **state)
{
	static const long never[] = {SYS_close, SYS_ioctl,  SYS_mount, SYS_openat,
				     SYS_dup3,  SYS_splice, SYS_fsync};

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		assert_null(arch_restart_find(arch_native(), (int)never[i]));
	assert_null(arch_restart_find(arch_native(), -1));
	assert_int_equal(condition(SYS_epoll_pwait), ARCH_RESTART_ALWAYS);
	assert_int_equal(condition(SYS_recvmmsg), ARCH_RESTART_ALWAYS);
	/* What else they may read and write is not known to have changed nothing. */
	assert_int_equal(condition(SYS_read), ARCH_RESTART_SOCKET);
	assert_int_equal(condition(SYS_readv), ARCH_RESTART_SOCKET);
	assert_int_equal(condition(SYS_write), ARCH_RESTART_SOCKET);
	assert_int_equal(condition(SYS_writev), ARCH_RESTART_SOCKET);
	assert_int_equal(condition(SYS_io_uring_enter), ARCH_RESTART_NO_ARG1);
}

#define CODE(...) ((const uint8_t[]){__VA_ARGS__}), sizeof((const uint8_t[]){__VA_ARGS__})

static void frame_sizes(void **state)
{
	const struct arch *arch = arch_native();
	uint64_t bytes = 0, slack;

	/* push r15; push rbx; sub $0x130,%rsp; mov %edi,-4(%rbp); call */
	assert_true(arch_frame_size(arch,
				    CODE(0x41, 0x57, 0x53, 0x48, 0x81, 0xec, 0x30, 0x01, 0, 0, 0x89,
					 0x7d, 0xfc, 0xe8, 0, 0, 0, 0),
				    18, &bytes, &slack));
	assert_int_equal(bytes, 8 + 8 + 0x130);
	/* Not beyond the pc of interest: only the first push. */
	assert_true(arch_frame_size(arch, CODE(0x41, 0x57, 0x53), 2, &bytes, &slack));
	assert_int_equal(bytes, 8);
	/* lea -0x10(%rsp),%rsp */
	assert_true(arch_frame_size(arch, CODE(0x48, 0x8d, 0x64, 0x24, 0xf0), 5, &bytes, &slack));
	assert_int_equal(bytes, 16);
	/* sub %rax,%rsp; mov %rax,%rsp: not a constant. */
	assert_false(arch_frame_size(arch, CODE(0x48, 0x29, 0xc4), 3, &bytes, &slack));
	assert_false(arch_frame_size(arch, CODE(0x48, 0x89, 0xc4), 3, &bytes, &slack));
	/* An instruction that is cut off. */
	assert_false(arch_frame_size(arch, CODE(0x48, 0x81), 2, &bytes, &slack));
}

static void calls(void **state)
{
	static const uint8_t direct[] = {0x90, 0xe8, 0x10, 0, 0, 0};
	static const uint8_t indirect[] = {0x90, 0x90, 0x90, 0xff, 0x50, 0x08}; /* *8(%rax) */
	static const uint8_t none[] = {0x90, 0x90, 0x90, 0x90, 0x90, 0x90};
	static const uint8_t poll[] = {0xb8, 7, 0, 0, 0, 0x0f, 0x05};
	const struct arch *arch = arch_native();
	uint64_t target = 1;

	assert_true(arch_call_before(arch, direct + 6, 6, 0x1006, &target));
	assert_int_equal(target, 0x1016);
	assert_true(arch_call_before(arch, indirect + 6, 6, 0x1006, &target));
	assert_int_equal(target, 0);
	assert_false(arch_call_before(arch, none + 6, 6, 0x1006, &target));
	assert_false(arch_call_before(arch, direct + 6, 0, 0x1006, &target));
	assert_int_equal(arch_syscall_before(arch, poll + 7, 7), 7);
	assert_int_equal(arch_syscall_before(arch, poll + 7, 6), -1);
	assert_int_equal(arch_syscall_before(arch, direct + 6, 6), -1);
}

static void probes_and_alignment(void **state)
{
	const struct arch *arch = arch_native();
	uint64_t bytes, slack;
	/* push %rbx; lea -0x4000(%rsp),%r11; 1: sub $0x1000,%rsp; orq $0,(%rsp); cmp %r11,%rsp;
	 * jne 1b; sub $0xe68,%rsp; call */
	static const uint8_t gcc_probes[] = {
		0x53, 0x4c, 0x8d, 0x9c, 0x24, 0x00, 0xc0, 0xff, 0xff, 0x48, 0x81, 0xec, 0x00, 0x10,
		0x00, 0x00, 0x48, 0x83, 0x0c, 0x24, 0x00, 0x4c, 0x39, 0xdc, 0x75, 0xef, 0x48, 0x81,
		0xec, 0x68, 0x0e, 0x00, 0x00, 0xe8, 0x00, 0x00, 0x00, 0x00, 0x90, 0x90};
	/* push %r12; and $-32,%rsp; sub $0x120,%rsp; jne +0; call */
	static const uint8_t aligned[] = {0x41, 0x54, 0x48, 0x83, 0xe4, 0xe0, 0x48, 0x81,
					  0xec, 0x20, 0x01, 0x00, 0x00, 0x75, 0x00, 0xe8,
					  0x00, 0x00, 0x00, 0x00, 0x90, 0x90};
	/* push %r12; and $-32,%rsp; sub $0x120,%rsp; jne +0; push %rax; call */
	static const uint8_t pushes[] = {0x41, 0x54, 0x48, 0x83, 0xe4, 0xe0, 0x48, 0x81,
					 0xec, 0x20, 0x01, 0x00, 0x00, 0x75, 0x00, 0x50,
					 0xe8, 0x00, 0x00, 0x00, 0x00, 0x90, 0x90};

	if (strcmp(arch->name, "x86_64") != 0)
		skip();
	/* `until` is inside the call, as a lookup pc is. */
	assert_true(arch_frame_size(arch, gcc_probes, sizeof(gcc_probes), 37, &bytes, &slack));
	assert_int_equal(bytes, 8 + 0x4000 + 0xe68);
	assert_int_equal(slack, 0);
	assert_true(arch_frame_size(arch, aligned, sizeof(aligned), 19, &bytes, &slack));
	assert_int_equal(bytes, 8 + 0x120);
	assert_int_equal(slack, 24);
	assert_false(arch_frame_size(arch, pushes, sizeof(pushes), 20, &bytes, &slack));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_counts), cmocka_unit_test(short_counts_in_memory),
		cmocka_unit_test(restarts),     cmocka_unit_test(frame_sizes),
		cmocka_unit_test(calls),        cmocka_unit_test(probes_and_alignment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
