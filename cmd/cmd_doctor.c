/* SPDX-License-Identifier: Apache-2.0 */
/* cprof doctor: would a recording work, and is the process as it should be? */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cmd.h"
#include "doctor_cleanup.h"
#include "doctor_print.h"
#include "module/module.h"
#include "options.h"
#include "session/session_doctor.h"
#include "target.h"

#define RESUME_LIMIT (2 * NSEC_PER_SEC)
#define RESUME_LOOK (10 * NSEC_PER_MSEC)

DEFINE_CLEANUP(struct doctor *, doctor_free)

enum {
	OPTION_RESUME = 256,
	OPTION_CLEANUP,
};

static const struct option_row rows[] = {
	{'p', "pid", "PID", "look at this process", OPTION_PID},
	{'n', "name", "NAME", "look at the one process of this name", OPTION_NAME},
	{OPTION_RESUME, "resume", NULL, "continue it if a signal has stopped it (sends SIGCONT)"},
	{OPTION_CLEANUP, "cleanup", NULL,
	 "take out what a killed cprof has left in it of a heap profile"},
};

const struct option_table doctor_options = {
	.usage = "cprof doctor [OPTIONS] -p PID | -n NAME",
	.about =
		"Tells whether cprof record would work on a process and how well, without stopping "
		"it, and\nwhat holds the process if it is stopped.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.see = "cprof-doctor(1)",
};

/* Waits until no thread is stopped by a signal any more. */
static bool wait_until_continued(struct doctor *doctor)
{
	struct timespec pause = ns_timespec(RESUME_LOOK);
	uint64_t start = clock_now_ns();

	do {
		if (doctor_look_threads(doctor) < 0)
			return false;
		if (doctor->states['T'] == 0)
			return true;
		(void)nanosleep(&pause, NULL);
	} while (clock_now_ns() - start < RESUME_LIMIT);
	return false;
}

static void explain_tracer(const struct doctor *doctor)
{
	const struct doctor_held *held = NULL;
	int tracer;

	for (uint32_t i = 0; i < doctor->n_held && !held; i++) {
		if (doctor->held[i].tracer && doctor->held[i].state == 't')
			held = &doctor->held[i];
	}
	if (!held)
		return;
	tracer = (int)doctor_tracer_process(held->tracer);
	doctor_line(
		"resume",
		"not by cprof: %s, process %d, holds it. It goes on when that tracer lets it go, "
		"and when that tracer ends%s",
		held->tracer_name[0] ? held->tracer_name : "a tracer", tracer,
		held->tracer_state == 'T' ? "; it is stopped itself, see cprof doctor for it" : "");
}

static void resume(struct doctor *doctor)
{
	int r;

	if (doctor->frozen)
		doctor_line("resume", "not by cprof: thaw the cgroup (write 0 to cgroup.freeze)");
	explain_tracer(doctor);
	if (doctor->states['T'] == 0) {
		if (!doctor->n_stopped && !doctor->frozen)
			doctor_line("resume", "nothing is stopped: nothing was done");
		return;
	}
	doctor_line("resume", "sending SIGCONT to process %d", (int)doctor->pid);
	fflush(stdout);
	r = doctor_resume(doctor);
	if (r < 0)
		doctor_line("resume", "failed: %s", strerror(-r));
	else if (wait_until_continued(doctor))
		doctor_line("resume",
			    "process %d goes on: none of its %" PRIu32
			    " threads is stopped by a signal",
			    (int)doctor->pid, doctor->n_threads);
	else
		doctor_line("resume",
			    "process %d is still stopped, or again: something stops it, as a "
			    "terminal does with a background job that reads from it",
			    (int)doctor->pid);
}

static int examine(pid_t pid, bool with_resume)
{
	_cleanup_(doctor_free_cleanup) struct doctor *doctor = NULL;
	int r = module_sigbus_guard();
	unsigned limits;
	bool works;

	if (r == 0)
		r = doctor_new(pid, &doctor);
	if (r < 0) {
		fprintf(stderr, "cprof: cannot look at process %d: %s\n", (int)pid, strerror(-r));
		return CMD_FAILED;
	}
	if (doctor->target == SESSION_TARGET_SELF || doctor->target == SESSION_TARGET_GONE ||
	    !doctor->process || !doctor->n_threads) {
		fprintf(stderr, "cprof: ");
		target_explain(stderr, pid, doctor->target ? doctor->target : SESSION_TARGET_GONE,
			       doctor->target_other);
		return CMD_FAILED;
	}
	doctor_print(doctor);
	works = doctor->target == SESSION_TARGET_OK && !doctor_obstacle(doctor);
	limits = works ? doctor_limits(doctor, true) : 0;
	if (with_resume) {
		resume(doctor);
		limits = works ? doctor_limits(doctor, false) : 0;
	}
	doctor_line("verdict", "%s",
		    !works   ? "cprof record would not work"
		    : limits ? "cprof record would work, with limits"
			     : "cprof record would work");
	if (fflush(stdout) != 0) {
		fputs("cprof: cannot write to standard output.\n", stderr);
		return CMD_FAILED;
	}
	return !works ? CMD_FAILED : limits ? CMD_PARTIAL : CMD_OK;
}

int cmd_doctor(int argc, char **argv)
{
	const char *arg, *name = NULL;
	bool with_resume = false, with_cleanup = false;
	pid_t pid = 0;
	int id;

	while ((id = options_next(&doctor_options, argc, argv, &arg)) != OPTIONS_END) {
		switch (id) {
		case 'p':
			if (!target_parse_pid(arg, "-p", &pid))
				return CMD_USAGE;
			break;
		case 'n':
			name = arg;
			break;
		case OPTION_RESUME:
			with_resume = true;
			break;
		case OPTION_CLEANUP:
			with_cleanup = true;
			break;
		case OPTIONS_HELP:
			return CMD_OK;
		default:
			return CMD_USAGE;
		}
	}
	if (with_cleanup && with_resume) {
		fputs("cprof: --cleanup and --resume are two commands: give one of them.\n",
		      stderr);
		return CMD_USAGE;
	}
	if (optind != argc || !pid == !name) {
		fputs("cprof: give one of -p PID and -n NAME. See cprof doctor --help.\n", stderr);
		return CMD_USAGE;
	}
	if (name && !target_find(name, &pid))
		return CMD_FAILED;
	return with_cleanup ? doctor_clean_up(pid) : examine(pid, with_resume);
}
