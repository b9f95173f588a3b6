/* SPDX-License-Identifier: Apache-2.0 */
/* Unwinds this very program, from a snapshot that it takes of itself; judged by backtrace(3). */
#include <execinfo.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "unwind/unwind.h"

#define NOINLINE __attribute__((noinline))

static struct {
	struct process *process;
	struct module_map *map;
	struct unwinder *unwinder;
	struct snapshot *snapshot;
	struct trace trace;
	uint64_t top;
	void *expected[256];
	int n_expected;
} t;

static int set_up(void **state)
{
	t.snapshot = malloc(sizeof(*t.snapshot) + SNAPSHOT_MAX_STACK);
	return !t.snapshot || process_open(getpid(), &t.process) < 0 ||
	       module_map_new(t.process, &t.map) < 0 || module_map_refresh(t.map) < 0 ||
	       unwinder_new(t.map, arch_native(), &t.unwinder) < 0;
}

static int tear_down(void **state)
{
	unwinder_free(t.unwinder);
	module_map_free(t.map);
	process_close(t.process);
	free(t.snapshot);
	return 0;
}

static void load_registers(const ucontext_t *context)
{
	const greg_t *g = context->uc_mcontext.gregs;
	struct user_regs_struct user = {
		.rax = (uint64_t)g[REG_RAX],
		.rdx = (uint64_t)g[REG_RDX],
		.rcx = (uint64_t)g[REG_RCX],
		.rbx = (uint64_t)g[REG_RBX],
		.rsi = (uint64_t)g[REG_RSI],
		.rdi = (uint64_t)g[REG_RDI],
		.rbp = (uint64_t)g[REG_RBP],
		.rsp = (uint64_t)g[REG_RSP],
		.r8 = (uint64_t)g[REG_R8],
		.r9 = (uint64_t)g[REG_R9],
		.r10 = (uint64_t)g[REG_R10],
		.r11 = (uint64_t)g[REG_R11],
		.r12 = (uint64_t)g[REG_R12],
		.r13 = (uint64_t)g[REG_R13],
		.r14 = (uint64_t)g[REG_R14],
		.r15 = (uint64_t)g[REG_R15],
		.rip = (uint64_t)g[REG_RIP],
	};

	arch_regs_load(arch_native(), &user, &t.snapshot->regs);
}

/* Copies the stack as it is while the caller's frame lives, and unwinds that. */
static NOINLINE void capture(size_t most)
{
	struct process_maps maps = {};
	const struct process_mapping *m;
	ucontext_t context;
	ssize_t n;

	memset(t.snapshot, 0, sizeof(*t.snapshot));
	t.n_expected = backtrace(t.expected, 256);
	/* A sanitizer's own backtrace() is a frame more. */
	while (t.n_expected > 2 && t.expected[1] != __builtin_return_address(0))
		memmove(t.expected, t.expected + 1, (size_t)--t.n_expected * sizeof(void *));
	assert_int_equal(getcontext(&context), 0);
	load_registers(&context);
	assert_int_equal(process_maps_read(t.process, &maps), 0);
	t.snapshot->stack_addr = t.snapshot->regs.values[7];
	m = process_maps_find(&maps, t.snapshot->stack_addr);
	assert_non_null(m);
	t.snapshot->stack_end = m->end;
	n = process_read(t.process, t.snapshot->stack_addr, t.snapshot->bytes,
			 most < m->end - t.snapshot->stack_addr ? most
								: m->end - t.snapshot->stack_addr);
	assert_true(n > 0);
	t.snapshot->n_bytes = (uint32_t)n;
	process_maps_deinit(&maps);
	unwinder_run(t.unwinder, t.snapshot, &t.trace, &t.top);
	__asm__ volatile("" : : "r"(&context) : "memory");
}

static NOINLINE void nested(int depth, size_t most)
{
	volatile char room[64] = {(char)depth};

	if (depth > 0)
		nested(depth - 1, most);
	else
		capture(most);
	__asm__ volatile("" : : "r"(room) : "memory");
}

static void assert_same_as_backtrace(void)
{
	/* The first frame is capture() itself, at another pc. */
	assert_int_equal(t.trace.n_frames, t.n_expected);
	for (int i = 1; i < t.n_expected; i++)
		assert_int_equal(t.trace.frames[i].pc, (uintptr_t)t.expected[i]);
	assert_true(t.trace.frames[0].exact);
}

