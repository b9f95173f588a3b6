/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our unwinder beside libdwfl and libunwind-ptrace, on the same stopped threads.
 *
 *	compare_unwind PID STOPS [SHOWN]
 *
 * Stops threads of a process at random instants, unwinds each stop with all three while it is held,
 * and compares the pcs. Differences are counted by cause: a pc in the vDSO, a pc without CFI
 * (where ours follows the frame pointer), a bounded copy, the other one giving up early, or none of
 *these
 * ("unexplained"; the first SHOWN are printed). Also prints the time per frame of each, warm.
 */
#include <elfutils/libdwfl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "process/process.h"
#include "snapshot/snapshot.h"
#include "tracee/tracee.h"
#include "tracee/tracee_unwind.h"
#include "unwind/unwind.h"

enum cause {
	SAME,
	VDSO,
	NO_CFI,
	CUT,     /* our copy of the stack was bounded */
	SHORTER, /* the other one gives up on the way; ours reaches the root */
	UNEXPLAINED,
	CAUSES,
};

static const char *const cause_names[] = {"same",      "vDSO",       "no CFI",
					  "stack cut", "ends early", "unexplained"};

struct judge {
	const char *name;
	struct trace trace;
	uint64_t ns, frames;
	uint64_t causes[CAUSES];
};

static struct judge ours = {.name = "cprof"}, dwfl_judge = {.name = "libdwfl"},
		    unw_judge = {.name = "libunwind"};

static char *debuginfo_path;
static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.debuginfo_path = &debuginfo_path,
};

static int on_frame(Dwfl_Frame *frame, void *user)
{
	struct trace *trace = user;
	Dwarf_Addr pc;
	bool exact;

	if (trace->n_frames == TRACE_MAX_FRAMES || !dwfl_frame_pc(frame, &pc, &exact))
		return DWARF_CB_ABORT;
	if (pc)
		trace->frames[trace->n_frames++] = (struct frame){.pc = pc, .exact = exact};
	return DWARF_CB_OK;
}

static Dwfl *open_dwfl(pid_t pid)
{
	Dwfl *dwfl = dwfl_begin(&callbacks);

	dwfl_report_begin(dwfl);
	if (dwfl_linux_proc_report(dwfl, pid) != 0 || dwfl_report_end(dwfl, NULL, NULL) != 0 ||
	    dwfl_linux_proc_attach(dwfl, pid, true) != 0) {
		fprintf(stderr, "libdwfl: %s\n", dwfl_errmsg(-1));
		exit(1);
	}
	return dwfl;
}

static void take_snapshot(struct process *process, const struct tracee_set *set, pid_t tid,
			  struct snapshot *snapshot)
{
	const struct arch *arch = arch_native();
	struct process_maps maps = {};
	const struct process_mapping *m;
	uint64_t user[64], sp;
	ssize_t n;

	memset(snapshot, 0, sizeof(*snapshot));
	if (tracee_registers(set, tid, arch, user) != 0 || process_maps_read(process, &maps) < 0)
		return;
	arch_regs_load(arch, user, &snapshot->regs);
	sp = snapshot->regs.values[arch->sp];
	m = process_maps_find(&maps, sp);
	if (m) {
		snapshot->stack_end = m->end;
		snapshot->stack_addr = MAX(sp - arch->red_zone, m->start);
		n = process_read(process, snapshot->stack_addr, snapshot->bytes,
				 MIN(m->end - snapshot->stack_addr, (uint64_t)SNAPSHOT_MAX_STACK));
		snapshot->n_bytes = n > 0 ? (uint32_t)n : 0;
	}
	process_maps_deinit(&maps);
}

static enum cause compare(const struct module_map *map, const struct judge *other, bool by_fp)
{
	const struct trace *a = &ours.trace, *b = &other->trace;
	bool prefix = true;

	for (uint32_t i = 0; i < a->n_frames && i < b->n_frames && prefix; i++)
		prefix = a->frames[i].pc == b->frames[i].pc;
	if (prefix && a->n_frames == b->n_frames)
		return SAME;
	for (uint32_t i = 0; i < a->n_frames; i++) {
		const struct module_mapping *m =
			module_map_find(map, frame_lookup_pc(&a->frames[i]));

		if (m && strcmp(module_path(m->module), "[vdso]") == 0)
			return VDSO;
	}
	if (by_fp || a->end == TRACE_NO_CFI)
		return NO_CFI;
	if (a->end == TRACE_CUT || a->end == TRACE_DEPTH)
		return CUT;
	return prefix && b->n_frames < a->n_frames && a->end == TRACE_ROOT ? SHORTER : UNEXPLAINED;
}

static void show(const struct judge *judge, const struct module_map *map)
{
	printf("  %s (%s):\n", judge->name, trace_end_name(judge->trace.end));
	for (uint32_t i = 0; i < judge->trace.n_frames && i < 40; i++) {
		const struct frame *frame = &judge->trace.frames[i];
		const struct module_mapping *m = module_map_find(map, frame_lookup_pc(frame));
		struct module_symbol symbol = {.name = "?"};

		if (m)
			module_symbol_at(m->module, frame_lookup_pc(frame), &symbol);
		printf("    %#lx %s\n", (unsigned long)frame->pc, symbol.name);
	}
}

