/* SPDX-License-Identifier: Apache-2.0 */
/* What happens while a thread of the target stands still: as little as can be. */
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"

/* Results that the kernel leaves where a stop ended a wait: ERESTARTSYS, ERESTARTNOINTR,
 * ERESTARTNOHAND, ERESTART_RESTARTBLOCK (include/linux/errno.h), and EINTR. */
static bool was_waiting(const struct arch *arch, const void *user)
{
	int64_t result = (int64_t)arch_user_word(user, arch->user_result);

	return (int64_t)arch_user_word(user, arch->user_syscall) >= 0 &&
	       (result == -512 || result == -513 || result == -514 || result == -516 ||
		result == -4);
}

static void fill_head(struct sampler *s, struct snapshot *snapshot, enum snapshot_kind kind,
		      const struct sampler_thread *thread, uint64_t cpu_ns)
{
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->kind = kind;
	snapshot->generation = s->generation;
	snapshot->syscall = -1;
	snapshot->cpu_ns = cpu_ns;
	snapshot->time_ns = clock_now_ns();
	if (thread) {
		snapshot->tid = thread->tid;
		snapshot->slot = thread->slot;
		memcpy(snapshot->name, thread->name, sizeof(snapshot->name));
	}
}

void sampler_put_pseudo(struct sampler *s, enum snapshot_kind kind,
			const struct sampler_thread *thread, uint64_t cpu_ns)
{
	struct snapshot *snapshot = ring_reserve(s->ring, sizeof(*snapshot));

	if (!snapshot) {
		s->stats.dropped++;
		return;
	}
	fill_head(s, snapshot, kind, thread, cpu_ns);
	ring_commit(s->ring, sizeof(*snapshot));
}

/* A snapshot that the consumer is woken for. */
#define WAKE_SIZE (64 * 1024)

/* What is copied of a thread whose depth is not known yet. */
#define FIRST_COPY (256 * 1024UL)

/* How much of the stack to copy: up to what this thread's traces needed, within the bound. The
 * learned top may be another thread's (the table is small); it must lie in this stack. */
static size_t stack_wanted(const struct sampler *s, uint32_t slot, uint64_t from, uint64_t end)
{
	uint64_t top =
		atomic_load_explicit(&s->shared->tops[slot % SAMPLER_TOPS], memory_order_relaxed);

	if (top > from && top <= end)
		end = top;
	else if (top != SAMPLER_TOP_BEYOND)
		end = MIN(end, from + FIRST_COPY);
	return MIN(end - from, (uint64_t)SNAPSHOT_MAX_STACK);
}

