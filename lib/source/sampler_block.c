/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often and how long threads are blocked.
 *
 * The delay is the elapsed time for which a thread was seen sleeping or in an uninterruptible wait,
 * as in sampler_wall.c. The number of waits is the kernel's: voluntary_ctxt_switches of its status
 * file counts each time that a thread leaves its CPU in a state other than running
 * (kernel/sched/core.c __schedule, Linux 6.18). It is read with the stack. Those that were missed
 * since the read before are charged to this one, as CPU time is. A stop of ours is such a switch,
 * too, and is taken off.
 *
 * Waits are charged when they end, because only then it is known whether they did: those of threads
 * that never moved are nobody's delay, but of workers without work.
 */
#include "source/sampler_priv.h"

bool sampler_block_counts(enum snapshot_state state)
{
	return state == SNAPSHOT_SLEEPING || state == SNAPSHOT_DISK;
}

/* Returns how many there were since. */
static uint32_t note_switches(struct sampler_thread *thread, uint64_t switches)
{
	struct sampler_block *block = &thread->wait.block;
	int64_t others = (int64_t)(switches - thread->own_switches);
	uint32_t more = 0;

	/* Never less: a stop that is not reported yet may be among those of the kernel. */
	if (block->known && others <= block->switches)
		return 0;
	if (block->known)
		more = (uint32_t)(others - block->switches);
	block->waits += more;
	block->switches = others;
	block->known = true;
	return more;
}

void sampler_block_begin(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread)
{
	uint64_t switches;

	if (sampler_wants(s, SAMPLER_COUNTS) && !thread->wait.block.known &&
	    sampler_thread_switches(s, target, thread, &switches))
		(void)note_switches(thread, switches);
}

uint32_t sampler_block_read(struct sampler_thread *thread, uint64_t switches,
			    enum snapshot_state state, uint64_t ns)
{
	if (sampler_block_counts(state))
		thread->wait.block.delay_ns += ns;
	return note_switches(thread, switches);
}

void sampler_block_charge(struct sampler *s, struct sampler_thread *thread,
			  struct snapshot *snapshot, bool parked)
{
	struct sampler_block *block = &thread->wait.block;

	if (!sampler_wants(s, SAMPLER_BLOCK))
		return;
	s->stats.parked += parked;
	if (!parked) {
		s->stats.waits += block->waits;
		s->stats.delay_ns += block->delay_ns;
	}
	if (!parked || s->options.keep_parked) {
		snapshot->waits = block->waits;
		snapshot->delay_ns = block->delay_ns;
		snapshot->parked = parked;
	}
	block->waits = 0;
	block->delay_ns = 0;
}

void sampler_block_settle(struct sampler *s, struct sampler_target *target,
			  struct sampler_thread *thread, uint64_t ns)
{
	uint64_t switches;

	thread->wait.block.delay_ns += ns;
	if (sampler_wants(s, SAMPLER_BLOCK) && thread->wait.block.known && !target->ended &&
	    sampler_thread_switches(s, target, thread, &switches))
		(void)note_switches(thread, switches);
}
