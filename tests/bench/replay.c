/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of itself, replayed: what a sample costs in instructions. For test_instructions.py,
 *under callgrind, where nothing can be traced.
 *
 *	replay unwind|consume DEPTH TIMES
 *
 * Below DEPTH calls it copies its registers and its stack into a snapshot as the sampler does, and
 * gives that TIMES times to the unwinder, or to the whole consumer. Prints the frames of the trace.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/pidfd.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/parse.h"
#include "process/process.h"
#include "session/consumer.h"
#include "snapshot/snapshot.h"
#include "unwind/unwind.h"

/* Time stands still: what is done every few seconds would count, more of it on a busy machine. */
int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
	*ret_time = (struct timespec){.tv_sec = 1000};
	return 0;
}

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif

static uint64_t stack_end;
static struct snapshot *snapshot;

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "replay: %s: %s\n", what, strerror(-r));
	exit(2);
}

/* Instead of the C library's: valgrind 3.19 does not know the call. Readable is who has ended. */
int pidfd_open(pid_t pid, unsigned int flags)
{
	return eventfd(0, EFD_CLOEXEC);
}

/* The registers that the C library saves are those that a callee preserves, pc and sp. */
static void load_registers(const ucontext_t *context, struct arch_regs *regs)
{
	static const struct {
		unsigned dwarf;
		int at;
	} kept[] = {{3, REG_RBX},  {6, REG_RBP},  {7, REG_RSP},  {12, REG_R12},
		    {13, REG_R13}, {14, REG_R14}, {15, REG_R15}, {16, REG_RIP}};

	for (unsigned reg = 0; reg < arch_native()->n_regs; reg++)
		arch_reg_set(regs, reg, 0);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		arch_reg_set(regs, kept[i].dwarf, (uint64_t)context->uc_mcontext.gregs[kept[i].at]);
}

NOINLINE static int take(void)
{
	const struct arch *arch = arch_native();
	ucontext_t context;
	uint64_t sp, size;

	getcontext(&context);
	sp = (uint64_t)context.uc_mcontext.gregs[REG_RSP] - arch->red_zone;
	size = stack_end - sp;
	snapshot = calloc(1, sizeof(*snapshot) + size);
	if (!snapshot)
		exit(2);
	load_registers(&context, &snapshot->regs);
	snapshot->kind = SNAPSHOT_STACK;
	snapshot->pid = snapshot->tid = getpid();
	snapshot->syscall = -1;
	snapshot->count = snapshot->cpu_count = 1;
	snapshot->cpu_ns = 10000000;
	strcpy(snapshot->name, "replay");
	snapshot->stack_addr = sp;
	snapshot->stack_end = stack_end;
	snapshot->n_bytes = (uint32_t)size;
	memcpy(snapshot->bytes, (const void *)sp, size);
	return 0;
}

NOINLINE static uint64_t descend(uint64_t left)
{
	volatile uint64_t local[3] = {left, left, left};

	return (left ? descend(left - 1) : (uint64_t)take()) + local[1];
}

static uint32_t replay_unwind(uint64_t times)
{
	static struct trace trace;
	struct process *process;
	struct module_map *map;
	struct unwinder *unwinder;
	uint64_t top;

	check(process_open(getpid(), &process), "process_open");
	check(module_map_new(process, &map), "module_map_new");
	check(module_map_refresh(map), "module_map_refresh");
	check(unwinder_new(map, arch_native(), &unwinder), "unwinder_new");
	for (uint64_t i = 0; i < times; i++)
		unwinder_run(unwinder, snapshot, &trace, &top);
	if (unwinder_stats(unwinder)->fp_frames) {
		fprintf(stderr, "replay: the CFI was not found\n");
		exit(2);
	}
	unwinder_free(unwinder);
	module_map_free(map);
	process_close(process);
	return trace.end == TRACE_ROOT ? trace.n_frames : 0;
}

static uint32_t replay_consumer(uint64_t times)
{
	static const struct profile_spec spec = {
		.sample_types = {{"samples", "count"}, {"cpu", "nanoseconds"}},
		.n_sample_types = 2,
		.period_type = {"cpu", "nanoseconds"},
		.period = 10000000,
	};
	static const struct consumer_options options = {.types = SAMPLER_CPU};
	static struct sampler_shared shared;
	struct profile *profile;
	struct consumer *consumer;
	uint32_t n = 0;

	check(profile_new(&spec, &profile), "profile_new");
	check(consumer_new(getpid(), &options, &shared, profile, &consumer), "consumer_new");
	for (uint64_t i = 0; i < times; i++)
		check(consumer_take(consumer, snapshot), "consumer_take");
	for (uint32_t at = profile_sample(profile, 0)->stack; at;
	     at = profile_stack_callers(profile, at))
		n++;
	consumer_free(consumer);
	profile_free(profile);
	return n;
}

int main(int argc, char **argv)
{
	uint64_t depth, times;
	uint32_t frames;

	if (argc != 4 || parse_u64(argv[2], 0, 10000, &depth) < 0 ||
	    parse_u64(argv[3], 1, 1000000, &times) < 0)
		return 64;
	/* The strings of the program's start lie above every frame. */
	stack_end = (uint64_t)argv;
	descend(depth);
	frames = strcmp(argv[1], "unwind") == 0 ? replay_unwind(times) : replay_consumer(times);
	free(snapshot);
	printf("%u\n", frames);
	return frames > depth ? 0 : 1;
}
