/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that stand still for us, and whether they are inside the agent. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "inject/inject_priv.h"
#include "tracee/tracee_call.h"

/* A stop comes within microseconds of CPU time; what takes longer is in the kernel. */
#define STOP_LIMIT (20 * NSEC_PER_MSEC)
/* How long threads are asked for again that another thread of this process has: a sampler has each
 * for some microseconds. */
#define SHARED_LIMIT (NSEC_PER_SEC / 2)
/* How often it is looked for stops, which SIGCHLD does not tell one by one. */
#define LOOK_EVERY (NSEC_PER_MSEC / 4)
/* Who wakes while the others are collected is met by the second. */
#define STOP_PASSES 2
/* Room that a stack must have below sp for what is put there. */
#define STACK_ROOM (4UL * TRACEE_FRAME_MAX)
#define PICK_TRIES 20
#define OUTSIDE_TRIES 500
#define SCAN_MAX (8UL << 20)
#define SCAN_STEP 65536

static uint64_t user_reg(const struct inject *inject, const uint64_t *user, unsigned reg)
{
	return arch_user_word(user, inject->arch->user_offset[reg]);
}

static void release(struct inject *inject, pid_t tid)
{
	uint64_t user[TRACEE_USER_WORDS];

	if (tracee_registers(inject->set, tid, inject->arch, user) == 0) {
		bool plain = tracee_needs_restart_syscall(inject->arch, user) &&
			     process_thread_is_filtered(tid);

		if (tracee_repair(inject->set, tid, inject->arch, user, plain) == TRACEE_LEFT_EINTR)
			inject->stats.left_eintr++;
	}
	tracee_release(inject->set, tid);
}

/* Waits for one stop. Returns its thread, 0 when there is none in time. */
static pid_t next_stop(struct inject *inject, uint64_t until)
{
	struct tracee_event event;

	do {
		tracee_wake_take(&inject->wake);
		while (tracee_next(inject->set, &event) || tracee_prune(inject->set, &event)) {
			if (event.kind == TRACEE_STOPPED)
				return event.tid;
		}
		if (!tracee_held(inject->set))
			break;
		tracee_wake_wait(&inject->wake, LOOK_EVERY);
	} while (clock_now_ns() < until);
	tracee_wake_hold(&inject->wake, tracee_held(inject->set) > 0);
	return 0;
}

static bool is_stopped(const struct inject *inject, pid_t tid)
{
	for (size_t i = 0; i < inject->stopped.n; i++) {
		if (inject->stopped.items[i] == tid)
			return true;
	}
	return false;
}

static int ask(struct inject *inject, pid_t tid)
{
	/* Until the set is empty: what is read of SIGCHLD before is of another stop. */
	tracee_wake_hold(&inject->wake, true);
	if (!inject->asked_at)
		inject->asked_at = clock_now_ns();
	return tracee_stop(inject->set, process_pid(inject->process), tid);
}

/* Does it run, as far as we can tell? What another thread of ours has stopped may go on at any
 * moment. */
static bool runs(struct inject *inject, pid_t tid, bool *ret_shared)
{
	struct process_syscall call;
	int r = process_syscall_read(inject->process, tid, &call);

	if (r == 0 && call.nr < 0)
		*ret_shared |= tracee_is_shared(inject->set, tid);
	return r == PROCESS_SYSCALL_RUNNING;
}

/* Leaves those that run in inject->tasks. */
static int find_running(struct inject *inject, bool *ret_shared)
{
	pid_t *tids;
	size_t n = 0;

	if (process_tasks_read(inject->process, &inject->tasks) < 0)
		return -ESRCH;
	tids = inject->tasks.tids.items;
	for (size_t i = 0; i < inject->tasks.tids.n; i++) {
		if (!is_stopped(inject, tids[i]) && runs(inject, tids[i], ret_shared))
			tids[n++] = tids[i];
	}
	inject->tasks.tids.n = n;
	return 0;
}

