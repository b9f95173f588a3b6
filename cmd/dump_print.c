/* SPDX-License-Identifier: Apache-2.0 */
/* A dump as text: stacks once, under the threads that have them. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/intern.h"
#include "dump_words.h"

/* Threads of one stack that do the same are named up to so many. */
#define MAX_NAMED 16

DEFINE_CLEANUP(struct intern *, intern_free)

/* A thread in the order of printing. */
struct item {
	uint32_t thread;
	uint32_t group; /* first thread that has the same stack */
	uint32_t head;  /* number of the line that says what it does */
};

static int compare_items(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return (x->thread > y->thread) - (x->thread < y->thread);
}

static int print_line(const struct dump_place *place, uint32_t at, uint32_t index,
		      struct sink *sink)
{
	const struct symbol_line *line = &place->lines[at];
	_cleanup_free_ char *name = dump_name(line->system_name, true), *file = NULL;
	bool inlined = at + 1 < place->n_lines;
	int r;

	if (line->file)
		file = dump_name(line->file, false);
	else if (place->path && *place->path)
		file = dump_name(place->path, false);
	if (!name)
		return err_trace(-ENOMEM);
	if (at == 0)
		r = sink_printf(sink, "  #%-3" PRIu32 "0x%016" PRIx64 " %s", index, place->pc,
				name);
	else
		r = sink_printf(sink, "  %24s%s", "", name);
	if (r >= 0 && file)
		r = sink_printf(sink, line->file ? " at %s" : " in %s", file);
	if (r >= 0 && line->file && line->line)
		r = sink_printf(sink, ":%" PRIu32, line->line);
	if (r < 0)
		return r;
	return sink_printf(sink, "%s\n", inlined ? " (inlined)" : "");
}

static int print_unnamed(const struct dump_place *place, uint32_t index, struct sink *sink)
{
	_cleanup_free_ char *path =
		place->path && *place->path ? dump_name(place->path, false) : NULL;

	if (!path)
		return sink_printf(sink, "  #%-3" PRIu32 "0x%016" PRIx64 " ??\n", index, place->pc);
	return sink_printf(sink, "  #%-3" PRIu32 "0x%016" PRIx64 " ?? in %s+0x%" PRIx64 "\n", index,
			   place->pc, path, place->svma);
}

static int print_stack(const struct dump *dump, const struct dump_thread *thread, struct sink *sink)
{
	const char *why = dump_why_no_stack(thread);
	const struct dump_stack *stack;
	int r = 0;

	if (why)
		return sink_printf(sink, "  no stack: %s\n", why);
	stack = &dump->stacks.items[thread->stack];
	for (uint32_t i = 0; i < stack->n_frames && r >= 0; i++) {
		const struct dump_place *place = &dump->places.items[stack->places[i]];

		if (!place->n_lines)
			r = print_unnamed(place, i, sink);
		for (uint32_t k = 0; k < place->n_lines && r >= 0; k++)
			r = print_line(place, k, i, sink);
	}
	why = dump_why_cut(stack->end);
	return r < 0 || !why ? r : sink_printf(sink, "  the rest is missing: %s\n", why);
}

static int print_thread(const struct dump *dump, const struct dump_thread *thread,
			struct sink *sink)
{
	char head[DUMP_HEAD_SIZE], words[128];
	int r;

	dump_head(dump, thread, head);
	dump_thread_words(thread, words, sizeof(words));
	r = sink_printf(sink, "\nthread %s: %s\n", words, head);
	return r < 0 ? r : print_stack(dump, thread, sink);
}

/* "  4711 "a", 4712 "b": sleeping …" */
static int print_members(const struct dump *dump, const struct item *items, size_t n,
			 struct sink *sink)
{
	char head[DUMP_HEAD_SIZE], words[128];
	int r = 0;

	for (size_t i = 0; i < MIN(n, (size_t)MAX_NAMED) && r >= 0; i++) {
		dump_thread_words(&dump->threads.items[items[i].thread], words, sizeof(words));
		r = sink_printf(sink, "%s%s", i ? ", " : "  ", words);
	}
	if (n > MAX_NAMED && r >= 0)
		r = sink_printf(sink, " and %zu more", n - MAX_NAMED);
	dump_head(dump, &dump->threads.items[items[0].thread], head);
	return r < 0 ? r : sink_printf(sink, ": %s\n", head);
}

static int print_group(const struct dump *dump, const struct item *items, size_t n,
		       struct sink *sink)
{
	size_t end;
	int r;

	if (n == 1)
		return print_thread(dump, &dump->threads.items[items[0].thread], sink);
	r = sink_printf(sink, "\n%zu threads with the same stack:\n", n);
	for (size_t i = 0; i < n && r >= 0; i = end) {
		for (end = i + 1; end < n && items[end].head == items[i].head; end++)
			;
		r = print_members(dump, items + i, end - i, sink);
	}
	return r < 0 ? r : print_stack(dump, &dump->threads.items[items[0].thread], sink);
}

