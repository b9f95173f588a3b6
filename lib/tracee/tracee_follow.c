/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that stay tracees, to tell of the threads that they make.
 *
 * Seized with PTRACE_O_TRACECLONE, a thread stops right behind its clone(2), and the new one is a
 * tracee from its first instruction on, with the same option (ptrace(2)). Its own first stop may be
 * reported before that of its maker.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ptrace.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "tracee/tracee_priv.h"

/* Without this a thread makes a process that is no thread of its own with clone(2), too. */
static pid_t process_of(const struct tracee_set *set, pid_t tid)
{
	for (size_t i = 0; i < set->follows.n; i++) {
		if (tgkill(set->follows.items[i], tid, 0) == 0)
			return set->follows.items[i];
	}
	return 0;
}

static int note(struct tracee_set *set, pid_t pid, pid_t tid)
{
	uint64_t *place;
	int r = map64_put(&set->followed, (uint64_t)tid, &place);

	if (r < 0)
		return err_trace(r);
	set->n_followed += !*place;
	*place = (uint64_t)pid;
	return 0;
}

pid_t tracee_find_followed(struct tracee_set *set, pid_t tid)
{
	const uint64_t *place = map64_get(&set->followed, (uint64_t)tid);
	pid_t pid;

	if (place && *place)
		return (pid_t)*place;
	if (set->leaving || !set->follows.n)
		return 0;
	pid = process_of(set, tid);
	return pid && note(set, pid, tid) == 0 ? pid : 0;
}

void tracee_forget_followed(struct tracee_set *set, pid_t tid)
{
	uint64_t *place = map64_get(&set->followed, (uint64_t)tid);

	if (!place || !*place)
		return;
	*place = 0;
	set->n_followed--;
}

unsigned tracee_followed(const struct tracee_set *set)
{
	return set->n_followed;
}

static int note_process(struct tracee_set *set, pid_t pid)
{
	pid_t *slot;

	for (size_t i = 0; i < set->follows.n; i++) {
		if (set->follows.items[i] == pid)
			return 0;
	}
	slot = vec_push(&set->follows);
	if (!slot)
		return err_trace(-ENOMEM);
	*slot = pid;
	return 0;
}

int tracee_follow(struct tracee_set *set, pid_t pid, pid_t tid)
{
	const uint64_t *place = map64_get(&set->followed, (uint64_t)tid);
	int r;

	if (place && *place)
		return TRACEE_BUSY;
	set->leaving &= set->n_followed > 0;
	r = note_process(set, pid);
	if (r >= 0)
		r = note(set, pid, tid);
	if (r < 0)
		return r;
	/* Ours already, from its start. */
	if (set->child_held && tid == set->child)
		r = ptrace(PTRACE_SETOPTIONS, tid, NULL, (void *)PTRACE_O_TRACECLONE) < 0
			    ? TRACEE_GONE
			    : TRACEE_OK;
	else
		r = tracee_seize(set, tid, PTRACE_O_TRACECLONE);
	/* Denied is one, too, that is ours already and has not told yet. */
	if (r != TRACEE_OK)
		tracee_forget_followed(set, tid);
	return r;
}

void tracee_unfollow(struct tracee_set *set)
{
	set->leaving = true;
	for (size_t i = 0; set->n_followed && i <= set->followed.mask; i++) {
		const struct map64_slot *slot = &set->followed.slots[i];

		/* One that is gone has been, or will be, reported as such. */
		if (slot->key != MAP64_EMPTY && slot->value)
			(void)ptrace(PTRACE_INTERRUPT, (pid_t)slot->key, NULL, NULL);
	}
}

void tracee_go_on(struct tracee_set *set, const struct tracee_event *event)
{
	if (set->unreaped == event->tid)
		set->unreaped = 0;
	if (set->leaving) {
		tracee_forget_followed(set, event->tid);
		(void)tracee_detach(event->tid, event->signal);
		return;
	}
	(void)ptrace(PTRACE_CONT, event->tid, NULL, (void *)(intptr_t)event->signal);
}
