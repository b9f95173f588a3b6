/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elapsed time: every thread at every tick, blocked ones without a stop.
 *
 * A thread that was blocked at the last look and whose schedstat has not moved since was not on a
 * CPU in between: it is in the same wait, its stack is the same, and nothing of it is read again;
 * it leaves the list of those that are gone through at each tick, and all its ticks are charged
 * when it moves. A thread that is newly blocked is read as a seqlock is: schedstat, /proc/…/syscall
 * (for pc and sp), stack, schedstat. If the last is like the first, what lies between belongs
 * together.
 *
 * A thread may run and wait many times between two ticks, and in which of the two a tick finds it
 * depends on the tick: who wakes on a thread's CPU has it wait for that CPU, and those that wait
 * for it seen asleep. So how long it ran, waited for a CPU and was blocked is the kernel's count,
 * not that of ticks: schedstat is exact while a thread is off its CPU, as it is at a read and at a
 * stop. The ticks only tell the stacks: what it ran is charged to its next stop, what it was
 * blocked to its next read.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "process/process_wait.h"
#include "source/sampler_priv.h"

/* Blocked threads read in one tick: 10,000 at once would take as long as ten ticks. */
#define MAX_READS 512
/* … and while a stop is under way, which nobody looks at meanwhile, this many take half a
 * millisecond. */
#define MAX_READS_HELD 16
#define READ_TRIES 2

/* Of a wait. */
enum ending {
	GOES_ON, /* with another stack, which is the same one but read further */
	ENDED,
	NEVER_ENDED, /* it was there from the beginning of the recording to its end */
};

static bool has_moved(const struct sampler_thread *thread)
{
	return thread->run_ns != thread->wait.run_ns || thread->slices != thread->wait.slices;
}

/* Its trace needed more of the stack than was copied: worth another read. */
static bool was_cut(const struct sampler *s, const struct sampler_thread *thread)
{
	return thread->wait.partly && sampler_stack_is_beyond(s, thread->slot);
}

/* False when there is no room for it. */
static bool put_again(struct sampler *s, struct sampler_target *target,
		      struct sampler_thread *thread, enum snapshot_state state, uint32_t ticks,
		      uint64_t ns, enum ending ending)
{
	struct snapshot *snapshot = sampler_reserve(s, target, SNAPSHOT_AGAIN, thread, 0);

	if (!snapshot)
		return false;
	snapshot->state = state;
	snapshot->count = ticks;
	snapshot->wall_ns = ns;
	if (ending != GOES_ON)
		sampler_block_charge(s, thread, snapshot, ending == NEVER_ENDED);
	sampler_put(s, snapshot);
	return true;
}

/* The wait is over, or read anew: it lasted at least until then, for all ticks up to that one. */
static void end_wait(struct sampler *s, struct sampler_target *target,
		     struct sampler_thread *thread, uint64_t until, uint64_t tick,
		     enum ending ending)
{
	struct sampler_wait *wait = &thread->wait;
	uint64_t ns = until > wait->split_at ? until - wait->split_at : 0;
	/* Woken, it had to wait for a CPU before anything of it moved. */
	uint64_t queued = ending == ENDED ? MIN(thread->delay_ns - wait->split_delay_ns, ns) : 0;

	wait->split_at += queued;
	wait->split_delay_ns += queued;
	wait->owed[SNAPSHOT_RUNNABLE].ns += queued;
	ns -= queued;
	wait->known = false;
	if (sampler_block_counts(wait->state))
		wait->block.delay_ns += ns;
	if (!ns && (ending == GOES_ON || (!wait->block.delay_ns && !wait->block.waits)))
		return;
	if (!put_again(s, target, thread, wait->state, (uint32_t)(tick - wait->tick), ns, ending))
		wait->unplaced_ns += ns;
	wait->split_at += ns;
}

/* Up to now, at which it is off its CPU: into the time that it ran, was runnable, and was blocked.
 * The clocks may differ; what does not fit counts later. */
