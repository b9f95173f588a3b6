/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who makes threads.
 *
 * There is no look from outside that tells it: every thread stays a tracee, and stops behind each
 * clone(2) that makes another. It then stops at every signal, too; what that does to its system
 * call is mended as at any other stop, also for signals that nobody handles: those would not have
 * woken it if it were not traced (kernel/signal.c sig_ignored, Linux 6.18).
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"

/* How long they are waited for at the end; the others are let go with our thread. */
#define LEAVE_WITHIN (200 * NSEC_PER_MSEC)

void sampler_create_follow(struct sampler *s, struct sampler_target *target, pid_t tid)
{
	/* One that a thread has made which is followed already is denied, and will tell. */
	tracee_wake_hold(&s->wake, true);
	/* The one that has it for a moment gives it back. */
	if (tracee_follow(s->set, target->pid, tid) == TRACEE_SHARED)
		s->follow_again = true;
}

void sampler_create_tick(struct sampler *s)
{
	if (!s->follow_again)
		return;
	s->follow_again = false;
	sampler_create_begin(s);
}

void sampler_create_begin(struct sampler *s)
{
	for (size_t i = 0; i < s->targets.n; i++) {
		struct sampler_target *target = s->targets.items[i];

		for (size_t k = 0; k < target->threads.items.n; k++)
			sampler_create_follow(s, target, target->threads.items.items[k].tid);
	}
}

static void put(struct sampler *s, struct sampler_target *target, struct sampler_thread *thread,
		struct snapshot *snapshot)
{
	int ignored;

	if (!thread->name[0])
		(void)sampler_thread_state(s, target, thread, &ignored);
	memcpy(snapshot->name, thread->name, sizeof(snapshot->name));
	snapshot->state = SNAPSHOT_RUNNING;
	snapshot->created = 1;
	sampler_put(s, snapshot);
}

void sampler_create_on_event(struct sampler *s, const struct tracee_event *event)
{
	struct sampler_target *target = sampler_target_find(s, event->pid);
	struct sampler_thread *thread =
		target ? sampler_threads_meet(s, target, event->tid, clock_now_ns()) : NULL;
	const struct sampler_ahead ahead = {};
	struct snapshot *snapshot = NULL;
	/* Room for the block of any CPU; aligned for its words. */
	uint64_t user[64];

	if (thread && tracee_registers(s->set, event->tid, s->arch, user) == 0) {
		sampler_repair(s, target, thread, user);
		if (event->kind == TRACEE_CLONED && sampler_wants(s, SAMPLER_CREATE)) {
			s->stats.created++;
			snapshot = sampler_take(s, target, thread, user, &ahead);
		}
		/* The kernel counts the stop among its waits. */
		thread->own_switches++;
	}
	s->stats.signalled += event->signal != 0;
	tracee_go_on(s->set, event);
	if (snapshot)
		put(s, target, thread, snapshot);
}

void sampler_create_end(struct sampler *s)
{
	uint64_t end = clock_now_ns() + LEAVE_WITHIN;
	struct tracee_event event;

	if (!tracee_followed(s->set))
		return;
	tracee_unfollow(s->set);
	while (tracee_followed(s->set) && clock_now_ns() < end) {
		while (tracee_next(s->set, &event))
			sampler_on_event(s, &event);
		/* SIGCHLD is one for many. */
		tracee_wake_wait(&s->wake, NSEC_PER_MSEC);
		tracee_wake_take(&s->wake);
	}
}
