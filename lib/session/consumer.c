/* SPDX-License-Identifier: Apache-2.0 */
#include "session/consumer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/consumer_priv.h"
#include "session/session_call.h"

/* Reading the maps takes the target's mmap_lock for a moment: at most this share of the time, and
 * so much at once: a program that begins maps its libraries one after the other. */
#define REFRESH_SHARE 20
#define REFRESH_CREDIT (20 * NSEC_PER_MSEC)
/* Also when nothing seems unknown: another file may lie at a known address by now. */
#define REFRESH_EVERY (2 * NSEC_PER_SEC)

/* An image without its process: that has ended, or could not be opened. */
static int why_not(pid_t pid)
{
	struct process *process = NULL;
	int r = process_open(pid, &process);

	process_close(process);
	return r < 0 ? r : -ESRCH;
}

int consumer_new(pid_t pid, const struct consumer_options *options, struct sampler_shared *shared,
		 struct profile *profile, struct consumer **ret_consumer)
{
	struct consumer *c = calloc(1, sizeof(*c));
	const struct module_mapping *main_mapping;
	struct consumer_image *image;
	int r;

	if (!c)
		return err_trace(-ENOMEM);
	c->options = *options;
	c->shared = shared;
	c->profile = profile;
	r = namer_new(options->inlines, &c->namer);
	if (r >= 0)
		r = consumer_image_get(c, 0, pid, &image);
	if (r >= 0 && !image->process)
		r = why_not(pid);
	if (r >= 0) {
		/* pprof takes the first mapping for the program. */
		main_mapping = module_map_main(image->map);
		if (main_mapping)
			r = consumer_image_mapping(c, image, main_mapping);
	}
	if (r < 0) {
		consumer_free(c);
		return err_trace(r);
	}
	*ret_consumer = c;
	return 0;
}

struct consumer *consumer_free(struct consumer *c)
{
	if (!c)
		return NULL;
	/* The namer goes before the images that it names. */
	namer_free(c->namer);
	for (size_t i = c->n_given_back; i < c->ended.n; i++)
		namer_image_free(c->ended.items[i].naming);
	for (size_t i = 0; i < c->images.n; i++)
		consumer_image_free(c->images.items[i]);
	for (size_t i = 0; i < c->gaps.n; i++) {
		free((char *)c->gaps.items[i].path);
		free((char *)c->gaps.items[i].why);
	}
	vec_deinit(&c->images);
	vec_deinit(&c->shared_mappings);
	vec_deinit(&c->files);
	vec_deinit(&c->places);
	vec_deinit(&c->ended);
	vec_deinit(&c->slots);
	vec_deinit(&c->held);
	for (size_t i = 0; i < ARRAY_SIZE(c->recent); i++)
		vec_deinit(&c->recent[i].frames);
	vec_deinit(&c->calls);
	vec_deinit(&c->gaps);
	free(c);
	return NULL;
}

static bool has_unknown_pc(const struct consumer *c, const struct consumer_image *image)
{
	const struct trace *trace = &c->trace;

	if (trace->end == TRACE_ROOT || trace->n_frames == 0)
		return false;
	/* Where unwinding ended is where something may be missing. */
	return !module_map_find(image->map, frame_lookup_pc(&trace->frames[trace->n_frames - 1]));
}

/* What was enough so far is what to copy next time. Only ever more: a trace that ended early, by a
 * zero return address for instance, must not shorten those that follow. */
static void learn_top(struct consumer *c, const struct snapshot *snapshot, uint64_t top)
{
	_Atomic uint64_t *slot = &c->shared->tops[snapshot->slot % SAMPLER_TOPS];
	uint64_t known = atomic_load_explicit(slot, memory_order_relaxed);

	if (c->trace.end == TRACE_CUT)
		top = SAMPLER_TOP_BEYOND;
	else if (c->trace.end != TRACE_ROOT ||
		 (known > snapshot->stack_addr && known <= snapshot->stack_end && known > top))
		return;
	atomic_store_explicit(slot, top, memory_order_relaxed);
}

/* Whether the image's mappings may be read anew, as far as that depends on the time it takes. */
static bool earn_refresh(struct consumer_image *image, uint64_t now)
{
	uint64_t earned = (now - image->earned_at) / REFRESH_SHARE, spent = image->refresh_spent_ns;

	/* What is not spent is no more than the credit. */
	image->refresh_spent_ns = spent - MIN(spent, earned);
	image->earned_at = now;
	return image->refresh_spent_ns < REFRESH_CREDIT;
}

static void unwind(struct consumer *c, struct consumer_image *image,
		   const struct snapshot *snapshot)
{
	uint64_t now = clock_now_ns(), top;
	bool may_refresh = earn_refresh(image, now);

	if (now - image->refreshed_at > REFRESH_EVERY)
		(void)consumer_image_refresh(image);
	unwinder_run(image->unwinder, snapshot, &c->trace, &top);
	if (has_unknown_pc(c, image) && may_refresh &&
	    consumer_image_refresh(image) > MODULE_REFRESH_SAME)
		unwinder_run(image->unwinder, snapshot, &c->trace, &top);
	learn_top(c, snapshot, top);
}

