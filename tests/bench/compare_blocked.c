/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stacks of blocked threads read without a stop, beside those of the same threads stopped.
 *
 *	compare_blocked PID
 *
 * Each blocked thread of the process is read twice: pc, sp and stack as `cprof record --type wall`
 * reads them, then all registers under ptrace. Prints "threads N complete N cut N wrong N found N":
 * found counts threads whose frame pointer had to be found. Those cut or wrong are shown. Do not
 *run it on a process that minds an EINTR.
 */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "process/process.h"
#include "snapshot/snapshot.h"
#include "tracee/tracee.h"
#include "unwind/unwind.h"

static struct process *process;
static struct tracee_set *set;
static struct process_maps maps;
static struct snapshot *snapshot;
static struct trace unstopped, stopped;

static bool copy_stack(uint64_t sp)
{
	const struct process_mapping *m = process_maps_find(&maps, sp);
	ssize_t n;

	if (!m)
		return false;
	snapshot->stack_addr = sp;
	snapshot->stack_end = m->end;
	n = process_read(process, sp, snapshot->bytes,
			 MIN(m->end - sp, (uint64_t)SNAPSHOT_MAX_STACK));
	snapshot->n_bytes = n > 0 ? (uint32_t)n : 0;
	return n > 0;
}

static bool read_unstopped(const struct arch *arch, pid_t tid)
{
	struct process_syscall call;

	if (process_syscall_read(process, tid, &call) != 0)
		return false;
	snapshot->regs = (struct arch_regs){};
	arch_reg_set(&snapshot->regs, arch->pc, call.pc);
	arch_reg_set(&snapshot->regs, arch->sp, call.sp);
	return copy_stack(call.sp);
}

static bool read_stopped(const struct arch *arch, pid_t tid)
{
	struct tracee_event event = {};
	bool ok = false;
	uint64_t user[64];

	if (tracee_stop(set, process_pid(process), tid) != TRACEE_OK)
		return false;
	while (tracee_held(set)) {
		if (!tracee_next(set, &event) || event.kind != TRACEE_STOPPED) {
			poll(NULL, 0, 1);
			continue;
		}
		if (tracee_registers(set, tid, arch, user) == 0) {
			arch_regs_load(arch, user, &snapshot->regs);
			ok = copy_stack(snapshot->regs.values[arch->sp]);
			(void)tracee_repair(set, tid, arch, user, false);
		}
		tracee_release(set, tid);
	}
	return ok;
}

/* Is what was read without a stop the beginning of what is true, or all of it? */
static bool agrees(void)
{
	if (unstopped.end == TRACE_ROOT ? unstopped.n_frames != stopped.n_frames
					: unstopped.n_frames > stopped.n_frames)
		return false;
	for (uint32_t i = 0; i < unstopped.n_frames; i++) {
		if (unstopped.frames[i].pc != stopped.frames[i].pc)
			return false;
	}
	return true;
}

static void show(const char *name, const struct trace *trace)
{
	printf("  %s:", name);
	for (uint32_t i = 0; i < trace->n_frames; i++)
		printf(" %" PRIx64, trace->frames[i].pc);
	printf(" %s\n", trace_end_name(trace->end));
}

int main(int argc, char **argv)
{
	const struct arch *arch = arch_native();
	struct process_tasks tasks = {};
	struct module_map *map;
	struct unwinder *unwinder;
	unsigned threads = 0, complete = 0, cut = 0, wrong = 0, found = 0;
	uint64_t pid, top;

	snapshot = malloc(sizeof(*snapshot) + SNAPSHOT_MAX_STACK);
	if (argc != 2 || parse_u64(argv[1], 1, INT32_MAX, &pid) < 0 || !snapshot ||
	    process_open((pid_t)pid, &process) < 0 || tracee_set_new(&set) < 0 ||
	    process_maps_read(process, &maps) < 0 || module_map_new(process, &map) < 0 ||
	    module_map_refresh(map) < 0 || unwinder_new(map, arch, &unwinder) < 0 ||
	    process_tasks_read(process, &tasks) < 0)
		return 2;
	for (size_t i = 0; i < tasks.tids.n; i++) {
		pid_t tid = tasks.tids.items[i];
		uint64_t before = unwinder_stats(unwinder)->found_fps;

		if (!read_unstopped(arch, tid))
			continue;
		unwinder_run(unwinder, snapshot, &unstopped, &top);
		found += unwinder_stats(unwinder)->found_fps > before;
		if (!read_stopped(arch, tid))
			continue;
		unwinder_run(unwinder, snapshot, &stopped, &top);
		/* It moved between the two: no judge. */
		if (unstopped.frames[0].pc != stopped.frames[0].pc)
			continue;
		threads++;
		complete += unstopped.end == TRACE_ROOT;
		cut += unstopped.end != TRACE_ROOT && stopped.end == TRACE_ROOT;
		wrong += !agrees();
		if (!agrees() || (unstopped.end != TRACE_ROOT && stopped.end == TRACE_ROOT)) {
			printf("thread %d %s\n", tid, agrees() ? "cut" : "wrong");
			show("read", &unstopped);
			show("stopped", &stopped);
		}
	}
	printf("threads %u complete %u cut %u wrong %u found %u\n", threads, complete, cut, wrong,
	       found);
	process_tasks_deinit(&tasks);
	unwinder_free(unwinder);
	module_map_free(map);
	process_maps_deinit(&maps);
	tracee_set_free(set);
	process_close(process);
	free(snapshot);
	return wrong ? 1 : 0;
}