static void agrees_with_backtrace(void **state)
{
	nested(10, SNAPSHOT_MAX_STACK);
	assert_int_equal(t.trace.end, TRACE_ROOT);
	assert_true(t.n_expected > 12);
	assert_same_as_backtrace();
	assert_false(t.trace.frames[1].exact);
}

static void top_says_how_much_is_needed(void **state)
{
	uint64_t needed;

	nested(10, SNAPSHOT_MAX_STACK);
	assert_true(t.top > t.snapshot->stack_addr);
	needed = t.top - t.snapshot->stack_addr;
	assert_true(needed < t.snapshot->n_bytes);
	t.snapshot->n_bytes = (uint32_t)needed;
	unwinder_run(t.unwinder, t.snapshot, &t.trace, &t.top);
	assert_int_equal(t.trace.end, TRACE_ROOT);
	t.snapshot->n_bytes = (uint32_t)needed - 8;
	unwinder_run(t.unwinder, t.snapshot, &t.trace, &t.top);
	assert_int_equal(t.trace.end, TRACE_CUT);
}

static void bounded_copy_is_cut(void **state)
{
	nested(50, 2048);
	assert_int_equal(t.trace.end, TRACE_CUT);
	assert_true(t.trace.n_frames > 2);
	for (uint32_t i = 1; i < t.trace.n_frames; i++)
		assert_int_equal(t.trace.frames[i].pc, (uintptr_t)t.expected[i]);
}

static void on_signal(int signal)
{
	capture(SNAPSHOT_MAX_STACK);
}

static void signal_frame_is_exact(void **state)
{
	unsigned exact = 0;

	signal(SIGUSR1, on_signal);
	raise(SIGUSR1);
	assert_int_equal(t.trace.end, TRACE_ROOT);
	assert_same_as_backtrace();
	for (uint32_t i = 0; i < t.trace.n_frames; i++)
		exact += t.trace.frames[i].exact;
	/* The leaf, the trampoline, and the frame that the signal interrupted. */
	assert_int_equal(exact, 3);
}

static void nonsense_ends_the_trace(void **state)
{
	nested(3, SNAPSHOT_MAX_STACK);
	t.snapshot->regs.values[16] = 0x1000;
	t.snapshot->regs.values[6] = 1;
	unwinder_run(t.unwinder, t.snapshot, &t.trace, &t.top);
	assert_int_equal(t.trace.end, TRACE_NO_CFI);
	assert_int_equal(t.trace.n_frames, 1);
}

static void frame_pointer_is_followed_without_cfi(void **state)
{
	uint64_t *words, sp;

	nested(3, SNAPSHOT_MAX_STACK);
	/* A made-up frame: saved frame pointer 0, then a return address into this program. */
	sp = t.snapshot->stack_addr;
	words = (uint64_t *)t.snapshot->bytes;
	words[0] = 0;
	words[1] = (uintptr_t)t.expected[1];
	t.snapshot->regs.values[16] = 0x1000;
	t.snapshot->regs.values[6] = sp;
	unwinder_run(t.unwinder, t.snapshot, &t.trace, &t.top);
	assert_true(t.trace.n_frames >= 2);
	assert_int_equal(t.trace.frames[1].pc, (uintptr_t)t.expected[1]);
	assert_true(unwinder_stats(t.unwinder)->fp_frames > 0);
	/* A return address that is no code is not believed. */
	words[1] = 0x1234;
	unwinder_run(t.unwinder, t.snapshot, &t.trace, &t.top);
	assert_int_equal(t.trace.n_frames, 1);
}

static void random_stacks_do_no_harm(void **state)
{
	srandom(1);
	for (int round = 0; round < 3000; round++) {
		nested(3, 4096);
		for (uint32_t i = 0; i < t.snapshot->n_bytes; i++) {
			if (random() % 8 == 0)
				t.snapshot->bytes[i] = (uint8_t)random();
		}
		t.snapshot->regs.values[(unsigned)random() % 17] += (uint64_t)random() % 4096;
		unwinder_run(t.unwinder, t.snapshot, &t.trace, &t.top);
		assert_in_range(t.trace.n_frames, 1, TRACE_MAX_FRAMES);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_backtrace),
		cmocka_unit_test(top_says_how_much_is_needed),
		cmocka_unit_test(bounded_copy_is_cut),
		cmocka_unit_test(signal_frame_is_exact),
		cmocka_unit_test(nonsense_ends_the_trace),
		cmocka_unit_test(frame_pointer_is_followed_without_cfi),
		cmocka_unit_test(random_stacks_do_no_harm),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
