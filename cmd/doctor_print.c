/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_print.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "target.h"

#define DEFAULT_HZ 100
/* A sample with its registers and stack, as a multiple of a bare stop; lib/README.md, "Pause". */
#define SAMPLE_FACTOR 2

void doctor_line(const char *label, const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	for (char *c = text; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	}
	printf("%-8s %s\n", label, text);
}

static const char *answer(enum doctor_answer value)
{
	switch (value) {
	case DOCTOR_YES:
		return "yes";
	case DOCTOR_NO:
		return "no";
	case DOCTOR_UNKNOWN:
		break;
	}
	return "cannot be told";
}

static const char *same(enum doctor_answer value)
{
	switch (value) {
	case DOCTOR_YES:
		return "as ours";
	case DOCTOR_NO:
		return "another";
	case DOCTOR_UNKNOWN:
		break;
	}
	return "cannot be told";
}

static void print_identity(const struct doctor *d)
{
	char inner[48] = "";

	if (d->inner_pid != d->pid)
		snprintf(inner, sizeof(inner), ", pid %d in its own namespace", (int)d->inner_pid);
	doctor_line("process", "%d %s, uid %" PRId64 "%s%s%s", (int)d->pid, d->name, d->uid, inner,
		    d->exe[0] ? ": " : "", d->exe);
}

static void print_attach(const struct doctor *d)
{
	const char *obstacle = doctor_obstacle(d);

	if (d->target != SESSION_TARGET_OK) {
		printf("%-8s no: ", "attach");
		target_explain(stdout, d->pid, d->target, d->target_other);
	} else if (obstacle) {
		doctor_line("attach", "no: %s", obstacle);
	} else {
		doctor_line("attach", "yes");
	}
}

static void print_rights(const struct doctor *d)
{
	static const char *const modes[] = {"none", "strict", "filter"};
	char yama[64] = "no Yama in this kernel", seccomp[48] = "cannot be told";
	const char *dumpable = d->euid == 0 ? "not told for root's processes" : answer(d->dumpable);

	if (d->yama >= 0)
		snprintf(yama, sizeof(yama), "kernel.yama.ptrace_scope %" PRId64, d->yama);
	doctor_line("rights", "ours: uid %u, %s CAP_SYS_PTRACE; %s", (unsigned)geteuid(),
		    d->privileged ? "with" : "without", yama);
	if (d->seccomp >= 0 && d->seccomp < (int64_t)ARRAY_SIZE(modes))
		snprintf(seccomp, sizeof(seccomp), "%s", modes[d->seccomp]);
	if (d->seccomp == 2 && d->seccomp_filters >= 0)
		snprintf(seccomp, sizeof(seccomp), "%" PRId64 " filter%s", d->seccomp_filters,
			 d->seccomp_filters == 1 ? "" : "s");
	doctor_line("", "the target's: dumpable %s; seccomp %s%s", dumpable, seccomp,
		    d->seccomp > 0 ? " (no obstacle: nothing is called in the target)" : "");
	if (d->same_mnt_ns == DOCTOR_UNKNOWN && d->same_pid_ns == DOCTOR_UNKNOWN)
		doctor_line("spaces", "cannot be told");
	else
		doctor_line("spaces", "pid %s, mount %s, user %s; root folder %s",
			    same(d->same_pid_ns), same(d->same_mnt_ns), same(d->same_user_ns),
			    same(d->same_root));
}

static void print_kernel(const struct doctor *d)
{
	doctor_line("kernel",
		    "schedstat %s, process_vm_readv %s, /proc/PID/syscall %s (not needed yet)",
		    answer(d->schedstat), answer(d->stack_reads), answer(d->syscall_file));
}

static void print_threads(const struct doctor *d)
{
	static const struct {
		char letter;
		const char *word;
	} words[] = {
		{'R', "runnable"},
		{'S', "sleeping"},
		{'D', "uninterruptible"},
		{'T', "stopped"},
		{'t', "in a tracing stop"},
		{'Z', "ended"},
		{'X', "ended"},
		{'I', "idle"},
	};
	char text[256] = "", used[32], watched[32];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		uint32_t count = d->states[(unsigned char)words[i].letter];

		if (count)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%" PRIu32 " %s (%c)",
					      n ? ", " : "", count, words[i].word, words[i].letter);
	}
	doctor_line("threads", "%" PRIu32 ": %s", d->n_threads, text);
	if (d->n_looked < d->n_threads)
		doctor_line("", "only %" PRIu32 " were looked at", d->n_looked);
	if (d->watched_ns)
		doctor_line("", "%" PRIu32 " of them used %s of CPU time within %s", d->n_busy,
			    format_duration(d->cpu_ns / 1000 * 1000, used),
			    format_duration(d->watched_ns / 1000000 * 1000000, watched));
}