static void copy_stack(struct sampler *s, struct snapshot *snapshot, uint64_t from, size_t wanted)
{
	ssize_t n;

	snapshot->stack_addr = from;
	if (!wanted)
		return;
	n = process_read(s->process, from, snapshot->bytes, wanted);
	if (n > 0)
		snapshot->n_bytes = (uint32_t)n;
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

/* Between stop and release. Returns the snapshot to publish, NULL when there is none. */
static struct snapshot *take(struct sampler *s, struct sampler_thread *thread, const void *user)
{
	uint64_t sp, start = 0, end = 0, from = 0;
	struct snapshot *snapshot;
	size_t wanted = 0;
	int64_t nr;

	if (arch_user_word(user, s->arch->user_mode) == s->arch->user_mode_32) {
		s->stats.not_64bit++;
		return NULL;
	}
	sp = arch_user_word(user, s->arch->user_offset[s->arch->sp]);
	if (s->options.engine == SAMPLER_LIBUNWIND) {
		/* With caches of another image it would follow them anywhere. */
		if (!s->unwinder || sampler_image_is_gone(s)) {
			s->stats.lost++;
			return NULL;
		}
		wanted = TRACE_MAX_FRAMES * sizeof(struct snapshot_pc);
	} else if (sampler_stack_bounds(s, sp, &start, &end)) {
		from = MAX(sp - s->arch->red_zone, start);
		wanted = stack_wanted(s, thread->slot, from, end);
	} else {
		s->stats.no_stack++;
		s->maps_stale = true;
	}
	snapshot = ring_reserve(s->ring, sizeof(*snapshot) + wanted);
	if (!snapshot) {
		s->stats.dropped++;
		return NULL;
	}
	fill_head(s, snapshot, SNAPSHOT_STACK, thread, 0);
	snapshot->count = 1;
	nr = (int64_t)arch_user_word(user, s->arch->user_syscall);
	snapshot->syscall = nr >= 0 ? (int32_t)nr : -1;
	arch_regs_load(s->arch, user, &snapshot->regs);
	snapshot->stack_end = end;
	if (s->options.engine == SAMPLER_LIBUNWIND)
		snapshot->kind = SNAPSHOT_PCS;
	else
		copy_stack(s, snapshot, from, wanted);
	return snapshot;
}

static void publish(struct sampler *s, struct sampler_thread *thread, struct snapshot *snapshot)
{
	/* The consumer owns it from the commit on. */
	bool large = snapshot->n_bytes > WAKE_SIZE;

	snapshot->cpu_ns = thread->run_ns - thread->charged_ns;
	thread->charged_ns = thread->run_ns;
	s->stats.sampled_ns += snapshot->cpu_ns;
	s->stats.samples++;
	atomic_store_explicit(&s->shared->samples, s->stats.samples, memory_order_relaxed);
	ring_commit(s->ring, snapshot_size(snapshot));
	/* The sooner its depth is known, the less is copied next time. */
	if (large)
		(void)eventfd_write(s->options.wake_fd, 1);
}

static void on_stop(struct sampler *s, const struct tracee_event *event)
{
	struct sampler_thread *thread = sampler_threads_find(s, event->tid);
	const struct arch_transfer *transfer;
	struct snapshot *snapshot = NULL;
	/* Room for the block of any CPU; aligned for its words. */
	uint64_t user[64];
	bool waiting = false;
	uint64_t slices;

	s->stats.stops++;
	if (thread && tracee_registers(s->set, event->tid, s->arch, user) == 0) {
		slices = thread->slices;
		/* Exact here: the thread is off its CPU. */
		sampler_thread_look(s, thread, event->asked_ns);
		/* Put on a CPU once more, only to return from a wait: it did not run when it
		 * was asked to stop. */
		waiting = was_waiting(s->arch, user) && thread->slices != slices;
		if (!waiting)
			snapshot = take(s, thread, user);
		if (snapshot && snapshot->kind == SNAPSHOT_PCS &&
		    tracee_unwinder_run(s->unwinder, event->tid, s->trace) == 0)
			copy_frames(s, snapshot);
		switch (tracee_repair(s->set, event->tid, s->arch, user)) {
		case TRACEE_NOT_NEEDED:
			break;
		case TRACEE_REPAIRED:
			s->stats.repaired++;
			break;
		case TRACEE_LEFT_EINTR:
			s->stats.left_eintr++;
			break;
		}
		transfer = arch_transfer_short(s->arch, user);
		s->stats.short_counts += transfer != NULL;
		if (transfer && transfer->keeps_error)
			(void)tracee_mend_socket(event->tid, s->arch, user);
	}
	tracee_release(s->set, event->tid);
	hist_add(&s->stats.pause, clock_now_ns() - event->asked_ns);
	s->stats.blocked += waiting;
	if (snapshot)
		publish(s, thread, snapshot);
}

void sampler_on_event(struct sampler *s, const struct tracee_event *event)
{
	switch (event->kind) {
	case TRACEE_STOPPED:
		on_stop(s, event);
		break;
	case TRACEE_LOST:
		s->stats.lost++;
		break;
	case TRACEE_CHILD_ENDED:
		s->stats.status = event->status;
		s->stats.target_ended = true;
		break;
	}
	atomic_store(&s->shared->held, tracee_held(s->set));
}
