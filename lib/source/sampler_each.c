/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every thread once: blocked ones are read without a stop, the others stopped for a moment. Ends
 * when all were seen, those born meanwhile, too.
 *
 * There is no one instant at which all are seen: nobody is held for the others.
 */
#include "base/cleanup.h"
#include "source/sampler_priv.h"

/* Threads looked at in one tick, and stops under way at once, per CPU. */
#define MAX_LOOKS 512
#define HELD_PER_CPU 4

/* Returns true when the thread was asked to stop. */
static bool see(struct sampler *s, struct sampler_target *target, struct sampler_thread *thread,
		uint64_t now)
{
	uint64_t denied = s->stats.denied;
	int cpu;
	char letter = sampler_thread_state(s, target, thread, &cpu);
	enum snapshot_state state = sampler_wall_state(s, letter);

	/* It has ended: a zombie has no stack. */
	if (letter == 0 || letter == 'Z' || letter == 'X') {
		thread->seen = SAMPLER_SEEN;
		return false;
	}
	if (state != SNAPSHOT_RUNNABLE) {
		if (sampler_wall_read(s, target, thread, state, now))
			thread->seen = SAMPLER_SEEN;
		return false;
	}
	if (tracee_held(s->set) >= HELD_PER_CPU * s->n_cpus)
		return false;
	if (sampler_choose_stop(s, target, thread))
		return true;
	if (s->stats.denied > denied)
		thread->seen = SAMPLER_REFUSED;
	return false;
}

unsigned sampler_each_tick(struct sampler *s, uint64_t now)
{
	unsigned asked = 0, looks = 0;

	for (size_t i = 0; i < s->targets.n; i++) {
		struct sampler_target *target = s->targets.items[i];

		for (size_t k = 0; k < target->threads.items.n; k++) {
			struct sampler_thread *thread = &target->threads.items.items[k];

			if (thread->seen != SAMPLER_UNSEEN)
				continue;
			if (looks++ == MAX_LOOKS || !sampler_has_room(s, SNAPSHOT_MAX_STACK))
				return asked;
			asked += see(s, target, thread, now);
		}
	}
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
