/* SPDX-License-Identifier: Apache-2.0 */
/* What the findings of `cprof doctor` mean for a recording. */
#include "doctor_print.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

const char *doctor_obstacle(const struct doctor *d)
{
	if (d->stop_error == -EPERM)
		return "ptrace is forbidden even on a child of cprof: a seccomp filter, as of a "
		       "container, or kernel.yama.ptrace_scope 3";
	if (d->schedstat == DOCTOR_NO)
		return "the kernel counts no run time of threads: /proc/PID/schedstat is empty or "
		       "missing (CONFIG_SCHED_INFO)";
	if (d->stack_reads == DOCTOR_NO)
		return "process_vm_readv(2) is refused: a seccomp filter, as of a container, or a "
		       "kernel without CONFIG_CROSS_MEMORY_ATTACH";
	return NULL;
}

static bool has_all_names(const struct module_sources *s)
{
	return s->lines != MODULE_LINES_NONE ||
	       (s->names != MODULE_NAMES_NONE && s->names != MODULE_NAMES_DYNSYM);
}

static void limit(unsigned *n, bool print, const char *text, const char *subject)
{
	if (print)
		doctor_line(*n ? "" : "limits", "%s%s", subject, text);
	(*n)++;
}

static void judge_module(const struct doctor_module *m, unsigned *n, bool print)
{
	const struct module_sources *s = &m->sources;
	const char *path = module_path(m->module);

	if (!module_is_elf(m->module)) {
		limit(n, print, " cannot be read: neither names nor unwinding there", path);
		return;
	}
	if (!s->eh_frame && !s->debug_frame)
		limit(n, print,
		      " has no unwind tables: stacks through it go by frame pointers or end there",
		      path);
	if (!m->is_main || has_all_names(s))
		return;
	if (s->gopclntab)
		limit(n, print,
		      " is a stripped Go program: its functions have no names (.gopclntab is not "
		      "read yet)",
		      path);
	else
		limit(n, print,
		      s->names == MODULE_NAMES_NONE
			      ? ", the program, has no function names: install its debug symbols "
				"(Debian: the -dbgsym package)"
			      : ", the program, names exported functions only: install its debug "
				"symbols (Debian: the -dbgsym package)",
		      path);
}

/* Libraries that name exported functions only are the rule in every distribution: worth a note,
 * not an exit code. */
static void note_libraries(const struct doctor *d)
{
	unsigned poor = 0, all = 0;

	for (size_t i = 0; i < d->modules.n; i++) {
		const struct doctor_module *m = &d->modules.items[i];

		if (m->is_main || strcmp(module_path(m->module), "[vdso]") == 0)
			continue;
		all++;
		poor += !has_all_names(&m->sources);
	}
	if (poor)
		doctor_line("note",
			    "%u of %u libraries name exported functions only; their debug symbols "
			    "would add the others",
			    poor, all);
}

unsigned doctor_limits(const struct doctor *d, bool print)
{
	unsigned n = 0;

	if (d->frozen)
		limit(&n, print, "nothing is seen until the cgroup is thawed", "");
	if (d->n_stopped)
		limit(&n, print, "nothing is seen of stopped threads until they continue", "");
	if (d->n_traced > d->states['t'])
		limit(&n, print, "threads that another tracer has cannot be sampled", "");
	for (size_t i = 0; i < d->modules.n; i++)
		judge_module(&d->modules.items[i], &n, print);
	if (d->n_jit)
		limit(&n, print,
		      "code without a file (JIT?) has no names, and stacks through it go by frame "
		      "pointers",
		      "");
	if (print)
		note_libraries(d);
	return n;
}
