/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A dump as one JSON object; its members are described in cprof-dump(1). Addresses are strings in
 * hexadecimal, since many readers keep numbers as doubles.
 */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/clock.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "dump_words.h"

/* A NULL that jansson was out of memory for makes the member it goes into fail, and that is
 * noticed here. */
struct writer {
	const struct dump *dump;
	bool failed;
};

static void set(struct writer *w, json_t *object, const char *key, json_t *take_value)
{
	w->failed |= json_object_set_new(object, key, take_value) < 0;
}

static void append(struct writer *w, json_t *array, json_t *take_value)
{
	w->failed |= json_array_append_new(array, take_value) < 0;
}

static void set_hex(struct writer *w, json_t *object, const char *key, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "0x%" PRIx64, value);
	set(w, object, key, json_string(text));
}

/* A name out of a file of the target; absent when there is none. */
static void set_name(struct writer *w, json_t *object, const char *key, const char *name,
		     bool demangle)
{
	_cleanup_free_ char *clean = name && *name ? dump_name(name, demangle) : NULL;

	if (clean)
		set(w, object, key, json_string(clean));
	else
		w->failed |= name && *name;
}

static json_t *make_frame(struct writer *w, const struct dump_place *place, uint32_t at)
{
	const struct symbol_line *line = at < place->n_lines ? &place->lines[at] : NULL;
	json_t *frame = json_object();

	set_hex(w, frame, "pc", place->pc);
	set_name(w, frame, "module", place->path, false);
	if (place->path)
		set_hex(w, frame, "offset", place->svma);
	if (!line)
		return frame;
	set_name(w, frame, "function", line->system_name, true);
	set_name(w, frame, "linkage_name", line->system_name, false);
	set_name(w, frame, "file", line->file, false);
	if (line->line)
		set(w, frame, "line", json_integer(line->line));
	if (line->column)
		set(w, frame, "column", json_integer(line->column));
	set(w, frame, "inlined", json_boolean(at + 1 < place->n_lines));
	return frame;
}

static json_t *make_stack(struct writer *w, const struct dump_stack *stack)
{
	json_t *object = json_object(), *frames = json_array();
	const char *why = dump_why_cut(stack->end);

	set(w, object, "complete", json_boolean(!why));
	if (why)
		set(w, object, "missing", json_string(why));
	for (uint32_t i = 0; i < stack->n_frames; i++) {
		const struct dump_place *place = &w->dump->places.items[stack->places[i]];

		append(w, frames, make_frame(w, place, 0));
		for (uint32_t k = 1; k < place->n_lines; k++)
			append(w, frames, make_frame(w, place, k));
	}
	set(w, object, "frames", frames);
	set(w, object, "threads", json_array());
	set(w, object, "count", json_integer(0));
	return object;
}

static json_t *make_wait(struct writer *w, const struct process_wait *wait)
{
	json_t *object = json_object();

	set(w, object, "kind", json_string(process_wait_kind_name(wait->kind)));
	if (wait->text[0])
		set(w, object, "text", json_string(wait->text));
	if (wait->fd >= 0)
		set(w, object, "fd", json_integer(wait->fd));
	if (wait->child)
		set(w, object, "child", json_integer(wait->child));
	if (wait->kind == PROCESS_WAIT_FUTEX) {
		set_hex(w, object, "futex", wait->futex_addr);
		set(w, object, "shared", json_boolean(wait->shared));
	}
	set(w, object, "timed", json_boolean(wait->timed));
	return object;
}

static json_t *make_lock(struct writer *w, const struct dump_thread *thread)
{
	const struct process_lock *lock = &thread->lock;
	json_t *object = json_object();

	set(w, object, "kind", json_string(process_lock_kind_name(lock->kind)));
	if (lock->addr)
		set_hex(w, object, "address", lock->addr);
	if (thread->lock_name[0])
		set_name(w, object, "name", thread->lock_name, false);
	if (thread->owner != DUMP_NONE)
		set(w, object, "owner", json_integer(w->dump->threads.items[thread->owner].tid));
	else if (lock->owner)
		set(w, object, "owner_elsewhere", json_integer(lock->owner));
	if (lock->readers)
		set(w, object, "readers", json_integer(lock->readers));
	if (lock->kind == PROCESS_LOCK_MUTEX) {
		set(w, object, "recursive", json_boolean(lock->recursive));
		set(w, object, "robust", json_boolean(lock->robust));
		set(w, object, "priority_inheriting", json_boolean(lock->pi));
		set(w, object, "owner_died", json_boolean(lock->owner_died));
	}
	return object;
}