static void judge_stop(struct module_map *map, struct unwinder *unwinder, Dwfl *dwfl,
		       struct tracee_unwinder *unw, pid_t tid, const struct snapshot *snapshot,
		       unsigned *shown)
{
	struct judge *others[] = {&dwfl_judge, &unw_judge};
	uint64_t t0, t1, t2, t3, top, fp_before = unwinder_stats(unwinder)->fp_frames;

	unwinder_run(unwinder, snapshot, &ours.trace, &top);
	if (ours.trace.end != TRACE_ROOT && module_map_refresh(map) > MODULE_REFRESH_SAME)
		unwinder_forget(unwinder);
	fp_before = unwinder_stats(unwinder)->fp_frames;
	/* The second run is the warm one. */
	t0 = clock_now_ns();
	unwinder_run(unwinder, snapshot, &ours.trace, &top);
	t1 = clock_now_ns();
	dwfl_judge.trace.n_frames = 0;
	dwfl_getthread_frames(dwfl, tid, on_frame, &dwfl_judge.trace);
	t2 = clock_now_ns();
	if (tracee_unwinder_run(unw, tid, &unw_judge.trace) < 0)
		exit(1);
	t3 = clock_now_ns();
	ours.ns += t1 - t0;
	dwfl_judge.ns += t2 - t1;
	unw_judge.ns += t3 - t2;
	ours.frames += ours.trace.n_frames;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		enum cause cause =
			compare(map, others[i], unwinder_stats(unwinder)->fp_frames > fp_before);

		others[i]->frames += others[i]->trace.n_frames;
		others[i]->causes[cause]++;
		if (cause == UNEXPLAINED && *shown) {
			--*shown;
			printf("thread %d, unexplained difference to %s:\n", tid, others[i]->name);
			show(&ours, map);
			show(others[i], map);
		}
	}
}

static void report(const struct judge *judge, uint64_t stops)
{
	printf("%-10s %7.0f ns per frame", judge->name,
	       judge->frames ? (double)judge->ns / (double)judge->frames : 0);
	for (int cause = 0; cause < CAUSES && judge != &ours; cause++) {
		if (judge->causes[cause])
			printf("  %s %lu (%.3f%%)", cause_names[cause],
			       (unsigned long)judge->causes[cause],
			       100.0 * (double)judge->causes[cause] / (double)stops);
	}
	putchar('\n');
}

static pid_t choose(struct process *process)
{
	struct process_tasks tasks = {};
	pid_t tid = 0;

	if (process_tasks_read(process, &tasks) == 0 && tasks.tids.n)
		tid = tasks.tids.items[(size_t)random() % tasks.tids.n];
	process_tasks_deinit(&tasks);
	return tid;
}

int main(int argc, char **argv)
{
	struct tracee_unwinder *unw;
	struct unwinder *unwinder;
	struct tracee_event event;
	struct snapshot *snapshot = malloc(sizeof(*snapshot) + SNAPSHOT_MAX_STACK);
	struct process *process;
	struct tracee_set *set;
	struct module_map *map;
	uint64_t stops, done = 0, shown64 = 3;
	unsigned shown;
	sigset_t signals;
	pid_t pid;
	Dwfl *dwfl;

	if (argc < 3 || parse_u64(argv[2], 1, 10000000, &stops) < 0 ||
	    (argc > 3 && parse_u64(argv[3], 0, 100, &shown64) < 0))
		return 64;
	pid = (pid_t)atoi(argv[1]);
	shown = (unsigned)shown64;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	if (!snapshot || process_open(pid, &process) < 0 || tracee_set_new(&set) < 0 ||
	    module_map_new(process, &map) < 0 || module_map_refresh(map) < 0 ||
	    unwinder_new(map, arch_native(), &unwinder) < 0 || tracee_unwinder_new(&unw) < 0) {
		fprintf(stderr, "compare_unwind: cannot open process %d\n", pid);
		return 2;
	}
	dwfl = open_dwfl(pid);
	srandom((unsigned)pid);
	for (uint64_t tries = 0; done < stops && tries < 4 * stops; tries++) {
		pid_t tid = choose(process);

		/* Between stops it runs for a random while, so that no two are alike. */
		usleep((useconds_t)(random() % 2000));
		if (!tid || tracee_stop(set, pid, tid) != TRACEE_OK)
			continue;
		if (!tracee_poll(set, NSEC_PER_SEC, &event))
			break;
		if (event.kind != TRACEE_STOPPED)
			continue;
		take_snapshot(process, set, event.tid, snapshot);
		judge_stop(map, unwinder, dwfl, unw, event.tid, snapshot, &shown);
		tracee_release(set, event.tid);
		done++;
	}
	printf("%lu stops of process %d, %.1f frames each\n", (unsigned long)done, pid,
	       done ? (double)ours.frames / (double)done : 0);
	report(&ours, done);
	report(&dwfl_judge, done);
	report(&unw_judge, done);
	dwfl_end(dwfl);
	tracee_unwinder_free(unw);
	unwinder_free(unwinder);
	module_map_free(map);
	tracee_set_free(set);
	process_close(process);
	free(snapshot);
	return done < stops ? 1 : 0;
}
