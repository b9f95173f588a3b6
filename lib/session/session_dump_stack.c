/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots to stacks with names, each address and each stack once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "session/session_dump_priv.h"

static bool has_unknown_pc(const struct dump_maker *m)
{
	const struct trace *trace = m->trace;

	return trace->end != TRACE_ROOT && trace->n_frames &&
	       !module_map_find(m->source->map,
				frame_lookup_pc(&trace->frames[trace->n_frames - 1]));
}

static void unwind(struct dump_maker *m, struct census_thread *from)
{
	uint64_t ignored;
	int r;

	unwinder_run(m->source->unwinder, from->snapshot, m->trace, &ignored);
	if (m->trace->end == TRACE_CUT && from->how == CENSUS_READ &&
	    census_read_more(m->census, from))
		unwinder_run(m->source->unwinder, from->snapshot, m->trace, &ignored);
	if (m->refreshed || !has_unknown_pc(m))
		return;
	m->refreshed = true;
	r = module_map_refresh(m->source->map);
	if (r == MODULE_REFRESH_REPLACED)
		unwinder_forget(m->source->unwinder);
	if (r > MODULE_REFRESH_SAME)
		unwinder_run(m->source->unwinder, from->snapshot, m->trace, &ignored);
}

static int name_place(struct dump_maker *m, const struct frame *frame, struct dump_place *place)
{
	uint64_t pc = frame_lookup_pc(frame);
	const struct module_mapping *mapping = module_map_find(m->source->map, pc);
	struct symbol_lines lines;
	int r;

	place->pc = frame->pc;
	if (!mapping)
		return 0;
	place->path = module_path(mapping->module);
	place->svma = frame->pc - module_bias(mapping->module);
	r = symbolizer_lookup(m->source->symbolizer, mapping->module, pc, &lines);
	if (r < 0 || !lines.n_lines)
		return err_trace(r);
	place->lines = calloc(lines.n_lines, sizeof(*place->lines));
	if (!place->lines)
		return err_trace(-ENOMEM);
	place->n_lines = lines.n_lines;
	memcpy(place->lines, lines.lines, lines.n_lines * sizeof(*place->lines));
	return 0;
}

static int find_place(struct dump_maker *m, const struct frame *frame, uint32_t *ret_place)
{
	struct dump_place *place;
	uint64_t *known;
	int r = map64_put(&m->places, frame_lookup_pc(frame), &known);

	/* The one key that it does not take is no address of code. */
	if (r == -EINVAL)
		r = map64_put(&m->places, 0, &known);
	if (r < 0)
		return err_trace(r);
	if (!*known) {
		place = vec_push(&m->dump.places);
		if (!place)
			return err_trace(-ENOMEM);
		r = name_place(m, frame, place);
		if (r < 0)
			return r;
		*known = m->dump.places.n;
	}
	*ret_place = (uint32_t)(*known - 1);
	return 0;
}

int dump_add_stack(struct dump_maker *m, struct census_thread *from, struct dump_thread *thread)
{
	_cleanup_free_ uint32_t *places = NULL;
	struct dump_stack *stack;
	uint32_t n, id;
	int r = 0;

	unwind(m, from);
	n = m->trace->n_frames;
	places = calloc(n + 1, sizeof(*places));
	if (!places)
		return err_trace(-ENOMEM);
	for (uint32_t i = 0; i < n && r >= 0; i++)
		r = find_place(m, &m->trace->frames[i], &places[i]);
	places[n] = (uint32_t)m->trace->end;
	if (r >= 0)
		r = intern_put(m->stacks, places, (n + 1) * sizeof(*places), &id);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		stack = vec_push(&m->dump.stacks);
		if (!stack)
			return err_trace(-ENOMEM);
		stack->places = take_ptr(places);
		stack->n_frames = n;
		stack->end = m->trace->end;
		m->dump.n_cut += stack->end != TRACE_ROOT;
	}
	m->dump.stacks.items[id].n_threads++;
	thread->stack = id;
	return 0;
}
