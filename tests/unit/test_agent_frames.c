/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent in stacks: mapped into this process and called, and stopped behind each instruction by
 * the trap flag. Whatever it is doing, the stack leads from there to who called, and on to the root
 * as it does without the agent.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/user.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "base/cleanup.h"
#include "session/consumer.h"
#include "unwind/unwind.h"

#define NOINLINE __attribute__((noinline))
#define MAX_NAMES 64
#define EFLAGS_TRAP 0x100

typedef void *(*any_fn)(uint64_t, uint64_t, uint64_t, uint64_t);

static struct {
	struct process *process;
	struct module_map *map;
	struct unwinder *unwinder;
	struct snapshot *snapshot;
	struct trace trace;
	uint8_t *code;
	size_t code_size;
	struct agent_wire *wire;
	struct trace bare; /* of the caller, without the agent */
	const char *names[MAX_NAMES];
	unsigned n_names, n_steps, n_wrong;
	struct trace wrong; /* the first one */
} t;

static void *answer;

static NOINLINE void *original(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	__asm__ volatile("" : : : "memory");
	return answer;
}

static NOINLINE void *failing(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	__asm__ volatile("" : : : "memory");
	return NULL;
}

/* A function as the dynamic linker has one: see inject_frame.c. */
__asm__(".text\n"
	".type test_frame, @function\n"
	"test_frame:\n"
	".cfi_startproc\n"
	"push %rbp\n"
	".cfi_def_cfa %rsp, 16\n"
	".cfi_offset %rbp, -16\n"
	"mov %rsp, %rbp\n"
	".cfi_def_cfa_register %rbp\n"
	"push %r15\n"
	"push %r14\n"
	"push %r13\n"
	"push %r12\n"
	"push %rbx\n"
	".cfi_offset %r15, -24\n"
	".cfi_offset %r14, -32\n"
	".cfi_offset %r13, -40\n"
	".cfi_offset %r12, -48\n"
	".cfi_offset %rbx, -56\n"
	"sub $8, %rsp\n"
	".global test_frame_call\n"
	"test_frame_call:\n"
	"call *%rbx\n"
	"ud2\n"
	".cfi_endproc\n"
	".size test_frame, . - test_frame\n");
extern const char test_frame_call[];

/* Calls a function; found by rbx, so that what has become of that shows. */
__asm__(".text\n"
	".type test_caller, @function\n"
	"test_caller:\n"
	".cfi_startproc\n"
	"push %rbx\n"
	".cfi_def_cfa %rsp, 16\n"
	".cfi_offset %rbx, -16\n"
	"mov %rsp, %rbx\n"
	".cfi_def_cfa_register %rbx\n"
	"mov %rdi, %rax\n"
	"mov %rsi, %rdi\n"
	"mov %rdx, %rsi\n"
	"mov %rcx, %rdx\n"
	"mov %r8, %rcx\n"
	"call *%rax\n"
	"pop %rbx\n"
	".cfi_def_cfa %rsp, 8\n"
	".cfi_same_value %rbx\n"
	"ret\n"
	".cfi_endproc\n"
	".size test_caller, . - test_caller\n");
void *test_caller(any_fn function, uint64_t a, uint64_t b, uint64_t c, uint64_t d);

static void load_snapshot(const ucontext_t *context)
{
	const greg_t *g = context->uc_mcontext.gregs;
	struct user_regs_struct user = {
		.rbx = (uint64_t)g[REG_RBX],
		.rbp = (uint64_t)g[REG_RBP],
		.rsp = (uint64_t)g[REG_RSP],
		.r12 = (uint64_t)g[REG_R12],
		.r13 = (uint64_t)g[REG_R13],
		.r14 = (uint64_t)g[REG_R14],
		.r15 = (uint64_t)g[REG_R15],
		.rip = (uint64_t)g[REG_RIP],
	};
	ssize_t n;

	arch_regs_load(arch_native(), &user, &t.snapshot->regs);
	t.snapshot->stack_addr = user.rsp - arch_native()->red_zone;
	n = process_read(t.process, t.snapshot->stack_addr, t.snapshot->bytes, SNAPSHOT_MAX_STACK);
	t.snapshot->n_bytes = n > 0 ? (uint32_t)n : 0;
	t.snapshot->stack_end = t.snapshot->stack_addr + t.snapshot->n_bytes;
}