/* Groups in the order of their first threads. */
static int sort_items(const struct dump *dump, bool fold, struct item *items)
{
	_cleanup_(intern_free_cleanup) struct intern *heads = NULL;
	_cleanup_free_ uint32_t *firsts = calloc(dump->stacks.n + 1, sizeof(*firsts));
	int r = intern_new(&heads);

	if (!firsts)
		return err_trace(-ENOMEM);
	for (uint32_t i = 0; i < dump->threads.n && r >= 0; i++) {
		const struct dump_thread *thread = &dump->threads.items[i];
		char head[DUMP_HEAD_SIZE];

		items[i] = (struct item){.thread = i, .group = i};
		if (!fold || thread->stack == DUMP_NONE)
			continue;
		if (!firsts[thread->stack])
			firsts[thread->stack] = i + 1;
		items[i].group = firsts[thread->stack] - 1;
		r = intern_put(heads, head, dump_head(dump, thread, head), &items[i].head);
	}
	if (r < 0)
		return err_trace(r);
	if (dump->threads.n)
		qsort(items, dump->threads.n, sizeof(*items), compare_items);
	return 0;
}

static int print_title(const struct dump *dump, struct sink *sink)
{
	time_t seconds = (time_t)(dump->time_ns / NSEC_PER_SEC);
	char when[64] = "";
	struct tm tm;

	if (localtime_r(&seconds, &tm))
		(void)strftime(when, sizeof(when), ", %Y-%m-%d %H:%M:%S %Z", &tm);
	return sink_printf(sink, "process %d \"%s\", %zu thread%s%s\n", (int)dump->pid, dump->name,
			   dump->threads.n, dump->threads.n == 1 ? "" : "s", when);
}

static int print_cycle_note(const struct dump *dump, const struct dump_cycle *cycle,
			    struct sink *sink)
{
	uint32_t at = cycle->first;
	char words[128];
	int r = sink_printf(sink, "\n%s of %" PRIu32 " thread%s:",
			    cycle->timed ? "ring with a time-out" : "deadlock", cycle->n_threads,
			    cycle->n_threads == 1 ? "" : "s");

	do {
		const struct dump_thread *thread = &dump->threads.items[at];

		dump_thread_words(thread, words, sizeof(words));
		if (r >= 0)
			r = sink_printf(sink, "%s %s", at == cycle->first ? "" : ",", words);
		at = thread->owner;
	} while (at != cycle->first);
	return r < 0 ? r : sink_printf(sink, "\n");
}

int dump_print(const struct dump *dump, bool fold, struct sink *sink)
{
	_cleanup_free_ struct item *items = calloc(dump->threads.n + 1, sizeof(*items));
	size_t end;
	int r = items ? sort_items(dump, fold, items) : -ENOMEM;

	if (r >= 0)
		r = print_title(dump, sink);
	for (size_t i = 0; i < dump->threads.n && r >= 0; i = end) {
		for (end = i + 1; end < dump->threads.n && items[end].group == items[i].group;
		     end++)
			;
		r = print_group(dump, items + i, end - i, sink);
	}
	for (size_t i = 0; i < dump->cycles.n && r >= 0; i++)
		r = print_cycle_note(dump, &dump->cycles.items[i], sink);
	return r < 0 ? err_trace(r) : 0;
}

static int print_cycle(const struct dump *dump, uint32_t index, struct sink *sink)
{
	uint32_t at = dump->cycles.items[index].first;
	int r = print_cycle_note(dump, &dump->cycles.items[index], sink);

	do {
		if (r >= 0)
			r = print_thread(dump, &dump->threads.items[at], sink);
		at = dump->threads.items[at].owner;
	} while (at != dump->cycles.items[index].first);
	return r;
}

/* Who else waits for a lock, and what its owner does. */
static int print_chains(const struct dump *dump, struct sink *sink)
{
	char head[DUMP_HEAD_SIZE], words[128];
	int r = 0;

	for (size_t i = 0; i < dump->threads.n && r >= 0; i++) {
		const struct dump_thread *thread = &dump->threads.items[i];

		if (thread->lock.kind == PROCESS_LOCK_NONE ||
		    thread->lock.kind == PROCESS_LOCK_REFUSED || thread->cycle != DUMP_NONE)
			continue;
		dump_head(dump, thread, head);
		dump_thread_words(thread, words, sizeof(words));
		r = sink_printf(sink, "thread %s: %s\n", words, head);
		if (r < 0 || thread->owner == DUMP_NONE)
			continue;
		dump_head(dump, &dump->threads.items[thread->owner], head);
		r = sink_printf(sink, "  its owner: %s\n", head);
	}
	return r;
}

int dump_print_deadlocks(const struct dump *dump, struct sink *sink)
{
	uint32_t n = dump_count_deadlocks(dump);
	int r = print_title(dump, sink);

	for (uint32_t i = 0; i < dump->cycles.n && r >= 0; i++)
		r = print_cycle(dump, i, sink);
	for (size_t i = 0; i < dump->threads.n && r >= 0; i++) {
		if (dump->threads.items[i].lock.kind == PROCESS_LOCK_REFUSED)
			r = print_thread(dump, &dump->threads.items[i], sink);
	}
	if (r >= 0)
		r = sink_printf(sink, n ? "\n" : "no deadlock found\n");
	if (r >= 0)
		r = print_chains(dump, sink);
	return r < 0 ? err_trace(r) : 0;
}
