/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that run: a few at a time are asked to stop; each is copied and released when it
 * comes, whichever comes first. What has not come when its time is over stays asked, is released
 * if it comes later, and by the end of this thread else.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/census_priv.h"
#include "tracee/tracee_wake.h"

/* Asked at once: they wait for CPUs anyway, and a stop is handled in some ten microseconds. */
#define TOGETHER 16
#define LIMIT (CENSUS_STOP_LIMIT_MS * NSEC_PER_MSEC)
/* SIGCHLD is one for many stops: never relied on alone. */
#define LOOK_EVERY NSEC_PER_MSEC
/* Room for the register block of any CPU. */
#define USER_WORDS 64

static struct census_thread *find(struct census *c, pid_t tid)
{
	for (size_t i = 0; i < c->running.n; i++) {
		struct census_thread *thread = &c->threads.items[c->running.items[i]];

		if (thread->tid == tid)
			return thread;
	}
	return NULL;
}

/* While it stands still. */
static void copy_stopped(struct census *c, struct census_thread *thread, const void *user)
{
	uint64_t sp = arch_user_word(user, c->arch->user_offset[c->arch->sp]);
	struct snapshot *snapshot;
	size_t wanted;
	bool same;

	if (arch_user_word(user, c->arch->user_mode) == c->arch->user_mode_32) {
		thread->how = CENSUS_NOT_64BIT;
		return;
	}
	snapshot = census_snapshot_new(c, thread, sp, SNAPSHOT_MAX_STACK, &wanted);
	if (!snapshot) {
		thread->how = CENSUS_NO_MEMORY;
		return;
	}
	arch_regs_load(c->arch, user, &snapshot->regs);
	snapshot->n_bytes = (uint32_t)process_read_stopped(
		thread->tid, &c->mark, snapshot->stack_addr, snapshot->bytes, wanted, &same);
	/* Who gave up reads what there is by now. */
	if (atomic_load(&c->gave_up))
		return;
	thread->call.nr = (int64_t)arch_user_word(user, c->arch->user_syscall);
	for (size_t i = 0; i < ARRAY_SIZE(thread->call.args); i++)
		thread->call.args[i] = arch_user_word(user, c->arch->user_args[i]);
	snapshot->syscall = thread->call.nr < 0 ? -1 : (int32_t)thread->call.nr;
	thread->snapshot = snapshot;
	thread->how = CENSUS_STOPPED;
}

static void on_stop(struct census *c, struct tracee_set *set, const struct tracee_event *event)
{
	struct census_thread *thread = find(c, event->tid);
	uint64_t user[USER_WORDS];

	c->stats.stops++;
	if (thread && tracee_registers(set, event->tid, c->arch, user) == 0) {
		struct source_mend mend =
			source_mend(set, event->tid, c->arch, user, c->process, &c->maps);

		c->stats.left_eintr += mend.repair == TRACEE_LEFT_EINTR;
		c->stats.cut_short += mend.cut_short;
		if (!thread->snapshot)
			copy_stopped(c, thread, user);
	}
	tracee_release(set, event->tid);
	c->stats.longest_stop_ns = MAX(c->stats.longest_stop_ns, clock_now_ns() - event->asked_ns);
	atomic_fetch_add(&c->progress, 1);
}

static void drain(struct census *c, struct tracee_set *set)
{
	struct tracee_event event;

	while (tracee_next(set, &event) || tracee_prune(set, &event)) {
		struct census_thread *thread = find(c, event.tid);

		if (event.kind == TRACEE_STOPPED)
			on_stop(c, set, &event);
		/* Ended; or found stopped by a signal, and left so. */
		else if (event.kind == TRACEE_LOST && thread && thread->how == CENSUS_LATE)
			(void)census_read_blocked(c, thread);
		if (atomic_load(&c->gave_up))
			return;
	}
}

/* Asks a thread to stop, unless it has blocked by now: then it is read. */
static void ask(struct census *c, struct tracee_set *set, struct census_thread *thread)
{
	int r;

	if (census_read_blocked(c, thread) != CENSUS_READ_RUNS)
		return;
	thread->how = CENSUS_LATE;
	r = tracee_stop(set, process_pid(c->process), thread->tid);
	switch (r) {
	case TRACEE_OK:
	case TRACEE_BUSY:
		break;
	case TRACEE_GONE:
		thread->how = CENSUS_GONE;
		break;
	case TRACEE_DENIED:
	case TRACEE_SHARED:
		thread->how = CENSUS_DENIED;
		break;
	default:
		thread->how = CENSUS_NO_MEMORY;
		break;
	}
}

static bool any_is_awaited(const struct census *c, size_t start, size_t end)
{
	for (size_t i = start; i < end; i++) {
		enum census_how how = c->threads.items[c->running.items[i]].how;

		if (how == CENSUS_LATE || how == CENSUS_DENIED)
			return true;
	}
	return false;
}

/* Another cprof that samples the process has a thread for microseconds only. */
static void ask_denied(struct census *c, struct tracee_set *set, size_t start, size_t end)
{
	for (size_t i = start; i < end; i++) {
		struct census_thread *thread = &c->threads.items[c->running.items[i]];

		if (thread->how == CENSUS_DENIED)
			ask(c, set, thread);
	}
}

/* Asks some threads, and waits until all of them have come or their time is over. */
static void stop_some(struct census *c, struct tracee_set *set, struct tracee_wake *wake,
		      size_t start, size_t end)
{
	uint64_t limit;

	for (size_t i = start; i < end; i++) {
		ask(c, set, &c->threads.items[c->running.items[i]]);
		drain(c, set);
	}
	limit = clock_now_ns() + LIMIT;
	while (any_is_awaited(c, start, end) && clock_now_ns() < limit &&
	       !atomic_load(&c->gave_up)) {
		tracee_wake_wait(wake, LOOK_EVERY);
		tracee_wake_take(wake);
		atomic_fetch_add(&c->progress, 1);
		drain(c, set);
		ask_denied(c, set, start, end);
	}
}

void census_stop_running(struct census *c)
{
	struct tracee_set *set = NULL;
	struct tracee_wake wake;

	if (c->running.n == 0 || tracee_set_new(&set) < 0)
		return;
	/* Without its descriptors it is looked for stops every LOOK_EVERY. */
	(void)tracee_wake_init(&wake);
	tracee_wake_hold(&wake, true);
	for (size_t i = 0; i < c->running.n && !atomic_load(&c->gave_up); i += TOGETHER)
		stop_some(c, set, &wake, i, MIN(i + TOGETHER, c->running.n));
	/* Of those that are late the kernel lets go with this thread, which ends now. */
	tracee_set_free(set);
	tracee_wake_deinit(&wake);
}