static void divide(struct sampler_thread *thread, uint64_t now)
{
	struct sampler_wait *wait = &thread->wait;
	uint64_t left = now > wait->split_at ? now - wait->split_at : 0;
	int64_t more_run = (int64_t)(thread->run_ns - wait->split_run_ns);
	uint64_t run = more_run > 0 ? MIN((uint64_t)more_run, left) : 0, delay;

	wait->split_at += left;
	left -= run;
	delay = MIN(thread->delay_ns - wait->split_delay_ns, left);
	left -= delay;
	wait->split_run_ns += run;
	wait->split_delay_ns += delay;
	/* It has not left its CPU, whose hypervisor or interrupts took the rest. */
	if (thread->slices == wait->split_slices && more_run > 0) {
		run += left;
		left = 0;
	}
	wait->split_slices = thread->slices;
	wait->owed[SNAPSHOT_RUNNING].ns += run;
	wait->owed[SNAPSHOT_RUNNABLE].ns += delay;
	wait->owed[SNAPSHOT_SLEEPING].ns += left;
}

void sampler_wall_begin(struct sampler_thread *thread, uint64_t now)
{
	struct sampler_wait *wait = &thread->wait;

	wait->split_at = now;
	wait->split_run_ns = thread->run_ns;
	wait->split_delay_ns = thread->delay_ns;
	wait->split_slices = thread->slices;
}

/* What the descriptor that it waits on is: later the number may mean another file. */
static void add_link(struct sampler_target *target, const struct sampler_thread *thread,
		     const struct process_syscall *call, struct snapshot *snapshot)
{
	int fd = process_wait_descriptor(target->process, call);

	if (fd >= 0)
		snapshot->n_link =
			(uint32_t)process_link_read(target->process, thread->tid, fd,
						    (char *)snapshot->bytes + snapshot->n_bytes);
}

/* Reads registers and stack; NULL when it runs, is gone, or there is no room. */
static struct snapshot *copy_blocked(struct sampler *s, struct sampler_target *target,
				     struct sampler_thread *thread)
{
	uint64_t start, end = 0, from = 0;
	struct process_syscall call;
	struct snapshot *snapshot;
	size_t wanted = 0;
	ssize_t n;

	if (process_syscall_read(target->process, thread->tid, &call) != 0)
		return NULL;
	if (sampler_stack_bounds(target, call.sp, &start, &end)) {
		from = MAX(call.sp - s->arch->red_zone, start);
		wanted = sampler_stack_wanted(s, thread->slot, from, end);
	} else {
		s->stats.no_stack++;
		target->maps_stale = true;
	}
	snapshot = sampler_reserve(s, target, SNAPSHOT_STACK, thread, wanted + PROCESS_LINK_SIZE);
	if (!snapshot)
		return NULL;
	arch_reg_set(&snapshot->regs, s->arch->pc, call.pc);
	arch_reg_set(&snapshot->regs, s->arch->sp, call.sp);
	snapshot->syscall = call.nr < 0 ? -1 : (int32_t)call.nr;
	memcpy(snapshot->args, call.args, sizeof(snapshot->args));
	snapshot->stack_addr = from;
	snapshot->stack_end = end;
	thread->wait.partly = from + wanted < end && wanted < SNAPSHOT_MAX_STACK;
	n = process_read(target->process, from, snapshot->bytes, wanted);
	snapshot->n_bytes = n > 0 ? (uint32_t)n : 0;
	add_link(target, thread, &call, snapshot);
	return snapshot;
}