static bool is_in_agent(uint64_t pc)
{
	return pc - (uintptr_t)t.code < t.code_size;
}

static const char *name_of(const struct frame *frame)
{
	uint64_t pc = frame_lookup_pc(frame);
	const struct module_mapping *m = module_map_find(t.map, pc);
	struct module_symbol symbol;

	return m && module_symbol_at(m->module, pc, &symbol) ? symbol.name : "";
}

static void note_name(const char *name)
{
	for (unsigned i = 0; i < t.n_names; i++) {
		if (strcmp(t.names[i], name) == 0)
			return;
	}
	if (t.n_names < MAX_NAMES)
		t.names[t.n_names++] = name;
}

/* The caller's frame and those behind it, which end the trace, are there but for their leaf's pc.
 */
static bool leads_to_caller(void)
{
	uint32_t n_callers = t.bare.n_frames, first = t.trace.n_frames - n_callers;

	if (t.trace.end != t.bare.end || t.trace.n_frames <= n_callers ||
	    strcmp(name_of(&t.trace.frames[first]), "call_wrapped") != 0)
		return false;
	for (uint32_t i = 1; i < n_callers; i++) {
		if (t.trace.frames[first + i].pc != t.bare.frames[i].pc)
			return false;
	}
	for (uint32_t i = 0; i < first; i++) {
		const char *name = name_of(&t.trace.frames[i]);

		if (is_in_agent(frame_lookup_pc(&t.trace.frames[i]))
			    ? strncmp(name, "[cprof agent] ", 14) != 0
			    : strcmp(name, "original") != 0 && strcmp(name, "failing") != 0 &&
				      strcmp(name, "test_frame") != 0 &&
				      strcmp(name, "test_caller") != 0)
			return false;
	}
	return true;
}

static bool is_original(uint64_t pc)
{
	const struct frame frame = {.pc = pc, .exact = true};
	const char *name = name_of(&frame);

	return strcmp(name, "original") == 0 || strcmp(name, "failing") == 0;
}

/* Behind each instruction; on a stack of its own, since part of what it reads is below sp. */
static void on_step(int signal, siginfo_t *info, void *user)
{
	const ucontext_t *context = user;
	uint64_t pc = (uint64_t)context->uc_mcontext.gregs[REG_RIP], top;

	if (!is_in_agent(pc) && !is_original(pc) && pc != (uintptr_t)test_frame_call)
		return;
	load_snapshot(context);
	unwinder_run(t.unwinder, t.snapshot, &t.trace, &top);
	t.n_steps++;
	note_name(name_of(&t.trace.frames[0]));
	if (leads_to_caller())
		return;
	if (!t.n_wrong++)
		t.wrong = t.trace;
}

