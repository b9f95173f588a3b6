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

/* Reading the maps takes the target's mmap_lock for a moment: at most this share of the time. */
#define REFRESH_SHARE 20
/* Also when nothing seems unknown: another file may lie at a known address by now. */
#define REFRESH_EVERY (2 * NSEC_PER_SEC)

static struct consumer_image *image_free(struct consumer_image *image)
{
	if (!image)
		return NULL;
	unwinder_free(image->unwinder);
	module_map_free(image->map);
	free(image->mapping_ids);
	free(image);
	return NULL;
}

DEFINE_CLEANUP(struct consumer_image *, image_free)

static int refresh(struct consumer *c, struct consumer_image *image)
{
	uint64_t start = clock_now_ns();
	int r = module_map_refresh(image->map);

	c->refreshed_at = clock_now_ns();
	c->refresh_cost_ns = c->refreshed_at - start;
	if (r == MODULE_REFRESH_REPLACED)
		unwinder_forget(image->unwinder);
	return r;
}

static int image_new(struct consumer *c, uint32_t generation)
{
	_cleanup_(image_free_cleanup) struct consumer_image *image = calloc(1, sizeof(*image));
	struct consumer_image **slot;
	int r;

	if (!image)
		return err_trace(-ENOMEM);
	image->generation = generation;
	r = module_map_new(c->process, &image->map);
	if (r < 0)
		return err_trace(r);
	r = unwinder_new(image->map, arch_native(), &image->unwinder);
	if (r < 0)
		return err_trace(r);
	r = refresh(c, image);
	/* A process that has just ended leaves an empty map: its samples stay without names. */
	if (r < 0 && r != -ESRCH)
		return err_trace(r);
	slot = vec_push(&c->images);
	if (!slot)
		return err_trace(-ENOMEM);
	*slot = take_ptr(image);
	return 0;
}

static struct consumer_image *current(struct consumer *c)
{
	return c->images.items[c->images.n - 1];
}

static int add_pseudo_mapping(struct consumer *c, const char *name, uint32_t *id)
{
	struct profile_mapping mapping = {.has_functions = true,
					  .has_filenames = true,
					  .has_line_numbers = true,
					  .has_inline_frames = true};
	int r;

	if (*id)
		return 0;
	r = profile_string(c->profile, name, &mapping.file);
	if (r < 0)
		return r;
	return profile_mapping_add(c->profile, &mapping, id);
}

static int mapping_id(struct consumer *c, struct consumer_image *image,
		      const struct module_mapping *m, uint32_t *ret_id)
{
	struct profile_mapping mapping = {.start = m->start, .limit = m->end, .offset = m->offset};
	const char *path = module_path(m->module);
	size_t grown;
	int r;

	if (m->index >= image->n_mapping_ids) {
		uint32_t *ids;

		grown = MAX((size_t)64, (size_t)m->index * 2);
		ids = reallocarray(image->mapping_ids, grown, sizeof(*ids));
		if (!ids)
			return err_trace(-ENOMEM);
		memset(ids + image->n_mapping_ids, 0,
		       (grown - image->n_mapping_ids) * sizeof(*ids));
		image->mapping_ids = ids;
		image->n_mapping_ids = grown;
	}
	*ret_id = image->mapping_ids[m->index];
	if (*ret_id)
		return 0;
	/* pprof knows this name for memory without a file. */
	r = profile_string(c->profile, *path ? path : "//anon", &mapping.file);
	if (r >= 0)
		r = profile_string(c->profile, module_build_id(m->module), &mapping.build_id);
	if (r >= 0)
		r = profile_mapping_add(c->profile, &mapping, ret_id);
	if (r < 0)
		return err_trace(r);
	image->mapping_ids[m->index] = *ret_id;
	return 0;
}

struct consumer_place *consumer_place(struct consumer *c, uint32_t location)
{
	while (c->places.n < location) {
		if (!vec_push(&c->places))
			return NULL;
	}
	return &c->places.items[location - 1];
}