static json_t *make_thread(struct writer *w, const struct dump_thread *thread)
{
	const char *why = dump_why_no_stack(thread);
	char state[2] = {thread->state, '\0'}, head[DUMP_HEAD_SIZE];
	json_t *object = json_object();

	dump_head(w->dump, thread, head);
	set(w, object, "tid", json_integer(thread->tid));
	set(w, object, "name", json_string(thread->name));
	set(w, object, "state", json_string(state));
	set(w, object, "text", json_string(head));
	set(w, object, "stopped", json_boolean(thread->how == CENSUS_STOPPED));
	if (thread->syscall >= 0)
		set(w, object, "syscall",
		    json_string(arch_syscall_name(arch_native(), thread->syscall)));
	if (thread->how == CENSUS_READ)
		set(w, object, "wait", make_wait(w, &thread->wait));
	if (thread->lock.kind != PROCESS_LOCK_NONE)
		set(w, object, "lock", make_lock(w, thread));
	if (thread->cycle != DUMP_NONE)
		set(w, object, "deadlock", json_integer(thread->cycle));
	if (why)
		set(w, object, "no_stack", json_string(why));
	return object;
}

/* Notes that a stack, by its place in the array, is this thread's. */
static void join(struct writer *w, json_t *stacks, json_t *thread, size_t at, pid_t tid)
{
	json_t *stack = json_array_get(stacks, at);
	json_t *threads = json_object_get(stack, "threads");

	set(w, thread, "stack", json_integer((json_int_t)at));
	append(w, threads, json_integer(tid));
	set(w, stack, "count", json_integer((json_int_t)json_array_size(threads)));
}

static void add_threads(struct writer *w, bool fold, json_t *root)
{
	json_t *threads = json_array(), *stacks = json_array();

	for (size_t i = 0; fold && i < w->dump->stacks.n; i++)
		append(w, stacks, make_stack(w, &w->dump->stacks.items[i]));
	for (size_t i = 0; i < w->dump->threads.n && !w->failed; i++) {
		const struct dump_thread *from = &w->dump->threads.items[i];
		json_t *thread = make_thread(w, from);
		size_t at = from->stack;

		append(w, threads, thread);
		if (at == DUMP_NONE || w->failed)
			continue;
		if (!fold) {
			append(w, stacks, make_stack(w, &w->dump->stacks.items[at]));
			at = json_array_size(stacks) - 1;
		}
		join(w, stacks, thread, at, from->tid);
	}
	set(w, root, "threads", threads);
	set(w, root, "stacks", stacks);
}

static void add_deadlocks(struct writer *w, json_t *root)
{
	json_t *array = json_array();

	for (size_t i = 0; i < w->dump->cycles.n; i++) {
		const struct dump_cycle *cycle = &w->dump->cycles.items[i];
		json_t *object = json_object(), *threads = json_array();
		uint32_t at = cycle->first;

		do {
			append(w, threads, json_integer(w->dump->threads.items[at].tid));
			at = w->dump->threads.items[at].owner;
		} while (at != cycle->first);
		set(w, object, "threads", threads);
		set(w, object, "timed", json_boolean(cycle->timed));
		append(w, array, object);
	}
	set(w, root, "deadlocks", array);
}

static int write_piece(const char *bytes, size_t size, void *user)
{
	return sink_write(user, bytes, size) < 0 ? -1 : 0;
}

int dump_print_json(const struct dump *dump, bool fold, struct sink *sink)
{
	struct writer w = {.dump = dump};
	json_t *root = json_object();
	int r;

	set(&w, root, "pid", json_integer(dump->pid));
	set(&w, root, "name", json_string(dump->name));
	set(&w, root, "time", json_real((double)dump->time_ns / (double)NSEC_PER_SEC));
	set(&w, root, "complete", json_boolean(!dump_is_partial(dump)));
	set(&w, root, "ended", json_boolean(dump->census.ended));
	add_threads(&w, fold, root);
	add_deadlocks(&w, root);
	r = w.failed ? -ENOMEM
		     : json_dump_callback(root, write_piece, sink,
					  JSON_INDENT(1) | JSON_REAL_PRECISION(16));
	json_decref(root);
	if (r == 0)
		r = sink_write(sink, "\n", 1);
	return r < 0 ? err_trace(w.failed ? -ENOMEM : r == -1 ? -EIO : r) : 0;
}