bool sampler_wall_read(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread, enum snapshot_state state, uint64_t now)
{
	struct sampler_wait *wait = &thread->wait;
	uint64_t switches = 0;
	uint32_t waits;

	for (int i = 0; i < READ_TRIES; i++) {
		struct snapshot *snapshot;

		if (!sampler_thread_look(s, target, thread, now))
			return false;
		wait->run_ns = thread->run_ns;
		wait->slices = thread->slices;
		snapshot = copy_blocked(s, target, thread);
		if (!snapshot)
			return false;
		if (sampler_wants(s, SAMPLER_COUNTS) &&
		    !sampler_thread_switches(s, target, thread, &switches))
			return false;
		if (!sampler_thread_look(s, target, thread, now))
			return false;
		if (has_moved(thread)) {
			s->stats.torn++;
			continue;
		}
		s->stats.reads++;
		/* A stack that was not in the maps yet is read again at the next tick. */
		wait->known = snapshot->stack_end != 0;
		wait->state = state;
		snapshot->state = state;
		snapshot->count = 1;
		divide(thread, now);
		snapshot->wall_ns = wait->owed[SNAPSHOT_SLEEPING].ns;
		wait->owed[SNAPSHOT_SLEEPING].ns = 0;
		waits = sampler_block_read(thread, switches, state, snapshot->wall_ns);
		wait->tick = s->stats.ticks;
		wait->round = snapshot->round = ++s->round;
		if (sampler_wants(s, SAMPLER_MUTEX))
			sampler_lock_read(s, target, thread, snapshot, now, waits);
		sampler_put(s, snapshot);
		return true;
	}
	return false;
}

void sampler_wall_owe(struct sampler_thread *thread)
{
	thread->wait.owed[SNAPSHOT_RUNNABLE].ticks++;
	thread->wait.owed_last = true;
}

void sampler_wall_runs(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread)
{
	struct sampler_wait *wait = &thread->wait;

	/* It has woken since this tick's look. Charged before the stop, whose stack is another. */
	if (wait->known)
		end_wait(s, target, thread, s->last_tick_at, s->stats.ticks, ENDED);
	if (!wait->owed_last)
		return;
	wait->owed[SNAPSHOT_RUNNABLE].ticks--;
	wait->owed[SNAPSHOT_RUNNING].ticks++;
	wait->owed_last = false;
}

enum snapshot_state sampler_wall_state(const struct sampler *s, char letter)
{
	switch (letter) {
	case 'R':
		return SNAPSHOT_RUNNABLE;
	case 'D':
		return SNAPSHOT_DISK;
	case 'T':
		return SNAPSHOT_STOPPED;
	case 't':
		/* Ours, on its way out, or a debugger's. */
		return tracee_held(s->set) ? SNAPSHOT_RUNNABLE : SNAPSHOT_STOPPED;
	default:
		return SNAPSHOT_SLEEPING;
	}
}

/* False when the thread need not be looked at before it moves. */
static bool look_at(struct sampler *s, struct sampler_target *target, struct sampler_thread *thread,
		    uint64_t now, unsigned *reads)
{
	enum snapshot_state state;
	char letter;
	int cpu;

	thread->wait.owed_last = false;
	if (thread->wait.known && !has_moved(thread) && !was_cut(s, thread))
		/* The consumer has not said yet whether it needs more of the stack. */
		return thread->wait.partly;
	if (thread->wait.known)
		end_wait(s, target, thread, MAX(s->last_tick_at, thread->wait.split_at),
			 s->stats.ticks - 1, has_moved(thread) ? ENDED : GOES_ON);
	/* What is not read now is read later, and charged then. */
	if (*reads >= (tracee_held(s->set) ? MAX_READS_HELD : MAX_READS) ||
	    !sampler_has_room(s, SNAPSHOT_MAX_STACK))
		return true;
	letter = sampler_thread_state(s, target, thread, &cpu);
	if (letter == 0 || letter == 'Z' || letter == 'X')
		return true;
	state = sampler_wall_state(s, letter);
	if (state != SNAPSHOT_RUNNABLE) {
		++*reads;
		if (sampler_wall_read(s, target, thread, state, now))
			return true;
	}
	sampler_block_begin(s, target, thread);
	sampler_wall_owe(thread);
	return true;
}