void doctor_print_held(const struct doctor *d)
{
	uint32_t by_signal = d->states['T'];

	if (d->frozen)
		doctor_line("held", "the cgroup of the process is frozen");
	if (by_signal)
		doctor_line("held",
			    "%" PRIu32 " thread%s stopped by a signal (T): SIGSTOP, or SIGTSTP, "
			    "SIGTTIN or SIGTTOU of a terminal; the kernel does not note the sender",
			    by_signal, by_signal == 1 ? "" : "s");
	for (uint32_t i = 0; i < d->n_held; i++) {
		const struct doctor_held *held = &d->held[i];

		if (!held->tracer)
			continue;
		doctor_line(
			"held", "thread %d %s by %s, process %d, which is %s (%c)", (int)held->tid,
			held->state == 't' ? "is in a tracing stop (t)" : "is traced",
			held->tracer_name[0] ? held->tracer_name : "a tracer",
			(int)doctor_tracer_process(held->tracer),
			held->tracer_state == 'T' || held->tracer_state == 't' ? "stopped itself"
									       : "alive",
			held->tracer_state ? held->tracer_state : '?');
	}
	if (d->n_held == DOCTOR_MAX_HELD && d->n_stopped + d->n_traced > DOCTOR_MAX_HELD)
		doctor_line("", "and more");
}

static void print_libc(const struct doctor *d)
{
	static const char *const names[] = {
		[DOCTOR_LIBC_UNKNOWN] = "not recognized",
		[DOCTOR_LIBC_GLIBC] = "glibc",
		[DOCTOR_LIBC_MUSL] = "musl",
		[DOCTOR_LIBC_NONE_GO] = "none: Go makes its system calls itself",
	};
	bool mixed = d->go_version[0] && d->libc != DOCTOR_LIBC_NONE_GO;

	doctor_line("libc", "%s%s%s%s%s%s%s", names[d->libc], d->libc_version[0] ? " " : "",
		    d->libc_version,
		    d->libc_static && d->libc != DOCTOR_LIBC_NONE_GO ? ", linked statically" : "",
		    d->go_version[0] ? "; built by " : "", d->go_version[0] ? d->go_version : "",
		    mixed ? " with cgo" : "");
	if (d->rust)
		doctor_line("", "the program holds Rust code");
}

static void print_allocators(const struct doctor *d)
{
	static const char *const names[DOCTOR_ALLOCATORS] = {
		[DOCTOR_ALLOCATOR_JEMALLOC] = "jemalloc", [DOCTOR_ALLOCATOR_TCMALLOC] = "tcmalloc",
		[DOCTOR_ALLOCATOR_MIMALLOC] = "mimalloc", [DOCTOR_ALLOCATOR_GLIBC] = "glibc malloc",
		[DOCTOR_ALLOCATOR_MUSL] = "musl malloc",  [DOCTOR_ALLOCATOR_GO] = "Go runtime",
	};
	const struct module *override = d->malloc_override;
	const char *label = "malloc";
	bool named = false;

	for (unsigned i = 0; i < DOCTOR_ALLOCATORS; i++) {
		const struct module *m = d->allocators[i];
		bool is_libc = i == DOCTOR_ALLOCATOR_GLIBC || i == DOCTOR_ALLOCATOR_MUSL;

		if (!m || (is_libc && override))
			continue;
		doctor_line(label, "%s, in %s%s", names[i], module_path(m),
			    m == override ? ", which defines malloc in the place of libc's" : "");
		label = "";
		named = named || m == override;
	}
	if (override && !named)
		doctor_line(label, "an allocator of its own: %s defines malloc",
			    module_path(override));
	else if (!*label)
		return;
	else
		doctor_line(label, "not recognized");
}

