/* SPDX-License-Identifier: Apache-2.0 */
#include "source/allocs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "snapshot/snapshot.h"
#include "source/source_priv.h"

#define RENEW_EVERY (NSEC_PER_SEC / 2)
/* What is in use is read now and then, for a target that ends before it is asked. */
#define LIVE_EVERY NSEC_PER_SEC
/* Thread slots of snapshots, which only tell stacks that may be alike. */
#define SLOTS 64
/* What the agent writes while it is stopped from counting comes within this time. */
#define LAST_TRIES 20
/* More than a process can have. */
#define SIZE_LIMIT (1ULL << 48)

struct allocs {
	struct process *process;
	struct queue *queue;
	struct allocs_image image;
	struct inject *inject;
	struct process_maps maps;
	struct agent_head head;
	struct agent_live *live;
	size_t n_live;                        /* read of them */
	struct agent_lost lost[AGENT_N_LOST]; /* likewise */
	struct agent_lost dropped[AGENT_N_LOST];
	uint64_t dropped_of[AGENT_MAX_PROFILES]; /* likewise, of custom ones */
	uint64_t renewed_at, live_at;
	struct allocs_stats stats;
};

static uint64_t wire_at(const struct allocs *a, size_t offset)
{
	return inject_wire_addr(a->inject) + offset;
}

static int read_head(struct allocs *a)
{
	const size_t size = sizeof(a->head);

	return process_read(a->process, wire_at(a, 0), &a->head, size) == (ssize_t)size ? 0
											: -ESRCH;
}

int allocs_new(struct process *process, struct queue *queue, const struct inject_options *options,
	       struct allocs_image image, struct allocs **ret_allocs)
{
	struct allocs *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return err_trace(-ENOMEM);
	a->process = process;
	a->queue = queue;
	a->image = image;
	a->live = malloc(AGENT_N_LIVE * sizeof(*a->live));
	r = a->live ? inject_new(process, options, &a->inject) : -ENOMEM;
	if (r != 0) {
		free(a->live);
		free(a);
		return r < 0 ? err_trace(r) : r;
	}
	*ret_allocs = a;
	return 0;
}

int allocs_start(struct allocs *a)
{
	int r;

	/* What the agent has room for comes within some milliseconds when much is allocated. */
	(void)source_raise_priority();
	r = inject_start(a->inject);
	a->renewed_at = a->live_at = clock_now_ns();
	return r < 0 ? err_trace(r) : r;
}

static void put_sample(struct allocs *a, const struct agent_sample *sample)
{
	size_t n = MIN(sample->n_bytes, (uint64_t)AGENT_STACK_MAX);
	struct snapshot *snapshot = queue_reserve(a->queue, sizeof(*snapshot) + n);
	bool is_counted = sample->what == AGENT_COUNT;
	bool is_good = sample->id && sample->id <= a->head.n_samples &&
		       sample->profile <= AGENT_MAX_PROFILES &&
		       (sample->size <= SIZE_LIMIT || is_counted);
	const struct process_mapping *m;

	/* What it is, is up to the target. */
	if (!snapshot || !is_good) {
		struct agent_lost *lost = &a->dropped[agent_lost_class(sample->size)];

		if (is_good && sample->profile) {
			a->dropped_of[sample->profile - 1]++;
			return;
		}
		a->stats.dropped++;
		lost->count += is_good;
		lost->bytes += is_good ? sample->size : 0;
		return;
	}
	*snapshot = (struct snapshot){.kind = SNAPSHOT_STACK,
				      .pid = process_pid(a->process),
				      .syscall = -1,
				      .time_ns = clock_now_ns(),
				      .generation = a->image.generation,
				      .alloc_id = a->image.first_id + sample->id,
				      .alloc_size = sample->size,
				      .custom = sample->profile,
				      .skip = sample->skip,
				      .counted = is_counted ? sample->size : 0,
				      .n_bytes = (uint32_t)n};
	for (unsigned i = 0; i < AGENT_N_REGS; i++)
		arch_reg_set(&snapshot->regs, i, sample->regs[i]);
	snapshot->stack_addr = snapshot->regs.values[arch_native()->sp];
	snapshot->stack_end = snapshot->stack_addr + n;
	m = process_maps_find(&a->maps, snapshot->stack_addr);
	if (m) {
		/* What lies behind the stack's own mapping was copied in vain. */
		snapshot->stack_end = m->end;
		snapshot->n_bytes = (uint32_t)MIN(n, m->end - snapshot->stack_addr);
	}
	snapshot->slot = (uint32_t)(snapshot->stack_end / AGENT_PAGE % SLOTS);
	memcpy(snapshot->bytes, sample->bytes, snapshot->n_bytes);
	queue_commit(a->queue, snapshot_size(snapshot));
}

/* One place of samples[], which becomes free. */
static int take_one(struct allocs *a, unsigned index)
{
	size_t at = offsetof(struct agent_wire, samples) + index * sizeof(struct agent_sample);
	size_t head = offsetof(struct agent_sample, bytes);
	uint32_t state = AGENT_SAMPLE_FREE;
	struct iovec local = {&state, sizeof(state)};
	struct iovec remote = {(void *)(uintptr_t)wire_at(a, offsetof(struct agent_head, states) +
								     index * sizeof(state)),
			       sizeof(state)};
	struct agent_sample sample;
	size_t n;

	if (process_read(a->process, wire_at(a, at), &sample, head) != (ssize_t)head)
		return -ESRCH;
	n = MIN(sample.n_bytes, (uint64_t)AGENT_STACK_MAX);
	if (process_read(a->process, wire_at(a, at + head), sample.bytes, n) != (ssize_t)n)
		return -ESRCH;
	if (!process_maps_find(&a->maps, sample.regs[arch_native()->sp])) {
		process_maps_deinit(&a->maps);
		if (process_maps_read(a->process, &a->maps) < 0)
			return -ESRCH;
	}
	put_sample(a, &sample);
	return process_vm_writev(process_pid(a->process), &local, 1, &remote, 1, 0) ==
			       (ssize_t)sizeof(state)
		       ? 0
		       : -ESRCH;
}

