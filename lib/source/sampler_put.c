/* SPDX-License-Identifier: Apache-2.0 */
/* Records for the consumer. */
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "source/sampler_priv.h"

/* The consumer is woken when so much waits for it: by one snapshot, since the sooner its depth is
 * known the less is copied next time; or by all that came since. */
#define WAKE_SIZE (64 * 1024)
#define WAKE_SUM (256 * 1024)

/* Stacks leave that much of the queue to the records without one: they are small, and what they say
 * is said only once. */
#define KEEP_FREE (4UL << 20)
/* At the end nothing is held up by waiting for the consumer. */
#define SETTLE_FOR (10 * NSEC_PER_SEC)

bool sampler_has_room(const struct sampler *s, size_t extra)
{
	return queue_room(s->queue) >= KEEP_FREE + extra;
}

static void *reserve(struct sampler *s, size_t extra)
{
	size_t size = sizeof(struct snapshot) + extra;
	void *place = !extra || sampler_has_room(s, extra) ? queue_reserve(s->queue, size) : NULL;

	while (!place && s->settling_since && clock_now_ns() < s->settling_since + SETTLE_FOR) {
		atomic_fetch_add_explicit(&s->shared->progress, 1, memory_order_relaxed);
		(void)eventfd_write(s->options.wake_fd, 1);
		(void)poll(NULL, 0, 1);
		place = queue_reserve(s->queue, size);
	}
	return place;
}

struct snapshot *sampler_reserve(struct sampler *s, struct sampler_target *target,
				 enum snapshot_kind kind, const struct sampler_thread *thread,
				 size_t extra)
{
	struct snapshot *snapshot = reserve(s, extra);

	if (!snapshot) {
		s->stats.dropped++;
		atomic_store_explicit(&s->shared->dropped, s->stats.dropped, memory_order_relaxed);
		return NULL;
	}
	memset(snapshot, 0, sizeof(*snapshot));
	snapshot->kind = kind;
	snapshot->generation = target->generation;
	snapshot->pid = target->pid;
	snapshot->syscall = -1;
	snapshot->time_ns = clock_now_ns();
	if (thread) {
		snapshot->tid = thread->tid;
		snapshot->slot = thread->slot;
		memcpy(snapshot->name, thread->name, sizeof(snapshot->name));
	}
	return snapshot;
}

/* The profile has the values of other types, too, which are not sampled now. */
static void mask(const struct sampler *s, struct snapshot *snapshot)
{
	if (!sampler_wants(s, SAMPLER_CPU))
		snapshot->cpu_count = 0, snapshot->cpu_ns = 0;
	if (!sampler_wants(s, SAMPLER_WALL | SAMPLER_THREADS))
		snapshot->count = 0, snapshot->wall_ns = 0;
	if (!sampler_wants(s, SAMPLER_BLOCK) && snapshot->kind != SNAPSHOT_HELD)
		snapshot->waits = 0, snapshot->delay_ns = 0;
	if (!sampler_wants(s, SAMPLER_CREATE))
		snapshot->created = 0;
}

void sampler_put(struct sampler *s, struct snapshot *snapshot)
{
	/* A child may be gone before the consumer has looked at what it has mapped. */
	bool wake = snapshot->n_bytes > WAKE_SIZE || snapshot->kind == SNAPSHOT_IMAGE ||
		    snapshot->pid != s->options.pid;

	s->unseen_bytes += snapshot_size(snapshot);
	wake = wake || s->unseen_bytes > WAKE_SUM;

	if (snapshot_has_stack(snapshot))
		s->stats.samples += snapshot->created ? snapshot->created
						      : MAX(snapshot->count, snapshot->cpu_count);
	mask(s, snapshot);
	atomic_store_explicit(&s->shared->samples, s->stats.samples, memory_order_relaxed);
	queue_commit(s->queue, snapshot_size(snapshot));
	if (!wake)
		return;
	s->unseen_bytes = 0;
	(void)eventfd_write(s->options.wake_fd, 1);
}

void sampler_put_pseudo(struct sampler *s, struct sampler_target *target, enum snapshot_kind kind,
			const struct sampler_thread *thread, uint64_t cpu_ns)
{
	struct snapshot *snapshot = sampler_reserve(s, target, kind, thread, 0);

	if (!snapshot)
		return;
	snapshot->cpu_ns = cpu_ns;
	sampler_put(s, snapshot);
}

void sampler_put_image(struct sampler *s, struct sampler_target *target, enum snapshot_kind kind)
{
	struct snapshot *snapshot = sampler_reserve(s, target, kind, NULL, 0);
	struct process_stat stat;

	if (!snapshot)
		return;
	if (process_stat_read(target->process, &stat) == 0)
		memcpy(snapshot->name, stat.name, sizeof(snapshot->name));
	target->announced = kind == SNAPSHOT_IMAGE;
	sampler_put(s, snapshot);
}
