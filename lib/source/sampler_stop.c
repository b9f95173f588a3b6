/* SPDX-License-Identifier: Apache-2.0 */
/* What happens while a thread of the target stands still: as little as can be. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"
#include "source/source_priv.h"

/* Results that the kernel leaves where a stop ended a wait: ERESTARTSYS, ERESTARTNOINTR,
 * ERESTARTNOHAND, ERESTART_RESTARTBLOCK (include/linux/errno.h), and EINTR. */
static bool was_waiting(const struct arch *arch, const void *user)
{
	int64_t result = (int64_t)arch_user_word(user, arch->user_result);

	return (int64_t)arch_user_word(user, arch->user_syscall) >= 0 &&
	       (result == -512 || result == -513 || result == -514 || result == -516 ||
		result == -4);
}

static void copy_frames(struct sampler *s, struct snapshot *snapshot)
{
	struct snapshot_pc *pcs = (struct snapshot_pc *)snapshot->bytes;
	const struct trace *trace = s->trace;

	for (uint32_t i = 0; i < trace->n_frames; i++)
		pcs[i] = (struct snapshot_pc){trace->frames[i].pc, trace->frames[i].exact};
	snapshot->n_bytes = trace->n_frames * (uint32_t)sizeof(*pcs);
	/* libunwind could not even begin, as in a thread that is being killed: the leaf is known.
	 */
	if (trace->n_frames == 0) {
		pcs[0] = (struct snapshot_pc){snapshot->regs.values[s->arch->pc], true};
		snapshot->n_bytes = sizeof(*pcs);
	}
	snapshot->pcs_end = trace->end;
}

/* With caches of another image libunwind would follow them anywhere. */
static struct snapshot *reserve_frames(struct sampler *s, struct sampler_target *target,
				       struct sampler_thread *thread)
{
	if (!target->unwinder || sampler_image_is_gone(target)) {
		s->stats.lost++;
		return NULL;
	}
	return sampler_reserve(s, target, SNAPSHOT_PCS, thread,
			       TRACE_MAX_FRAMES * sizeof(struct snapshot_pc));
}

struct snapshot *sampler_take(struct sampler *s, struct sampler_target *target,
			      struct sampler_thread *thread, const void *user,
			      const struct sampler_ahead *ahead)
{
	uint64_t sp = arch_user_word(user, s->arch->user_offset[s->arch->sp]);
	int64_t nr = (int64_t)arch_user_word(user, s->arch->user_syscall);
	struct snapshot *snapshot;

	if (arch_user_word(user, s->arch->user_mode) == s->arch->user_mode_32) {
		s->stats.not_64bit++;
		return NULL;
	}
	thread->user_sp = nr < 0 ? sp : 0;
	if (s->options.engine == SAMPLER_LIBUNWIND)
		snapshot = reserve_frames(s, target, thread);
	else
		snapshot = sampler_copy(s, target, thread, sp, ahead);
	if (!snapshot)
		return NULL;
	snapshot->syscall = nr >= 0 ? (int32_t)nr : -1;
	arch_regs_load(s->arch, user, &snapshot->regs);
	return snapshot;
}

static void publish(struct sampler *s, struct sampler_target *target, struct sampler_thread *thread,
		    struct snapshot *snapshot, uint64_t pause_ns)
{
	bool runs = snapshot->state == SNAPSHOT_RUNNING;

	if (sampler_wants(s, SAMPLER_THREADS)) {
		/* It had blocked, and was read, before it stopped. */
		if (thread->seen == SAMPLER_SEEN)
			return;
		snapshot->count = 1;
		thread->seen = SAMPLER_SEEN;
	}
	/* No elapsed time is owed to a thread that was stopped twice since the last tick. */
	if (sampler_wants(s, SAMPLER_WAITS) && !sampler_wall_charge(thread, snapshot, pause_ns) &&
	    !(runs && sampler_wants(s, SAMPLER_CPU)) && !thread->wait.lock.may_hold)
		return; /* the room in the queue is given up */
	thread->wait.lock.may_hold = false;
	snapshot->delay_ns = runs ? 0 : snapshot->wall_ns;
	s->stats.delay_ns += snapshot->delay_ns;
	/* What it used before it blocked belongs to the next sample of it running. */
	if (runs) {
		snapshot->cpu_count = 1;
		snapshot->cpu_ns = thread->run_ns - thread->charged_ns;
		thread->charged_ns = thread->run_ns;
		target->sampled_ns += snapshot->cpu_ns;
	}
	sampler_put(s, snapshot);
	if (sampler_wants(s, SAMPLER_WAITS))
		sampler_wall_charge_rest(s, target, thread);
}