static int set_up(void **state)
{
	static uint8_t stack[1 << 18];
	const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	const struct sigaction action = {.sa_sigaction = on_step,
					 .sa_flags = SA_SIGINFO | SA_ONSTACK};

	memset(&t, 0, sizeof(t));
	t.code_size = (agent_image_size + AGENT_PAGE - 1) / AGENT_PAGE * AGENT_PAGE;
	t.code =
		mmap(NULL, t.code_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	t.wire = mmap(NULL, sizeof(*t.wire), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	t.snapshot = calloc(1, sizeof(*t.snapshot) + SNAPSHOT_MAX_STACK);
	if (t.code == MAP_FAILED || t.wire == MAP_FAILED || !t.snapshot ||
	    sigaltstack(&other, NULL) < 0 || sigaction(SIGTRAP, &action, NULL) < 0)
		return -1;
	memcpy(t.code, agent_image, agent_image_size);
	t.wire->head =
		(struct agent_head){.on = 1, .rate = 1, .seed = 4711, .pid = (uint64_t)getpid()};
	return process_open(getpid(), &t.process) < 0 || module_map_new(t.process, &t.map) < 0 ||
	       unwinder_new(t.map, arch_native(), &t.unwinder) < 0;
}

static int tear_down(void **state)
{
	signal(SIGTRAP, SIG_DFL);
	unwinder_free(t.unwinder);
	module_map_free(t.map);
	process_close(t.process);
	munmap(t.code, t.code_size);
	munmap(t.wire, sizeof(*t.wire));
	free(t.snapshot);
	return 0;
}

/* Found by rbp, likewise. */
static NOINLINE void *call_wrapped(any_fn function, const uint64_t *args, bool steps)
{
	alignas(64) volatile char room[64] = {0};
	void *result = NULL;

	__asm__ volatile("" : : "r"(room) : "memory");
	if (!function) {
		ucontext_t context;
		uint64_t top;

		assert_int_equal(getcontext(&context), 0);
		load_snapshot(&context);
		unwinder_run(t.unwinder, t.snapshot, &t.bare, &top);
		return NULL;
	}
	if (steps)
		__asm__ volatile("pushfq; orq %0, (%%rsp); popfq"
				 :
				 : "i"(EFLAGS_TRAP)
				 : "memory", "cc");
	result = test_caller(function, args[0], args[1], args[2], args[3]);
	if (steps)
		__asm__ volatile("pushfq; andq %0, (%%rsp); popfq"
				 :
				 : "i"(~EFLAGS_TRAP)
				 : "memory", "cc");
	__asm__ volatile("" : : "r"(room) : "memory");
	return result;
}

/* Neither specialised nor inlined. */
static void *(*volatile const call)(any_fn, const uint64_t *, bool) = call_wrapped;

/* One wrapped function; returns its stub. */
static any_fn wrap(const struct agent_entry *what, uint32_t handler, bool frame)
{
	struct agent_table *table = (struct agent_table *)t.code;
	struct agent_entry *entry = &table->entries[table->n_entries];
	uint8_t *stub = t.code + agent_places.stubs + table->n_entries++ * AGENT_STUB_SIZE;

	*entry = *what;
	entry->handler = (uint64_t)(uintptr_t)t.code + handler;
	entry->original = (uint64_t)(uintptr_t)original;
	if (!entry->sampled)
		entry->sampled = entry->original;
	table->wire = (uint64_t)(uintptr_t)t.wire;
	table->frame = frame ? (uint64_t)(uintptr_t)test_frame_call : 0;
	return (any_fn)(void *)stub;
}

/* First the caller alone; then, from the same place, by single steps. */
static void step_through(any_fn function, uint64_t a, uint64_t b, uint64_t c)
{
	const uint64_t args[] = {a, b, c, 0};
	const struct module_mapping *m;
	void *result = NULL;

	assert_int_equal(mprotect(t.code, t.code_size, PROT_READ | PROT_EXEC), 0);
	assert_true(module_map_refresh(t.map) >= 0);
	unwinder_forget(t.unwinder);
	m = module_map_find(t.map, (uintptr_t)function);
	assert_non_null(m);
	assert_true(module_is_agent(m->module));
	/* Volatile: one place. */
	for (volatile int steps = 0; steps <= 1; steps++)
		result = call(steps ? function : NULL, args, steps);
	assert_ptr_equal(result, answer);
	assert_int_equal(t.bare.end, TRACE_ROOT);
	assert_true(t.bare.n_frames > 2);
	assert_int_equal(mprotect(t.code, t.code_size, PROT_READ | PROT_WRITE), 0);
	for (uint32_t i = 0; t.n_wrong && i < t.wrong.n_frames; i++)
		print_message("#%u %llx %s\n", i, (unsigned long long)t.wrong.frames[i].pc,
			      name_of(&t.wrong.frames[i]));
	assert_int_equal(t.n_wrong, 0);
	assert_true(t.n_steps > 5);
}

static void assert_was_in(const char *name)
{
	for (unsigned i = 0; i < t.n_names; i++) {
		if (strcmp(t.names[i], name) == 0)
			return;
	}
	fail_msg("never stopped in %s", name);
}

static void test_not_sampled(void **state)
{
	answer = t.wire;
	t.wire->head.rate = 1ULL << 40;
	/* The thread's first call gives it a slot, by the slow path; the second one is quick. */
	step_through(wrap(&(struct agent_entry){}, agent_places.alloc_arg0, false), 10, 0, 0);
	assert_was_in("[cprof agent] agent_slow");
	assert_was_in("[cprof agent] agent_before");
	t.n_names = 0;
	step_through((any_fn)(void *)(t.code + agent_places.stubs), 10, 0, 0);
	assert_was_in("[cprof agent] agent_stubs");
	assert_was_in("[cprof agent] agent_alloc_arg0");
	assert_was_in("original");
	assert_int_equal(t.n_names, 3);
	step_through(wrap(&(struct agent_entry){.kind = AGENT_FREE}, agent_places.free_arg0, false),
		     4096, 0, 0);
	assert_was_in("[cprof agent] agent_free_arg0");
}

static void test_sampled(void **state)
{
	static const struct {
		uint32_t handler;
		enum agent_kind kind;
		enum agent_size size;
		const char *name;
	} cases[] = {
		{offsetof(struct agent_places, alloc_arg0), AGENT_ALLOC, AGENT_SIZE_ARG0,
		 "[cprof agent] agent_alloc_arg0"},
		{offsetof(struct agent_places, alloc_arg1), AGENT_ALLOC, AGENT_SIZE_ARG1,
		 "[cprof agent] agent_alloc_arg1"},
		{offsetof(struct agent_places, alloc_arg2), AGENT_ALLOC, AGENT_SIZE_ARG2,
		 "[cprof agent] agent_alloc_arg2"},
		{offsetof(struct agent_places, alloc_args01), AGENT_ALLOC, AGENT_SIZE_ARGS01,
		 "[cprof agent] agent_alloc_args01"},
		{offsetof(struct agent_places, realloc_arg1), AGENT_REALLOC, AGENT_SIZE_ARG1,
		 "[cprof agent] agent_realloc_arg1"},
		{offsetof(struct agent_places, realloc_args12), AGENT_REALLOC, AGENT_SIZE_ARGS12,
		 "[cprof agent] agent_realloc_args12"},
		{offsetof(struct agent_places, free_arg0), AGENT_FREE, AGENT_SIZE_ARG0,
		 "[cprof agent] agent_free_arg0"},
	};

	/* At an address of each in turn, which is given back at the end. */
	answer = t.wire;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct agent_entry entry = {.kind = cases[i].kind, .size = cases[i].size};
		uint32_t handler;

		memcpy(&handler, (const char *)&agent_places + cases[i].handler, sizeof(handler));
		step_through(wrap(&entry, handler, false), (uint64_t)(uintptr_t)t.wire, 64, 64);
		assert_was_in(cases[i].name);
	}
	assert_was_in("[cprof agent] agent_slow");
	assert_was_in("[cprof agent] restore");
	assert_was_in("[cprof agent] agent_after");
	assert_was_in("[cprof agent] agent_copy");
}

/* Called again after its nothrow form has failed. */
static void test_failed(void **state)
{
	answer = t.wire;
	step_through(wrap(&(struct agent_entry){.sampled = (uint64_t)(uintptr_t)failing},
			  agent_places.alloc_arg0, false),
		     64, 0, 0);
	assert_was_in("failing");
	assert_was_in("original");
}

static void test_custom(void **state)
{
	const struct agent_entry entry = {.kind = AGENT_CALL,
					  .actions = {{.what = AGENT_ADD, .key = AGENT_KEY_RET}}};
	const struct agent_entry other = {.kind = AGENT_CALL, .actions = {{.what = AGENT_REMOVE}}};

	answer = (void *)7;
	step_through(wrap(&entry, agent_places.custom, false), 1, 2, 3);
	/* It returns through the frame of another. */
	t.n_names = 0;
	step_through(wrap(&entry, agent_places.custom, true), 1, 2, 3);
	assert_was_in("[cprof agent] agent_custom");
	assert_was_in("[cprof agent] agent_slow");
	assert_was_in("test_frame");
	step_through(wrap(&other, agent_places.custom, true), 7, 2, 3);
}

static unsigned depth(const struct profile *profile, uint32_t stack)
{
	unsigned n = 0;

	for (; stack; stack = profile_stack_callers(profile, stack))
		n++;
	return n;
}

/* As of an allocation in a signal handler that has interrupted the agent: a program's stack shows
 * the agent, that of an allocation does not. */
static void test_stacks_of_allocations(void **state)
{
	const struct profile_spec spec = {.sample_types = {{"samples", "count"}},
					  .n_sample_types = 1,
					  .period_type = {"samples", "count"}};
	struct sampler_shared *shared = calloc(1, sizeof(*shared));
	uint32_t shown, hidden, n_agent = 0;
	struct consumer *consumer;
	struct profile *profile;

	answer = t.wire;
	step_through(wrap(&(struct agent_entry){}, agent_places.alloc_arg0, false), 64, 0, 0);
	assert_int_equal(mprotect(t.code, t.code_size, PROT_READ | PROT_EXEC), 0);
	for (uint32_t i = 0; i < t.trace.n_frames; i++)
		n_agent += is_in_agent(frame_lookup_pc(&t.trace.frames[i]));
	assert_true(n_agent > 0);
	assert_int_equal(profile_new(&spec, &profile), 0);
	assert_int_equal(
		consumer_new(getpid(), &(struct consumer_options){}, shared, profile, &consumer),
		0);
	t.snapshot->pid = getpid();
	t.snapshot->syscall = -1;
	assert_int_equal(consumer_take_stack(consumer, t.snapshot, &shown), 0);
	assert_int_equal(depth(profile, shown), t.trace.n_frames);
	t.snapshot->alloc_id = 1;
	assert_int_equal(consumer_take_stack(consumer, t.snapshot, &hidden), 0);
	assert_int_equal(depth(profile, hidden), t.trace.n_frames - n_agent);
	consumer_free(consumer);
	profile_free(profile);
	free(shared);
}

/* Code with the agent's mark that is not this one has no tables here. */
static void test_other_code(void **state)
{
	const struct module_mapping *m;

	t.code[agent_image_size - 1] ^= 1;
	assert_int_equal(mprotect(t.code, t.code_size, PROT_READ | PROT_EXEC), 0);
	assert_true(module_map_refresh(t.map) >= 0);
	m = module_map_find(t.map, (uintptr_t)t.code);
	assert_non_null(m);
	assert_false(module_is_agent(m->module));
	assert_string_equal(module_path(m->module), "");
}

/* While it is being written it is nothing yet, and looked at again. */
static void test_half_written(void **state)
{
	const struct module_mapping *m;
	struct module_symbol symbol;
	struct module *clone;

	for (size_t n = 0; n <= agent_image_size; n += agent_image_size / 7) {
		assert_int_equal(mprotect(t.code, t.code_size, PROT_READ | PROT_WRITE), 0);
		memset(t.code, 0, t.code_size);
		memcpy(t.code, agent_image, n);
		assert_int_equal(mprotect(t.code, t.code_size, PROT_READ | PROT_EXEC), 0);
		assert_true(module_map_refresh(t.map) >= 0);
		if (n < agent_image_size / 7 * 7)
			assert_null(module_map_find(t.map, (uintptr_t)t.code));
	}
	assert_int_equal(mprotect(t.code, t.code_size, PROT_READ | PROT_WRITE), 0);
	memcpy(t.code, agent_image, agent_image_size);
	assert_int_equal(mprotect(t.code, t.code_size, PROT_READ | PROT_EXEC), 0);
	assert_true(module_map_refresh(t.map) > MODULE_REFRESH_SAME);
	m = module_map_find(t.map, (uintptr_t)t.code);
	assert_non_null(m);
	assert_string_equal(module_path(m->module), "[cprof agent]");
	assert_int_equal(strlen(module_build_id(m->module)), 40);
	assert_int_equal(module_bias(m->module), (uintptr_t)t.code);
	assert_null(module_problem(m->module));
	/* What lies behind it in its file is not in memory. */
	assert_null(module_map_find_data(t.map, (uintptr_t)t.code + t.code_size));
	/* Another thread knows it, too. */
	assert_int_equal(module_clone(m->module, t.process, &clone), 0);
	assert_true(module_is_agent(clone));
	assert_true(module_symbol_at(clone, (uintptr_t)t.code + agent_places.free_arg0, &symbol));
	assert_string_equal(symbol.name, "[cprof agent] agent_free_arg0");
	module_free(clone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_not_sampled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_sampled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_custom, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stacks_of_allocations, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_code, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_half_written, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