static void print_module(const struct doctor_module *m)
{
	static const char *const names[] = {
		[MODULE_NAMES_NONE] = "no names",
		[MODULE_NAMES_DYNSYM] = "exported names only (.dynsym)",
		[MODULE_NAMES_SYMTAB] = "names from .symtab",
		[MODULE_NAMES_MINIDEBUG] = "names from .gnu_debugdata",
		[MODULE_NAMES_DEBUG_FILE] = "names from its debug file",
	};
	static const char *const lines[] = {
		[MODULE_LINES_NONE] = "no DWARF",
		[MODULE_LINES_OWN] = "DWARF inside",
		[MODULE_LINES_DEBUG_FILE] = "DWARF from its debug file",
	};
	const struct module_sources *s = &m->sources;
	const char *problem = module_problem(m->module);
	const char *cfi = s->eh_frame && s->debug_frame ? "unwinding by .eh_frame and .debug_frame"
			  : s->eh_frame                 ? "unwinding by .eh_frame"
			  : s->debug_frame              ? "unwinding by .debug_frame"
							: "no unwind tables";

	if (!module_is_elf(m->module)) {
		doctor_line("module", "%s: not usable: %s", module_path(m->module),
			    problem ? problem : "not an ELF file");
		return;
	}
	doctor_line("module", "%s: %s, %zu functions; %s; %s%s%s%s", module_path(m->module),
		    names[s->names], s->n_functions, lines[s->lines], cfi,
		    s->gopclntab ? "; Go's .gopclntab (not read yet)" : "", problem ? "; " : "",
		    problem ? problem : "");
	if (s->debug_path)
		doctor_line("", "debug file: %s", s->debug_path);
}

static void print_program(const struct doctor *d)
{
	if (d->modules_error) {
		doctor_line("modules", "cannot be read: %s", strerror(-d->modules_error));
		return;
	}
	print_libc(d);
	print_allocators(d);
	for (size_t i = 0; i < d->modules.n; i++)
		print_module(&d->modules.items[i]);
	if (d->n_jit || d->perf_map_bytes >= 0)
		doctor_line("jit",
			    "%" PRIu32 " executable mapping%s without a file, %" PRIu64 " KiB",
			    d->n_jit, d->n_jit == 1 ? "" : "s", d->jit_bytes >> 10);
	else
		doctor_line("jit", "none: all executable memory has a file");
	if (d->perf_map_bytes >= 0)
		doctor_line("", "%s: %" PRId64 " bytes (cprof does not read perf maps yet)",
			    d->perf_map, d->perf_map_bytes);
}

static void print_cost(const struct doctor *d)
{
	uint64_t pause = d->stop_p50_ns * SAMPLE_FACTOR;
	double cpus = d->watched_ns ? (double)d->cpu_ns / (double)d->watched_ns : 0;
	char p50[32], p99[32], one[32], sum[32], look[32], late[64] = "";

	if (d->stop_error) {
		doctor_line("cost", "not measured: %s",
			    d->stop_error == -EBUSY ? "the CPUs are too busy"
						    : strerror(-d->stop_error));
		return;
	}
	if (cpus < 0.01)
		doctor_line("cost",
			    "nothing is stopped while it is idle, as now; a busy thread would be "
			    "stopped up to %u times per second for some %s",
			    DEFAULT_HZ, format_duration(pause, one));
	else
		doctor_line(
			"cost",
			"at -F %u some %.0f stops per second of about %s: %s per second, %.2g%% "
			"of its CPU time",
			DEFAULT_HZ, DEFAULT_HZ * MIN(cpus, (double)d->n_cpus),
			format_duration(pause, one),
			format_duration((uint64_t)((double)pause * DEFAULT_HZ * cpus) / 1000 * 1000,
					sum),
			100.0 * DEFAULT_HZ * (double)pause / 1e9);
	if (d->n_late_stops)
		snprintf(late, sizeof(late), "; %u that waited for a CPU left out",
			 d->n_late_stops);
	doctor_line(
		"",
		"an estimate: a bare stop of a child of cprof took p50 %s, p99 %s (%u stops%s);",
		format_duration(d->stop_p50_ns, p50), format_duration(d->stop_p99_ns, p99),
		d->n_stops, late);
	doctor_line("", "a sample of up to 100 frames takes about twice that, of 1000 three times");
	if (d->look_ns)
		doctor_line("",
			    "cprof itself: %s per tick to look at the busy thread%s, more if "
			    "others wake up",
			    format_duration(d->look_ns * MAX(d->n_busy, 1u), look),
			    d->n_busy == 1 ? "" : "s");
}

void doctor_print(const struct doctor *d)
{
	print_identity(d);
	print_attach(d);
	print_rights(d);
	if (d->n_threads)
		print_threads(d);
	doctor_print_held(d);
	if (d->target == SESSION_TARGET_KERNEL || d->target == SESSION_TARGET_ZOMBIE)
		return;
	print_kernel(d);
	print_program(d);
	if (d->target == SESSION_TARGET_OK)
		print_cost(d);
}
