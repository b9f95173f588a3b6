/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a trace to a stack of the profile.
 *
 * Most of a thread's stack is what it was at the last sample. The locations of its last trace are
 * kept with the stacks that they led to; as long as the new trace has the same ones, from the root
 * on, the stacks are known without a search.
 */
#include <errno.h>
#include <stdio.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "session/consumer_priv.h"

int consumer_push_named(struct consumer *c, const char *mapping_name, uint32_t *mapping,
			const char *name, uint32_t *stack)
{
	uint32_t location;
	int r = consumer_pseudo_mapping(c, mapping_name, mapping);

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
	case TRACE_NO_REGISTER:
		return "[stack cut]";
	case TRACE_NO_CFI:
	case TRACE_BAD_MEMORY:
	case TRACE_LOOP:
	case TRACE_ENDS:
		break;
	}
	return "[stack broken]";
}

static void count_end(struct consumer *c, const struct snapshot *snapshot)
{
	atomic_fetch_add_explicit(&c->shared->traces[c->trace.end], 1, memory_order_relaxed);
	if (arch_reg_known(&snapshot->regs, arch_native()->fp) || snapshot->kind == SNAPSHOT_PCS)
		c->traces[c->trace.end]++;
	else
		c->read_traces[c->trace.end]++;
}

/* Grows `stack` by a frame, which is the `at`-th from the root. *same: so were all before it. */
static int push(struct consumer *c, struct consumer_recent *recent, uint32_t at, uint32_t location,
		bool *same, uint32_t *stack)
{
	struct consumer_recent_frame *frame;
	int r;

	*same = *same && at < recent->frames.n && recent->frames.items[at].location == location;
	if (*same) {
		*stack = recent->frames.items[at].stack;
		return 0;
	}
	r = profile_stack_intern(c->profile, *stack, location, stack);
	if (r < 0)
		return r;
	recent->frames.n = at;
	frame = vec_push(&recent->frames);
	if (!frame)
		return -ENOMEM;
	*frame = (struct consumer_recent_frame){location, *stack};
	return 0;
}

/* The system call as the leaf. */
static int push_call(struct consumer *c, int32_t nr, uint32_t *stack)
{
	const char *call = arch_syscall_name(arch_native(), nr);
	char name[128];
	uint32_t *known;
	int r;

	if ((unsigned)nr >= arch_native()->n_syscalls) {
		snprintf(name, sizeof(name), "[kernel] %s", call);
		return consumer_push_named(c, "[kernel]", &c->kernel_mapping, name, stack);
	}
	while (c->calls.n <= (size_t)nr) {
		if (!vec_push(&c->calls))
			return -ENOMEM;
	}
	known = &c->calls.items[nr];
	if (!*known) {
		snprintf(name, sizeof(name), "[kernel] %s", call);
		r = consumer_pseudo_mapping(c, "[kernel]", &c->kernel_mapping);
		if (r >= 0)
			r = profile_location_named(c->profile, c->kernel_mapping, name, known);
		if (r < 0)
			return r;
	}
	return profile_stack_intern(c->profile, *stack, *known, stack);
}

int consumer_stack(struct consumer *c, struct consumer_image *image, int32_t syscall,
		   const struct snapshot *snapshot, uint32_t *ret_stack)
{
	struct consumer_recent *recent = &c->recent[snapshot->slot % ARRAY_SIZE(c->recent)];
	const struct trace *trace = &c->trace;
	const char *mark = end_mark(trace->end);
	uint32_t stack = 0, location;
	/* A mark at the root is not among the frames that are kept. */
	bool same = !mark;
	int r = 0;

	count_end(c, snapshot);
	if (mark) {
		recent->frames.n = 0;
		r = consumer_push_named(c, "[cprof]", &c->cprof_mapping, mark, &stack);
	}
	for (uint32_t i = trace->n_frames; i-- > 0 && r >= 0;) {
		const struct frame *frame = &trace->frames[i];

		location = frame->tag;
		if (!location) {
			r = consumer_image_location(c, image, frame, &location);
			if (r >= 0)
				unwinder_tag(image->unwinder, frame_lookup_pc(frame), location);
		}
		if (r >= 0)
			r = push(c, recent, trace->n_frames - 1 - i, location, &same, &stack);
	}
	/* What follows a trace with a mark must not take its stacks for those of the root. */
	if (mark)
		recent->frames.n = 0;
	if (r >= 0 && syscall >= 0)
		r = push_call(c, syscall, &stack);
	if (r < 0)
		return err_trace(r);
	*ret_stack = stack;
	return 0;
}