void sampler_wall_tick(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	struct sampler_threads *threads = &target->threads;
	size_t kept = 0, n = threads->unsettled.n;
	unsigned reads = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t index = threads->unsettled.items[i];
		struct sampler_thread *thread = &threads->items.items[index];

		thread->is_unsettled = look_at(s, target, thread, now, &reads);
		if (thread->is_unsettled)
			threads->unsettled.items[kept++] = index;
	}
	threads->unsettled.n = kept;
	if (sampler_wants(s, SAMPLER_MUTEX))
		sampler_lock_tick(s, target, now);
}

static void put_waits(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	struct sampler_threads *threads = &target->threads;

	for (size_t i = 0; i < threads->items.n; i++) {
		struct sampler_thread *thread = &threads->items.items[i];

		if (!thread->wait.known)
			continue;
		end_wait(s, target, thread, now, s->stats.ticks, GOES_ON);
		thread->wait.known = true;
		thread->wait.tick = s->stats.ticks;
	}
}

void sampler_wall_put(struct sampler *s, uint64_t now)
{
	if (atomic_load(&s->shared->waits_wanted_at) <=
	    atomic_load_explicit(&s->shared->waits_put_at, memory_order_relaxed))
		return;
	for (size_t i = 0; i < s->targets.n; i++)
		put_waits(s, s->targets.items[i], now);
	atomic_store(&s->shared->waits_put_at, clock_now_ns());
	(void)eventfd_write(s->options.wake_fd, 1);
}

bool sampler_wall_charge(struct sampler_thread *thread, struct snapshot *snapshot,
			 uint64_t pause_ns)
{
	struct sampler_wait *wait = &thread->wait;
	struct sampler_owed *running = &wait->owed[SNAPSHOT_RUNNING];
	struct sampler_owed *owed = running;

	/* The kernel takes the pause for a wait. */
	if (snapshot->state == SNAPSHOT_RUNNING)
		wait->split_run_ns -= pause_ns;
	else
		owed = &wait->owed[SNAPSHOT_SLEEPING];
	divide(thread, clock_now_ns());
	if (!owed->ns && !running->ticks)
		return false;
	snapshot->count = running->ticks;
	snapshot->wall_ns = owed->ns;
	running->ticks = 0;
	owed->ns = 0;
	return true;
}

void sampler_wall_charge_rest(struct sampler *s, struct sampler_target *target,
			      struct sampler_thread *thread)
{
	struct sampler_owed *owed = &thread->wait.owed[SNAPSHOT_RUNNABLE];

	if (!owed->ns && !owed->ticks)
		return;
	if (put_again(s, target, thread, SNAPSHOT_RUNNABLE, owed->ticks, owed->ns, GOES_ON))
		*owed = (struct sampler_owed){};
}

void sampler_wall_settle(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread, uint64_t now)
{
	struct sampler_wait *wait = &thread->wait;
	struct snapshot *snapshot;
	uint64_t rest;

	if (wait->known) {
		end_wait(s, target, thread, now, s->stats.ticks,
			 s->settling_since && !thread->moved_at ? NEVER_ENDED : ENDED);
	} else {
		/* Of one that has ended it is not known what it did since it was looked at. */
		if (s->settling_since && !target->ended)
			divide(thread, now);
		sampler_block_settle(s, target, thread, wait->owed[SNAPSHOT_SLEEPING].ns);
	}
	rest = wait->unplaced_ns + now - wait->split_at;
	for (size_t i = 0; i < ARRAY_SIZE(wait->owed); i++) {
		rest += wait->owed[i].ns;
		wait->owed[i] = (struct sampler_owed){};
	}
	wait->split_at = now;
	wait->unplaced_ns = 0;
	snapshot = rest || wait->block.waits
			   ? sampler_reserve(s, target, SNAPSHOT_NOT_SEEN, thread, 0)
			   : NULL;
	if (!snapshot)
		return;
	snapshot->wall_ns = rest;
	sampler_block_charge(s, thread, snapshot, false);
	sampler_put(s, snapshot);
}
