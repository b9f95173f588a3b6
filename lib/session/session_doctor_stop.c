/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stop costs on this machine, now: a child of our own that computes is interrupted, waited
 * for and released, like a thread of a target but without registers and stack. Also the proof that
 * ptrace(2) is not forbidden altogether, as in some containers.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/hist.h"
#include "session/session_doctor_priv.h"
#include "tracee/tracee.h"

#define STOPS 50
#define STOP_LIMIT (200 * NSEC_PER_MSEC)
#define STOP_GAP_US 500
#define MEASURE_LIMIT (400 * NSEC_PER_MSEC)
#define STOPS_NEEDED 5

DEFINE_CLEANUP(struct process *, process_close)
DEFINE_CLEANUP(struct tracee_set *, tracee_set_free)

static _Noreturn void spin(pid_t parent)
{
	/* Not left behind whatever ends us; the second question covers an end before the call. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		;
	_exit(0);
}

/* How often the child was put on a CPU: the third field of schedstat. */
static unsigned long long slices(const struct process *process)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long n = 0;

	if (process_file_read(process, "schedstat", &text, NULL) == 0)
		(void)sscanf(text, "%*u %*u %llu", &n);
	return n;
}

/* Where the CPUs are busy the child often waits for one, and a stop then waits with it. The sampler
 * chooses threads that are on a CPU, so those stops are counted apart. */
static int measure(pid_t child, struct hist *hist, unsigned *ret_late)
{
	_cleanup_(tracee_set_free_cleanup) struct tracee_set *set = NULL;
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	struct tracee_event event;
	unsigned late = 0;
	uint64_t start = clock_now_ns();
	int r = process_open(child, &process);

	if (r >= 0)
		r = tracee_set_new(&set);
	if (r < 0)
		return err_trace(r);
	while (hist->count < STOPS && clock_now_ns() - start < MEASURE_LIMIT) {
		unsigned long long before;
		uint64_t took, released;
		bool waited;

		usleep(STOP_GAP_US);
		before = slices(process);
		r = tracee_stop(set, child, child);
		if (r != TRACEE_OK)
			return r < 0 ? err_trace(r) : -EPERM;
		if (!tracee_poll(set, STOP_LIMIT, &event) || event.kind != TRACEE_STOPPED)
			return -ETIMEDOUT;
		took = clock_now_ns() - event.asked_ns;
		/* Read while it is stopped: going on counts as being put on a CPU again. */
		waited = slices(process) != before;
		released = clock_now_ns();
		tracee_release(set, event.tid);
		took += clock_now_ns() - released;
		if (waited)
			late++;
		else
			hist_add(hist, took);
	}
	*ret_late = late;
	return hist->count >= STOPS_NEEDED ? 0 : -EBUSY;
}

/* Us on the CPU where we are, the child on the others: a wake-up here must not take its CPU away.
 * Without a second CPU, or more than a cpu_set_t holds, all stays as it is. */
static void part_from(pid_t child, const cpu_set_t *allowed)
{
	cpu_set_t here, others = *allowed;
	int cpu = sched_getcpu();

	if (cpu < 0 || cpu >= CPU_SETSIZE)
		return;
	CPU_ZERO(&here);
	CPU_SET((unsigned)cpu, &here);
	CPU_CLR((unsigned)cpu, &others);
	if (CPU_COUNT(&others) > 0 && sched_setaffinity(child, sizeof(others), &others) == 0)
		(void)sched_setaffinity(0, sizeof(here), &here);
}

void doctor_measure_stop(struct doctor *doctor)
{
	_cleanup_free_ struct hist *hist = calloc(1, sizeof(*hist));
	int nice = getpriority(PRIO_PROCESS, 0);
	pid_t self = getpid(), child;
	cpu_set_t allowed;
	bool placed;

	if (!hist) {
		doctor->stop_error = -ENOMEM;
		return;
	}
	child = fork();
	if (child < 0) {
		doctor->stop_error = err_errno();
		return;
	}
	if (child == 0)
		spin(self);
	/* As the sampler, where that is permitted; the child too, so that it has a CPU. */
	(void)setpriority(PRIO_PROCESS, 0, PRIO_MIN);
	(void)setpriority(PRIO_PROCESS, (id_t)child, PRIO_MIN);
	placed = sched_getaffinity(0, sizeof(allowed), &allowed) == 0;
	if (placed)
		part_from(child, &allowed);
	doctor->stop_error = measure(child, hist, &doctor->n_late_stops);
	if (placed)
		(void)sched_setaffinity(0, sizeof(allowed), &allowed);
	(void)setpriority(PRIO_PROCESS, 0, nice);
	kill(child, SIGKILL);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	doctor->n_stops = (unsigned)hist->count;
	doctor->stop_p50_ns = hist_quantile(hist, 0.5);
	doctor->stop_p99_ns = hist_quantile(hist, 0.99);
}
