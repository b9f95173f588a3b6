/* SPDX-License-Identifier: Apache-2.0 */
#include "doctor_print.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "target.h"

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
		    "schedstat %s, process_vm_readv %s, /proc/PID/syscall %s (for wall time)",
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
	doctor_print_program(d);
	if (d->target == SESSION_TARGET_OK)
		doctor_print_cost(d);
}