static void load_frames(struct consumer *c, const struct snapshot *snapshot)
{
	const struct snapshot_pc *pcs = (const struct snapshot_pc *)snapshot->bytes;

	c->trace.n_frames = snapshot->n_bytes / (uint32_t)sizeof(*pcs);
	c->trace.end = snapshot->pcs_end;
	for (uint32_t i = 0; i < c->trace.n_frames; i++)
		c->trace.frames[i] = (struct frame){.pc = pcs[i].pc, .exact = pcs[i].exact != 0};
}

/* What is counted was called by the program; the agent stands in between. */
static void drop_agent(struct consumer *c, const struct consumer_image *image)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->trace.n_frames; i++) {
		const struct frame *frame = &c->trace.frames[i];
		const struct module_mapping *m =
			module_map_find(image->map, frame_lookup_pc(frame));

		if (!m || !module_is_agent(m->module))
			c->trace.frames[n++] = *frame;
	}
	c->trace.n_frames = n;
}

static int take_stack(struct consumer *c, struct consumer_image *image,
		      const struct snapshot *snapshot, uint32_t *ret_stack)
{
	struct consumer_slot *slot;
	int r;

	if (snapshot->kind == SNAPSHOT_STACK) {
		unwind(c, image, snapshot);
	} else {
		load_frames(c, snapshot);
		if (has_unknown_pc(c, image))
			(void)consumer_image_refresh(image);
	}
	if (snapshot->alloc_id || snapshot->custom)
		drop_agent(c, image);
	while (c->slots.n <= snapshot->slot) {
		if (!vec_push(&c->slots))
			return -ENOMEM;
	}
	slot = &c->slots.items[snapshot->slot];
	slot->syscall = snapshot->syscall;
	if (c->trace.n_frames)
		slot->syscall = session_call(image->map, c->trace.frames[0].pc, snapshot->syscall);
	r = consumer_wait(c, image, snapshot, slot->syscall, &slot->wait);
	if (r < 0)
		return err_trace(r);
	r = consumer_stack(c, image, slot->syscall, snapshot, &slot->stack);
	*ret_stack = slot->stack;
	slot->tid = snapshot->tid;
	memcpy(slot->name, snapshot->name, sizeof(slot->name));
	return r < 0 ? err_trace(r) : consumer_lock_note(c, image, snapshot, slot);
}

/* The stack of a snapshot; 0 and no error for records that are no samples. */
static int stack_of(struct consumer *c, struct consumer_image *image,
		    const struct snapshot *snapshot, uint32_t *ret_stack)
{
	const char *name = NULL;

	*ret_stack = 0;
	switch ((enum snapshot_kind)snapshot->kind) {
	case SNAPSHOT_STACK:
	case SNAPSHOT_PCS:
		return take_stack(c, image, snapshot, ret_stack);
	case SNAPSHOT_AGAIN:
		if (snapshot->slot < c->slots.n)
			*ret_stack = c->slots.items[snapshot->slot].stack;
		return 0;
	case SNAPSHOT_HELD:
		return consumer_lock_take(c, image, snapshot);
	case SNAPSHOT_EXITED:
		name = "[exited threads]";
		break;
	case SNAPSHOT_NEVER_MET:
		name = "[exited processes]";
		break;
	case SNAPSHOT_NOT_SEEN:
		name = "[not sampled]";
		break;
	case SNAPSHOT_NOT_READ:
		name = "[stack not read]";
		break;
	case SNAPSHOT_IMAGE:
		memcpy(image->name, snapshot->name, sizeof(image->name));
		return 0;
	case SNAPSHOT_IMAGE_ENDS:
		return consumer_image_end(c, snapshot->generation);
	}
	return consumer_push_named(c, "[cprof]", &c->cprof_mapping, name, ret_stack);
}

int consumer_take(struct consumer *c, const struct snapshot *snapshot)
{
	int64_t values[PROFILE_MAX_TYPES];
	struct consumer_slot *slot = NULL;
	struct consumer_image *image;
	uint32_t stack = 0, labels = 0;
	int r;

	r = consumer_image_get(c, snapshot->generation, snapshot->pid, &image);
	if (r >= 0)
		r = stack_of(c, image, snapshot, &stack);
	if (r < 0 || !stack)
		return err_trace(r);
	if (snapshot_has_stack(snapshot) && snapshot->slot < c->slots.n)
		slot = &c->slots.items[snapshot->slot];
	if (session_types_values(c->options.types, snapshot, values)) {
		r = consumer_labels(c, image, snapshot, slot, &labels);
		if (r >= 0)
			r = profile_sample_add(c->profile, stack, labels, values);
	}
	consumer_ask(c);
	return err_trace(r);
}

int consumer_take_stack(struct consumer *c, const struct snapshot *snapshot, uint32_t *ret_stack)
{
	struct consumer_image *image;
	int r = consumer_image_get(c, snapshot->generation, snapshot->pid, &image);

	if (r >= 0)
		r = take_stack(c, image, snapshot, ret_stack);
	consumer_ask(c);
	return err_trace(r);
}

int consumer_named_stack(struct consumer *c, const char *name, uint32_t *ret_stack)
{
	*ret_stack = 0;
	return err_trace(consumer_push_named(c, "[cprof]", &c->cprof_mapping, name, ret_stack));
}