/* Asks every thread that runs to stop. Returns how many, or an error. */
static int ask_running(struct inject *inject, bool *ret_denied, bool *ret_shared)
{
	/* First: nobody is to stand still while they are looked for. */
	int asked = 0, r = find_running(inject, ret_shared);

	if (r < 0)
		return r;
	for (size_t i = 0; i < inject->tasks.tids.n; i++) {
		r = ask(inject, inject->tasks.tids.items[i]);
		if (r < 0)
			return r;
		*ret_denied |= r == TRACEE_DENIED;
		*ret_shared |= r == TRACEE_SHARED;
		asked += r == TRACEE_OK;
	}
	return asked;
}

static int collect(struct inject *inject, uint64_t until)
{
	pid_t tid;

	while (inject->stopped.n < tracee_held(inject->set) && (tid = next_stop(inject, until))) {
		pid_t *slot = vec_push(&inject->stopped);

		if (!slot) {
			release(inject, tid);
			return err_trace(-ENOMEM);
		}
		*slot = tid;
	}
	return 0;
}

/* Returns how long the first one was kept. */
static uint64_t let_go(struct inject *inject)
{
	uint64_t asked_at = inject->asked_at;

	for (size_t i = 0; i < inject->stopped.n; i++)
		release(inject, inject->stopped.items[i]);
	inject->stopped.n = 0;
	return asked_at ? clock_now_ns() - asked_at : 0;
}

void inject_release_late(struct inject *inject, uint64_t ns)
{
	uint64_t until = clock_now_ns() + ns;
	pid_t tid;

	while (tracee_held(inject->set) && (tid = next_stop(inject, until)))
		release(inject, tid);
}

static int stop_running(struct inject *inject)
{
	bool denied = false, shared = false;
	int r = 0, asked;

	for (unsigned pass = 0; pass < STOP_PASSES && r >= 0; pass++) {
		asked = ask_running(inject, &denied, &shared);
		r = asked < 0 ? asked : collect(inject, clock_now_ns() + STOP_LIMIT);
		if (asked <= 0 || denied || shared)
			break;
	}
	if (r == -ESRCH)
		return INJECT_GONE;
	if (r < 0)
		return err_trace(r);
	return denied ? INJECT_DENIED : shared ? INJECT_SHARED : INJECT_OK;
}

/* Returns likewise, and never with a thread that stands still. */
static int try_stopped(struct inject *inject, void (*then)(struct inject *inject), uint64_t *ret_ns)
{
	int r;

	inject->asked_at = 0;
	r = stop_running(inject);
	if (r == INJECT_OK)
		then(inject);
	*ret_ns = let_go(inject);
	inject_release_late(inject, STOP_LIMIT);
	return r;
}

int inject_stopped(struct inject *inject, void (*then)(struct inject *inject), uint64_t *ret_ns)
{
	uint64_t until = clock_now_ns() + SHARED_LIMIT;
	struct timespec pause = ns_timespec(LOOK_EVERY);
	int r;

	for (;;) {
		r = try_stopped(inject, then, ret_ns);
		if (r != INJECT_SHARED || clock_now_ns() >= until)
			break;
		nanosleep(&pause, NULL);
	}
	tracee_wake_hold(&inject->wake, tracee_held(inject->set) > 0);
	return r;
}

int inject_use_one(struct inject *inject, void (*then)(struct inject *inject), uint64_t *ret_ns)
{
	bool ignored = false;

	if (find_running(inject, &ignored) < 0)
		return INJECT_GONE;
	if (inject->tasks.tids.n > (size_t)sysconf(_SC_NPROCESSORS_ONLN))
		return inject_stopped(inject, then, ret_ns);
	inject->asked_at = 0;
	then(inject);
	*ret_ns = let_go(inject);
	inject_release_late(inject, STOP_LIMIT);
	tracee_wake_hold(&inject->wake, tracee_held(inject->set) > 0);
	return INJECT_OK;
}

