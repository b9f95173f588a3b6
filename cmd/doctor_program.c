/* SPDX-License-Identifier: Apache-2.0 */
/* What `cprof doctor` prints of the program in the process, and of what a recording would cost. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "doctor_print.h"

#define DEFAULT_HZ 100
/* A sample with its registers and stack, as a multiple of a bare stop: 2 at 1000 Hz on an idle
 * machine (lib/README.md, "Pause"), up to 4.5 at 100 Hz on a busy one, when caches are cold. */
#define SAMPLE_FACTOR 2
#define SAMPLE_FACTOR_MAX 4

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

static void print_agent(const struct doctor *d)
{
	switch (d->remains) {
	case INJECT_REMAINS_NONE:
		break;
	case INJECT_REMAINS_CODE:
		doctor_line("agent", "code of an earlier heap profile is mapped, and not in use");
		break;
	case INJECT_REMAINS_IN_USE:
		if (d->target == SESSION_TARGET_SAMPLED)
			doctor_line("agent", "at work for a heap profile of process %" PRId64,
				    d->target_other);
		else
			doctor_line("agent", "left by a cprof that was killed; it does no harm. "
					     "The next heap profile takes it out, and --cleanup");
		break;
	case INJECT_REMAINS_OTHER:
		doctor_line("agent", "of another version of cprof, in use or left behind");
		break;
	}
}

void doctor_print_program(const struct doctor *d)
{
	print_agent(d);
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
		doctor_line("jit", "none: all executable memory%s has a file",
			    d->remains == INJECT_REMAINS_NONE ? "" : " but the agent's");
	if (d->perf_map_bytes >= 0)
		doctor_line("", "%s: %" PRId64 " bytes (cprof does not read perf maps yet)",
			    d->perf_map, d->perf_map_bytes);
}

void doctor_print_cost(const struct doctor *d)
{
	double cpus = d->watched_ns ? (double)d->cpu_ns / (double)d->watched_ns : 0;
	double most = MIN(d->n_cpus, d->n_busy);
	/* Percent: every tick stops a thread that is on a CPU. */
	double share = 100.0 * DEFAULT_HZ * (double)d->stop_p50_ns / 1e9;
	char p50[32], p99[32], low[32], high[32], look[32], late[64] = "";

	if (d->stop_error) {
		doctor_line("cost", "not measured: %s",
			    d->stop_error == -EBUSY ? "the CPUs are too busy"
						    : strerror(-d->stop_error));
		return;
	}
	format_duration(d->stop_p50_ns * SAMPLE_FACTOR, low);
	format_duration(d->stop_p50_ns * SAMPLE_FACTOR_MAX, high);
	if (cpus < 0.01)
		doctor_line("cost",
			    "nothing is stopped while it is idle, as now; a busy thread would be "
			    "stopped up to %u times per second for some %s to %s",
			    DEFAULT_HZ, low, high);
	else
		doctor_line("cost",
			    "at -F %u some %.0f stops per second of about %s to %s: %.2g to %.2g%% "
			    "of its CPU time",
			    DEFAULT_HZ, DEFAULT_HZ * MIN(cpus, most), low, high,
			    share * SAMPLE_FACTOR, share * SAMPLE_FACTOR_MAX);
	if (d->n_late_stops)
		snprintf(late, sizeof(late), "; %u that waited for a CPU left out",
			 d->n_late_stops);
	doctor_line(
		"",
		"an estimate: a bare stop of a child of cprof took p50 %s, p99 %s (%u stops%s);",
		format_duration(d->stop_p50_ns, p50), format_duration(d->stop_p99_ns, p99),
		d->n_stops, late);
	doctor_line("", "a sample takes two to four times that, more at 1000 frames and on a "
			"loaded machine");
	if (d->look_ns)
		doctor_line("",
			    "cprof itself: %s per tick to look at the busy thread%s, more if "
			    "others wake up",
			    format_duration(d->look_ns * MAX(d->n_busy, 1u), look),
			    d->n_busy == 1 ? "" : "s");
}