static int take_samples(struct allocs *a)
{
	int taken = 0, r = read_head(a);

	for (unsigned i = 0; i < AGENT_N_SAMPLES && r >= 0; i++) {
		if (a->head.states[i] != AGENT_SAMPLE_READY)
			continue;
		r = take_one(a, i);
		taken += r >= 0;
	}
	if (r < 0)
		return r;
	a->stats.samples = a->head.n_samples;
	a->stats.no_stack = a->head.n_no_room;
	a->stats.not_live = a->head.n_not_live;
	return taken;
}

static int read_live(struct allocs *a)
{
	size_t size = AGENT_N_LIVE * sizeof(*a->live);

	a->live_at = clock_now_ns();
	if (process_read(a->process, wire_at(a, offsetof(struct agent_wire, live)), a->live,
			 size) != (ssize_t)size)
		return -ESRCH;
	a->n_live = AGENT_N_LIVE;
	return 0;
}

static int read_lost(struct allocs *a)
{
	const size_t size = sizeof(a->lost);

	return process_read(a->process, wire_at(a, offsetof(struct agent_wire, lost)), a->lost,
			    size) == (ssize_t)size
		       ? 0
		       : -ESRCH;
}

int allocs_take(struct allocs *a)
{
	uint64_t now = clock_now_ns();
	int r = take_samples(a);

	if (r >= 0 && now - a->renewed_at > RENEW_EVERY) {
		int renewed = inject_renew(a->inject);

		a->renewed_at = clock_now_ns();
		if (renewed != INJECT_OK)
			r = renewed < 0 ? renewed : -ESRCH;
	}
	if (r >= 0 && now - a->live_at > LIVE_EVERY && (read_live(a) < 0 || read_lost(a) < 0))
		r = -ESRCH;
	if (r == -ESRCH)
		a->stats.target_ended = true;
	return r;
}

static bool any_is_busy(const struct allocs *a)
{
	for (unsigned i = 0; i < AGENT_N_SAMPLES; i++) {
		if (a->head.states[i] == AGENT_SAMPLE_BUSY)
			return true;
	}
	return false;
}

/* Who is in the middle of a call finishes it. */
static int take_rest(struct allocs *a)
{
	struct timespec pause = ns_timespec(NSEC_PER_MSEC);
	int r = 0;

	for (unsigned tries = 0; tries < LAST_TRIES; tries++) {
		r = take_samples(a);
		if (r < 0 || !any_is_busy(a))
			break;
		nanosleep(&pause, NULL);
	}
	return r < 0 ? r : read_lost(a);
}

static void finish(struct allocs *a)
{
	if (inject_stop(a->inject) != INJECT_OK) {
		a->stats.target_ended = true;
		return;
	}
	(void)take_rest(a);
	(void)read_live(a);
}

static int give_live(const struct allocs *a, struct allocs_live *live)
{
	live->items.n = 0;
	for (size_t i = 0; i < a->n_live; i++) {
		struct agent_live *slot;

		if (a->live[i].addr <= AGENT_LIVE_BUSY || a->live[i].size > SIZE_LIMIT)
			continue;
		slot = vec_push(&live->items);
		if (!slot)
			return err_trace(-ENOMEM);
		*slot = a->live[i];
		slot->id += slot->id ? a->image.first_id : 0;
	}
	memcpy(live->profiles, a->head.profiles, sizeof(live->profiles));
	for (size_t i = 0; i < AGENT_MAX_PROFILES; i++)
		live->profiles[i].no_stack += a->dropped_of[i];
	for (size_t i = 0; i < AGENT_N_LOST; i++) {
		live->lost[i].count = a->lost[i].count + a->dropped[i].count;
		live->lost[i].bytes = a->lost[i].bytes + a->dropped[i].bytes;
	}
	return 0;
}

int allocs_look(struct allocs *a, struct allocs_live *live)
{
	/* What lives has its sample before or soon. */
	int r = read_live(a), given;

	if (r >= 0)
		r = take_rest(a);
	if (r == -ESRCH)
		a->stats.target_ended = true;
	given = give_live(a, live);
	return given < 0 ? given : r;
}

void allocs_get_stats(const struct allocs *a, struct allocs_stats *ret_stats)
{
	*ret_stats = a->stats;
	inject_get_stats(a->inject, &ret_stats->inject);
}

struct allocs *allocs_free(struct allocs *a, struct allocs_live *live,
			   struct allocs_stats *ret_stats)
{
	if (!a)
		return NULL;
	if (!a->stats.target_ended && inject_wire_addr(a->inject))
		finish(a);
	(void)give_live(a, live);
	inject_free(a->inject, &a->stats.inject);
	*ret_stats = a->stats;
	process_maps_deinit(&a->maps);
	free(a->live);
	free(a);
	return NULL;
}