/* Calls that a stop cannot end: the kernel starts them again by itself, see arch_x86_64.c. */
static bool may_interrupt(const struct inject *inject, const struct process_syscall *call)
{
	static const char *const restarted[] = {
		"poll",
		"ppoll",
		"select",
		"pselect6",
		"futex",
		"nanosleep",
		"wait4",
		"waitid",
		"pause",
		"read",
		"clock_nanosleep",
		"rt_sigsuspend",
		"restart_syscall",
	};
	const struct arch_restart *restart;

	if (call->nr < 0)
		return false;
	restart = arch_restart_find(inject->arch, (int)call->nr);
	if (restart && restart->only_if == ARCH_RESTART_ALWAYS)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(restarted); i++) {
		if (strcmp(arch_syscall_name(inject->arch, (int)call->nr), restarted[i]) == 0)
			return true;
	}
	return false;
}

/* Is sp on the stack that the thread was given, with room below? Not on that of a coroutine or of
 * signal handlers: the stack of the first thread is marked by the kernel; that of others has the
 * thread's own variables at its upper end (glibc nptl/allocatestack.c, musl pthread_create.c). */
static bool has_stack(struct inject *inject, const uint64_t *user)
{
	uint64_t sp = user_reg(inject, user, inject->arch->sp);
	uint64_t tp = arch_user_word(user, inject->arch->user_tp);
	const struct process_mapping *m = process_maps_find(&inject->maps, sp);

	if (!m || !m->write || sp - m->start < STACK_ROOM ||
	    arch_user_word(user, inject->arch->user_mode) == inject->arch->user_mode_32)
		return false;
	if (strcmp(process_mapping_path(&inject->maps, m), "[stack]") == 0)
		return true;
	return tp > sp && tp < m->end;
}

static bool is_fit(struct inject *inject, pid_t tid)
{
	uint64_t user[TRACEE_USER_WORDS];

	return tracee_registers(inject->set, tid, inject->arch, user) == 0 &&
	       has_stack(inject, user);
}

/* Stops one more thread, which is kept if it is fit. */
static bool try_one(struct inject *inject, pid_t tid, bool *ret_denied)
{
	int r = ask(inject, tid);
	pid_t came, *slot;

	*ret_denied |= r == TRACEE_DENIED;
	if (r != TRACEE_OK)
		return false;
	while ((came = next_stop(inject, clock_now_ns() + STOP_LIMIT))) {
		slot = came == tid && is_fit(inject, tid) ? vec_push(&inject->stopped) : NULL;
		if (slot) {
			*slot = tid;
			return true;
		}
		release(inject, came);
		if (came == tid)
			break;
	}
	if (!inject->stopped.n)
		inject->asked_at = 0;
	return false;
}

/* Those that run come first: no call of theirs has to be started again. */
static bool find_one(struct inject *inject, bool waiting, bool *ret_denied, pid_t *ret_tid)
{
	for (size_t i = 0; i < inject->tasks.tids.n; i++) {
		pid_t tid = inject->tasks.tids.items[i];
		struct process_syscall call;
		int r = process_syscall_read(inject->process, tid, &call);

		if (is_stopped(inject, tid) ||
		    (waiting ? r != 0 || !may_interrupt(inject, &call)
			     : r != PROCESS_SYSCALL_RUNNING) ||
		    !try_one(inject, tid, ret_denied))
			continue;
		*ret_tid = tid;
		return true;
	}
	return false;
}

int inject_pick(struct inject *inject, unsigned n, pid_t *ret_tid)
{
	struct timespec pause = ns_timespec(NSEC_PER_MSEC);
	bool denied = false;

	for (size_t i = 0; i < inject->stopped.n; i++) {
		if (is_fit(inject, inject->stopped.items[i]) && n-- == 0) {
			*ret_tid = inject->stopped.items[i];
			return INJECT_OK;
		}
	}
	for (unsigned tries = 0; tries < PICK_TRIES; tries++) {
		if (inject_is_gone(inject) ||
		    process_tasks_read(inject->process, &inject->tasks) < 0)
			return INJECT_GONE;
		if (find_one(inject, false, &denied, ret_tid) ||
		    find_one(inject, true, &denied, ret_tid))
			return INJECT_OK;
		/* The next time: nobody is to stand still for a search. */
		if (inject->stopped.n)
			break;
		nanosleep(&pause, NULL);
		/* A stack that was made meanwhile. */
		process_maps_deinit(&inject->maps);
		if (process_maps_read(inject->process, &inject->maps) < 0)
			return INJECT_GONE;
	}
	return denied ? INJECT_DENIED : INJECT_NO_THREAD;
}