int consumer_new(pid_t pid, struct sampler_shared *shared, struct profile *profile,
		 struct consumer **ret_consumer)
{
	struct consumer *c = calloc(1, sizeof(*c));
	const struct module_mapping *main_mapping;
	uint32_t ignored;
	int r;

	if (!c)
		return err_trace(-ENOMEM);
	c->pid = pid;
	c->shared = shared;
	c->profile = profile;
	r = process_open(pid, &c->process);
	if (r >= 0)
		r = image_new(c, 0);
	if (r >= 0)
		r = profile_string(profile, "thread", &c->key_thread);
	if (r >= 0)
		r = profile_string(profile, "tid", &c->key_tid);
	if (r >= 0)
		r = profile_string(profile, "mode", &c->key_mode);
	if (r >= 0)
		r = profile_string(profile, "user", &c->text_user);
	if (r >= 0)
		r = profile_string(profile, "kernel", &c->text_kernel);
	if (r >= 0) {
		/* pprof takes the first mapping for the program. */
		main_mapping = module_map_main(current(c)->map);
		if (main_mapping)
			r = mapping_id(c, current(c), main_mapping, &ignored);
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
	for (size_t i = 0; i < c->images.n; i++)
		image_free(c->images.items[i]);
	vec_deinit(&c->images);
	vec_deinit(&c->places);
	vec_deinit(&c->gaps);
	process_close(c->process);
	free(c);
	return NULL;
}

static int location_of(struct consumer *c, struct consumer_image *image, const struct frame *frame,
		       uint32_t *ret_location)
{
	uint64_t pc = frame_lookup_pc(frame);
	const struct module_mapping *m = module_map_find(image->map, pc);
	struct consumer_place *place;
	uint32_t mapping;
	int r;

	if (m) {
		r = mapping_id(c, image, m, &mapping);
	} else {
		r = add_pseudo_mapping(c, "[unknown]", &c->unknown_mapping);
		mapping = c->unknown_mapping;
	}
	if (r < 0)
		return r;
	r = profile_location_intern(c->profile, mapping, pc, ret_location);
	if (r < 0)
		return r;
	place = consumer_place(c, *ret_location);
	if (!place)
		return -ENOMEM;
	place->module = m ? m->module : NULL;
	return 0;
}

static int push_named(struct consumer *c, const char *mapping_name, uint32_t *mapping,
		      const char *name, uint32_t *stack)
{
	uint32_t location;
	int r = add_pseudo_mapping(c, mapping_name, mapping);

	if (r >= 0)
		r = profile_location_named(c->profile, *mapping, name, &location);
	if (r >= 0)
		r = profile_stack_intern(c->profile, *stack, location, stack);
	return r;
}

/* The frame at the root of a stack that is not complete, so that it shows. */
static const char *end_mark(enum trace_end end)
{
	switch (end) {
	case TRACE_ROOT:
		return NULL;
	case TRACE_DEPTH:
	case TRACE_CUT:
		return "[stack cut]";
	case TRACE_NO_CFI:
	case TRACE_BAD_MEMORY:
	case TRACE_LOOP:
	case TRACE_ENDS:
		break;
	}
	return "[stack broken]";
}

static int add_trace(struct consumer *c, struct consumer_image *image,
		     const struct snapshot *snapshot, uint32_t *ret_stack)
{
	const struct trace *trace = &c->trace;
	const char *mark = end_mark(trace->end);
	uint32_t stack = 0, location;
	char name[128];
	int r = 0;

	c->traces[trace->end]++;
	if (mark)
		r = push_named(c, "[cprof]", &c->cprof_mapping, mark, &stack);
	for (uint32_t i = trace->n_frames; i-- > 0 && r >= 0;) {
		r = location_of(c, image, &trace->frames[i], &location);
		if (r >= 0)
			r = profile_stack_intern(c->profile, stack, location, &stack);
	}
	if (r >= 0 && snapshot->syscall >= 0) {
		snprintf(name, sizeof(name), "[kernel] %s",
			 arch_syscall_name(arch_native(), snapshot->syscall));
		r = push_named(c, "[kernel]", &c->kernel_mapping, name, &stack);
	}
	if (r < 0)
		return err_trace(r);
	*ret_stack = stack;
	return 0;
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

static void unwind(struct consumer *c, struct consumer_image *image,
		   const struct snapshot *snapshot)
{
	uint64_t now = clock_now_ns(), top;
	bool may_refresh = now - c->refreshed_at > c->refresh_cost_ns * REFRESH_SHARE;

	if (now - c->refreshed_at > REFRESH_EVERY)
		(void)refresh(c, image);
	unwinder_run(image->unwinder, snapshot, &c->trace, &top);
	if (has_unknown_pc(c, image) && may_refresh && refresh(c, image) > MODULE_REFRESH_SAME)
		unwinder_run(image->unwinder, snapshot, &c->trace, &top);
	learn_top(c, snapshot, top);
}

static void load_frames(struct consumer *c, const struct snapshot *snapshot)
{
	const struct snapshot_pc *pcs = (const struct snapshot_pc *)snapshot->bytes;

	c->trace.n_frames = snapshot->n_bytes / (uint32_t)sizeof(*pcs);
	c->trace.end = snapshot->pcs_end;
	for (uint32_t i = 0; i < c->trace.n_frames; i++)
		c->trace.frames[i] = (struct frame){pcs[i].pc, pcs[i].exact != 0};
}

static int labels_of(struct consumer *c, const struct snapshot *snapshot, uint32_t *ret_labels)
{
	struct profile_label labels[3] = {{.key = c->key_thread}, {.key = c->key_tid}};
	uint32_t n = 0;
	char tid[16];
	int r;

	*ret_labels = 0;
	if (!snapshot->tid)
		return 0;
	snprintf(tid, sizeof(tid), "%d", snapshot->tid);
	r = profile_string(c->profile, snapshot->name, &labels[n++].text);
	if (r >= 0)
		r = profile_string(c->profile, tid, &labels[n++].text);
	if (r < 0)
		return r;
	if (snapshot->count)
		labels[n++] = (struct profile_label){.key = c->key_mode,
						     .text = snapshot->syscall >= 0 ? c->text_kernel
										    : c->text_user};
	return profile_labels_intern(c->profile, labels, n, ret_labels);
}

int consumer_take(struct consumer *c, const struct snapshot *snapshot)
{
	int64_t values[PROFILE_MAX_TYPES] = {snapshot->count, (int64_t)snapshot->cpu_ns};
	struct consumer_image *image = current(c);
	uint32_t stack = 0, labels;
	int r = 0;

	if (snapshot->generation != image->generation) {
		r = image_new(c, snapshot->generation);
		if (r < 0)
			return err_trace(r);
		image = current(c);
	}
	switch ((enum snapshot_kind)snapshot->kind) {
	case SNAPSHOT_STACK:
		unwind(c, image, snapshot);
		r = add_trace(c, image, snapshot, &stack);
		break;
	case SNAPSHOT_PCS:
		load_frames(c, snapshot);
		if (has_unknown_pc(c, image))
			(void)refresh(c, image);
		r = add_trace(c, image, snapshot, &stack);
		break;
	case SNAPSHOT_EXITED:
		r = push_named(c, "[cprof]", &c->cprof_mapping, "[exited threads]", &stack);
		break;
	case SNAPSHOT_NOT_SEEN:
		r = push_named(c, "[cprof]", &c->cprof_mapping, "[not sampled]", &stack);
		break;
	}
	if (r >= 0)
		r = labels_of(c, snapshot, &labels);
	if (r >= 0)
		r = profile_sample_add(c->profile, stack, labels, values);
	return err_trace(r);
}