void sampler_repair(struct sampler *s, struct sampler_target *target, struct sampler_thread *thread,
		    const void *user)
{
	struct source_mend mend =
		source_mend(s->set, thread->tid, s->arch, user, target->process, &target->maps);

	s->stats.repaired += mend.repair == TRACEE_REPAIRED;
	s->stats.left_eintr += mend.repair == TRACEE_LEFT_EINTR;
	s->stats.short_counts += mend.cut_short;
	sampler_thread_rest(s, thread, mend.cut_short);
}

const uint64_t sampler_pause_steps[SAMPLER_PAUSES - 1] = {
	10 * NSEC_PER_USEC,  20 * NSEC_PER_USEC,  50 * NSEC_PER_USEC, 100 * NSEC_PER_USEC,
	200 * NSEC_PER_USEC, 500 * NSEC_PER_USEC, NSEC_PER_MSEC,      2 * NSEC_PER_MSEC,
	5 * NSEC_PER_MSEC,   10 * NSEC_PER_MSEC,
};

static void count_pause(struct sampler_shared *shared, uint64_t pause_ns)
{
	unsigned i = 0;

	while (i < SAMPLER_PAUSES - 1 && pause_ns > sampler_pause_steps[i])
		i++;
	atomic_fetch_add_explicit(&shared->pauses[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&shared->pause_ns, pause_ns, memory_order_relaxed);
}

static void on_stop(struct sampler *s, const struct tracee_event *event)
{
	struct sampler_target *target = sampler_target_find(s, event->pid);
	struct sampler_thread *thread = target ? sampler_threads_find(target, event->tid) : NULL;
	struct snapshot *snapshot = NULL;
	/* Room for the block of any CPU; aligned for its words. */
	uint64_t user[64];
	struct sampler_ahead ahead = {};
	bool waiting = false, looked = false;
	uint64_t slices, pause_ns;

	s->stats.stops++;
	if (thread)
		ahead = sampler_copy_ahead(s, target, thread);
	if (thread && tracee_registers(s->set, event->tid, s->arch, user) == 0) {
		/* First: if we are killed before it, the target sees EINTR. */
		sampler_repair(s, target, thread, user);
		if (was_waiting(s->arch, user)) {
			slices = thread->slices;
			looked = sampler_thread_look(s, target, thread, event->asked_ns);
			/* Put on a CPU once more, perhaps only to return from a wait: then it did
			 * not run when it was asked to stop. */
			waiting = thread->slices != slices;
		}
		if (!waiting || sampler_wants(s, SAMPLER_WAITS | SAMPLER_THREADS))
			snapshot = sampler_take(s, target, thread, user, &ahead);
		if (snapshot && snapshot->kind == SNAPSHOT_PCS &&
		    tracee_unwinder_run(target->unwinder, event->tid, s->trace) == 0)
			copy_frames(s, snapshot);
		thread->stops++;
		/* The wait that it goes back to is the one it was in. */
		thread->own_switches += 1 + waiting;
	}
	tracee_release(s->set, event->tid);
	pause_ns = sampler_budget_add(s, event);
	hist_add(&s->stats.pause, pause_ns);
	count_pause(s->shared, pause_ns);
	/* What it used is brought up to date when it leaves its CPU, as it did for the stop. */
	if (snapshot && !looked)
		sampler_thread_look(s, target, thread, event->asked_ns);
	s->stats.blocked += waiting;
	if (!snapshot)
		return;
	snapshot->state = waiting ? SNAPSHOT_SLEEPING : SNAPSHOT_RUNNING;
	publish(s, target, thread, snapshot, pause_ns);
}

void sampler_on_event(struct sampler *s, const struct tracee_event *event)
{
	struct sampler_target *target;

	switch (event->kind) {
	case TRACEE_STOPPED:
		on_stop(s, event);
		break;
	case TRACEE_LOST:
		s->stats.lost++;
		target = sampler_target_find(s, event->pid);
		if (target)
			target->probed_at = 0;
		break;
	case TRACEE_CLONED:
	case TRACEE_SIGNALLED:
		sampler_create_on_event(s, event);
		break;
	case TRACEE_CHILD_ENDED:
		s->stats.status = event->status;
		s->stats.target_ended = true;
		break;
	}
	atomic_store(&s->shared->held, tracee_held(s->set));
}