/* Is it in the code, or in a signal handler that interrupted it there? Handlers return to
 * resume_pc, and what they interrupted is above that on their stack. Elsewhere on a stack old words
 * lie. */
static bool leads_inside(struct inject *inject, uint64_t pc, uint64_t sp)
{
	const struct process_mapping *m = process_maps_find(&inject->maps, sp);
	uint64_t end = inject->code + agent_image_size, words[SCAN_STEP / 8];
	bool handler = false;

	if (pc >= inject->code && pc < end)
		return true;
	if (!m)
		return true;
	for (uint64_t at = sp & ~7ULL; at < m->end && at - sp < SCAN_MAX; at += sizeof(words)) {
		ssize_t n =
			process_read(inject->process, at, words, MIN(sizeof(words), m->end - at));

		for (ssize_t i = 0; i < n / 8; i++) {
			handler |= words[i] == inject->resume_pc;
			if (handler && words[i] >= inject->code && words[i] < end)
				return true;
		}
	}
	return false;
}

/* Does a call use the wire that began before it was taken out of use? */
static bool is_wire_used(struct inject *inject)
{
	uint64_t inside;

	return process_read(inject->process, inject->wire + offsetof(struct agent_head, inside),
			    &inside, sizeof(inside)) != sizeof(inside) ||
	       inside != 0;
}

static bool is_inside(struct inject *inject, pid_t tid)
{
	struct process_turns before, after;
	uint64_t user[TRACEE_USER_WORDS];
	struct process_syscall call;
	bool inside = true;
	pid_t came;
	int r;

	r = process_turns_read(inject->process, tid, &before);
	if (r == -ESRCH)
		return false;
	r = process_syscall_read(inject->process, tid, &call);
	if (r == PROCESS_SYSCALL_GONE)
		return false;
	if (r == 0) {
		inside = leads_inside(inject, call.pc, call.sp);
		r = process_turns_read(inject->process, tid, &after);
		/* It has moved meanwhile: look again. */
		return inside || r < 0 || before.run_ns != after.run_ns ||
		       before.slices != after.slices;
	}
	if (ask(inject, tid) != TRACEE_OK)
		return true;
	while ((came = next_stop(inject, clock_now_ns() + STOP_LIMIT))) {
		if (came == tid && tracee_registers(inject->set, tid, inject->arch, user) == 0)
			inside = leads_inside(inject, user_reg(inject, user, inject->arch->pc),
					      user_reg(inject, user, inject->arch->sp));
		release(inject, came);
		if (came == tid)
			break;
	}
	return inside;
}

bool inject_await_outside(struct inject *inject)
{
	struct timespec pause = ns_timespec(NSEC_PER_MSEC);
	struct process_tasks *left = &inject->checked;

	/* Who begins from here on begins outside; who was seen outside cannot come in any more. */
	if (process_tasks_read(inject->process, left) < 0)
		return false;
	for (unsigned tries = 0; tries < OUTSIDE_TRIES; tries++) {
		process_maps_deinit(&inject->maps);
		if (process_maps_read(inject->process, &inject->maps) < 0)
			return false;
		for (size_t i = left->tids.n; i-- > 0;) {
			if (!is_inside(inject, left->tids.items[i]))
				left->tids.items[i] = left->tids.items[--left->tids.n];
		}
		/* Who was seen outside may be in an original that it was called for, and counts
		 * until it has come back. */
		if (left->tids.n == 0 && !is_wire_used(inject))
			return true;
		nanosleep(&pause, NULL);
	}
	return false;
}
