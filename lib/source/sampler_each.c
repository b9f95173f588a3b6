/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every thread once: blocked ones are read without a stop, the others stopped for a moment. Ends
 * when all were seen, those born meanwhile, too.
 *
 * There is no one instant at which all are seen: nobody is held for the others.
 */
#include "base/clock.h"
#include "source/sampler_priv.h"

/* Threads looked at in one tick. */
#define MAX_LOOKS 512
/* Stops under way at once: one more would only wait for a CPU with the others. */
#define MAX_HELD 8

/* What comes meanwhile stands still until it is looked at. */
static void take_stops(struct sampler *s)
{
	while (tracee_held(s->set)) {
		uint64_t now = clock_now_ns();
		struct tracee_event event;

		if (!tracee_next(s->set, &event)) {
			sampler_budget_clear(s, now);
			break;
		}
		sampler_on_event(s, &event);
	}
}

/* Returns true when the thread has to be stopped. */
static bool read_or_stop(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread, uint64_t now)
{
	int cpu;
	char letter = sampler_thread_state(s, target, thread, &cpu);
	enum snapshot_state state = sampler_wall_state(s, letter);

	/* It has ended: a zombie has no stack. */
	if (letter == 0 || letter == 'Z' || letter == 'X')
		thread->seen = SAMPLER_SEEN;
	else if (state == SNAPSHOT_RUNNABLE)
		return true;
	else if (sampler_wall_read(s, target, thread, state, now))
		thread->seen = SAMPLER_SEEN;
	return false;
}

static bool ask(struct sampler *s, struct sampler_target *target, struct sampler_thread *thread)
{
	uint64_t denied = s->stats.denied;

	/* It had been asked at the last tick, and its stop came while others were read. */
	if (thread->seen != SAMPLER_UNSEEN)
		return false;
	if (sampler_choose_stop(s, target, thread))
		return true;
	if (s->stats.denied > denied)
		thread->seen = SAMPLER_REFUSED;
	return false;
}

/* Reads come first, because a thread that was asked to stop must be met when it does. */
unsigned sampler_each_tick(struct sampler *s, uint64_t now)
{
	struct {
		struct sampler_target *target;
		struct sampler_thread *thread;
	} running[MAX_HELD];
	unsigned n = 0, asked = 0, looks = 0;

	for (size_t i = 0; i < s->targets.n; i++) {
		struct sampler_target *target = s->targets.items[i];

		for (size_t k = 0; k < target->threads.items.n && looks < MAX_LOOKS; k++) {
			struct sampler_thread *thread = &target->threads.items.items[k];

			take_stops(s);
			if (thread->seen != SAMPLER_UNSEEN)
				continue;
			if (!sampler_has_room(s, SNAPSHOT_MAX_STACK))
				break;
			looks++;
			if (read_or_stop(s, target, thread, now) && n < MAX_HELD) {
				running[n].target = target;
				running[n++].thread = thread;
			}
		}
	}
	for (unsigned i = 0; i < n && tracee_held(s->set) < MAX_HELD; i++)
		asked += ask(s, running[i].target, running[i].thread);
	return asked;
}

bool sampler_each_is_done(const struct sampler *s)
{
	for (size_t i = 0; i < s->targets.n; i++) {
		const struct sampler_threads *threads = &s->targets.items[i]->threads;

		for (size_t k = 0; k < threads->items.n; k++) {
			if (threads->items.items[k].seen == SAMPLER_UNSEEN)
				return false;
		}
	}
	return true;
}

void sampler_each_settle(struct sampler *s, struct sampler_target *target)
{
	for (size_t i = 0; i < target->threads.items.n; i++) {
		struct sampler_thread *thread = &target->threads.items.items[i];
		struct snapshot *snapshot;
		int ignored;

		if (thread->seen == SAMPLER_SEEN)
			continue;
		s->stats.not_read++;
		if (!thread->name[0])
			sampler_thread_state(s, target, thread, &ignored);
		snapshot = sampler_reserve(s, target, SNAPSHOT_NOT_READ, thread, 0);
		if (!snapshot)
			return;
		snapshot->count = 1;
		sampler_put(s, snapshot);
	}
}
