/* SPDX-License-Identifier: Apache-2.0 */
/* The threads of a process: their states, who holds them, and which of them use the CPU. */
#include "session/session_doctor_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

#define LOOKS 50 /* reads of schedstat that are timed */

DEFINE_CLEANUP(struct process *, process_close)

pid_t doctor_tracer_process(pid_t tracer)
{
	_cleanup_free_ char *status = NULL;
	int64_t tgid = -1;

	if (process_status_read(tracer, &status) == 0)
		tgid = process_status_number(status, "Tgid", 10);
	return tgid > 0 ? (pid_t)tgid : tracer;
}

static void look_tracer(struct doctor_held *held)
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	struct process_stat stat;

	if (process_open(doctor_tracer_process(held->tracer), &process) < 0 ||
	    process_stat_read(process, &stat) < 0)
		return;
	held->tracer_state = stat.state;
	snprintf(held->tracer_name, sizeof(held->tracer_name), "%s", stat.name);
}

static void look_thread(struct doctor *doctor, pid_t tid)
{
	_cleanup_free_ char *stat_text = NULL, *status = NULL;
	struct process_stat stat;
	struct doctor_held held = {.tid = tid};
	int64_t tracer;
	char name[64];

	snprintf(name, sizeof(name), "task/%d/stat", (int)tid);
	if (process_file_read(doctor->process, name, &stat_text, NULL) < 0 ||
	    process_stat_parse(stat_text, &stat) < 0)
		return;
	snprintf(name, sizeof(name), "task/%d/status", (int)tid);
	if (process_file_read(doctor->process, name, &status, NULL) < 0)
		return;
	doctor->n_looked++;
	doctor->states[stat.state & 127]++;
	tracer = process_status_number(status, "TracerPid", 10);
	held.state = stat.state;
	held.tracer = tracer > 0 ? (pid_t)tracer : 0;
	doctor->n_stopped += stat.state == 'T' || stat.state == 't';
	doctor->n_traced += held.tracer != 0;
	if ((stat.state != 'T' && stat.state != 't' && !held.tracer) ||
	    doctor->n_held == DOCTOR_MAX_HELD)
		return;
	if (held.tracer)
		look_tracer(&held);
	doctor->held[doctor->n_held++] = held;
}

int doctor_look_threads(struct doctor *doctor)
{
	_cleanup_(process_tasks_deinit) struct process_tasks tasks = {};
	int r = process_tasks_read(doctor->process, &tasks);

	if (r < 0)
		return r;
	memset(doctor->states, 0, sizeof(doctor->states));
	doctor->n_looked = doctor->n_held = doctor->n_stopped = doctor->n_traced = 0;
	doctor->n_threads = (uint32_t)tasks.tids.n;
	for (size_t i = 0; i < MIN(tasks.tids.n, (size_t)DOCTOR_MAX_THREADS); i++)
		look_thread(doctor, tasks.tids.items[i]);
	return 0;
}

/* Run time of a thread, 0 when it is gone. */
static uint64_t run_time(const struct doctor *doctor, pid_t tid)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long run = 0;
	char name[64];

	snprintf(name, sizeof(name), "task/%d/schedstat", (int)tid);
	if (process_file_read(doctor->process, name, &text, NULL) < 0 ||
	    sscanf(text, "%llu", &run) != 1)
		return 0;
	return run;
}

/* As the sampler reads it: through a descriptor that stays open. */
static uint64_t time_of_look(const struct doctor *doctor)
{
	_cleanup_close_ int fd =
		openat(process_dirfd(doctor->process), "schedstat", O_RDONLY | O_CLOEXEC);
	uint64_t start = clock_now_ns();
	char text[128];

	for (unsigned i = 0; i < LOOKS; i++) {
		if (fd < 0 || pread(fd, text, sizeof(text), 0) <= 0)
			return 0;
	}
	return (clock_now_ns() - start) / LOOKS;
}

int doctor_watch_threads(struct doctor *doctor)
{
	_cleanup_(process_tasks_deinit) struct process_tasks tasks = {};
	_cleanup_free_ uint64_t *before = NULL;
	struct timespec wait = ns_timespec(DOCTOR_WATCH_NS);
	uint64_t start, cpu_start = 0, cpu_end = 0;
	size_t n;
	int r;

	doctor->look_ns = time_of_look(doctor);
	r = process_tasks_read(doctor->process, &tasks);
	if (r < 0)
		return r;
	n = MIN(tasks.tids.n, (size_t)DOCTOR_MAX_THREADS);
	before = calloc(n, sizeof(*before));
	if (!before)
		return err_trace(-ENOMEM);
	for (size_t i = 0; i < n; i++)
		before[i] = run_time(doctor, tasks.tids.items[i]);
	start = clock_now_ns();
	r = process_cpu_time(doctor->process, &cpu_start);
	(void)nanosleep(&wait, NULL);
	if (r == 0)
		r = process_cpu_time(doctor->process, &cpu_end);
	if (r < 0)
		return r;
	doctor->watched_ns = clock_now_ns() - start;
	doctor->cpu_ns = cpu_end - cpu_start;
	for (size_t i = 0; i < n; i++)
		doctor->n_busy += run_time(doctor, tasks.tids.items[i]) > before[i];
	return 0;
}
