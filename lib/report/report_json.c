/* SPDX-License-Identifier: Apache-2.0 */
#include "report/report_json.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/intern.h"
#include "base/map64.h"
#include "base/vec.h"
#include "report/report_json_priv.h"

static void writer_deinit(struct json_writer *w)
{
	free(w->names);
	intern_free(w->name_texts);
	intern_free(w->files);
	intern_free(w->modules);
	intern_free(w->frames);
	intern_free(w->threads);
	intern_free(w->processes);
	map64_deinit(&w->labels);
	map64_deinit(&w->stacks);
	map64_deinit(&w->nodes);
	vec_deinit(&w->tree);
	vec_deinit(&w->pending);
	map64_deinit(&w->sums);
	vec_deinit(&w->samples);
}

static int writer_init(struct json_writer *w)
{
	struct intern **tables[] = {&w->name_texts, &w->files,   &w->modules,
				    &w->frames,     &w->threads, &w->processes};
	uint32_t id;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(tables); i++)
		r = intern_new(tables[i]);
	/* What is not known is index 0. */
	if (r >= 0)
		r = intern_put(w->files, "", 0, &id);
	if (r >= 0)
		r = intern_put(w->modules, "", 0, &id);
	if (r < 0)
		return err_trace(r);
	w->names = calloc((size_t)profile_n_functions(w->profile) + 1, sizeof(*w->names));
	return w->names ? 0 : err_trace(-ENOMEM);
}

const char *report_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static int put_text(struct intern *table, const char *text, uint32_t *ret_id)
{
	int r = intern_put(table, text, strlen(text), ret_id);

	return r < 0 ? err_trace(r) : 0;
}

static int find_name(struct json_writer *w, uint32_t id, uint32_t *ret_name)
{
	const struct profile_function *function = profile_function(w->profile, id);
	const char *name = profile_get_string(w->profile, function->name);
	const char *system_name = profile_get_string(w->profile, function->system_name);
	_cleanup_free_ char *demangled = NULL;
	uint32_t index;
	int r;

	if (w->names[id] == 0) {
		if (*name == '\0')
			name = system_name;
		/* A name that differs from the system's was made for people already. */
		if (w->demangle && strcmp(name, system_name) == 0) {
			name = demangled = w->demangle(system_name);
			if (!name)
				return err_trace(-ENOMEM);
		}
		r = put_text(w->name_texts, name, &index);
		if (r < 0)
			return err_trace(r);
		w->names[id] = index + 1;
	}
	*ret_name = w->names[id] - 1;
	return 0;
}

/* As in the table of functions: what stands for a file whose function is not known. */
static int name_of_module(struct json_writer *w, const char *module, uint32_t *ret_name)
{
	_cleanup_free_ char *name = NULL;

	/* "[vdso]" has its brackets already. */
	if (asprintf(&name, *module == '[' ? "%s" : "[%s]", module) < 0) {
		name = NULL;
		return err_trace(-ENOMEM);
	}
	return put_text(w->name_texts, *module ? name : "<unknown>", ret_name);
}

/* The frame of a line, or of a location without lines (line NULL). */
static int find_frame(struct json_writer *w, const struct profile_location *location,
		      const struct profile_line *line, uint32_t *ret_frame)
{
	const struct profile_mapping *mapping =
		location->mapping ? profile_mapping(w->profile, location->mapping) : NULL;
	const char *module =
		mapping ? report_base_name(profile_get_string(w->profile, mapping->file)) : "";
	struct json_frame frame = {};
	int r;

	r = put_text(w->modules, module, &frame.module);
	if (r >= 0 && line) {
		uint32_t file = profile_function(w->profile, line->function)->file;

		frame.line = line->line;
		r = put_text(w->files, profile_get_string(w->profile, file), &frame.file);
		if (r >= 0)
			r = find_name(w, line->function, &frame.name);
	} else if (r >= 0) {
		r = name_of_module(w, module, &frame.name);
	}
	if (r >= 0)
		r = intern_put(w->frames, &frame, sizeof(frame), ret_frame);
	return r < 0 ? err_trace(r) : 0;
}

/* Puts a frame on top of a stack of ours. */
static int push_frame(struct json_writer *w, uint32_t frame, uint32_t *stack)
{
	uint64_t *known;
	int r;

	r = vec_reserve(&w->tree, w->tree.n + 1);
	if (r >= 0)
		r = map64_put(&w->nodes, (uint64_t)*stack << 32 | frame, &known);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		*vec_push(&w->tree) = (struct json_stack){.callers = *stack, .frame = frame};
		*known = w->tree.n;
	}
	*stack = (uint32_t)*known;
	return 0;
}

/* A location's lines are innermost first, and the outermost is what others call. */
static int push_location(struct json_writer *w, const struct profile_location *location,
			 uint32_t *stack)
{
	const struct profile_line *lines = profile_location_lines(w->profile, location);
	uint32_t n = location->n_lines, frame;

	for (uint32_t i = MAX(n, 1U); i > 0; i--) {
		int r = find_frame(w, location, n ? &lines[i - 1] : NULL, &frame);

		if (r >= 0)
			r = push_frame(w, frame, stack);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int find_stack(struct json_writer *w, uint32_t id, uint32_t *ret_stack)
{
	uint64_t *known = NULL;
	uint32_t stack;
	int r;

	w->pending.n = 0;
	for (; id && !(known = map64_get(&w->stacks, id));
	     id = profile_stack_callers(w->profile, id)) {
		r = vec_reserve(&w->pending, w->pending.n + 1);
		if (r < 0)
			return err_trace(r);
		*vec_push(&w->pending) = id;
	}
	stack = id ? (uint32_t)*known : 0;
	while (w->pending.n) {
		id = w->pending.items[--w->pending.n];
		r = push_location(w,
				  profile_location(w->profile, profile_stack_leaf(w->profile, id)),
				  &stack);
		if (r >= 0)
			r = map64_put(&w->stacks, id, &known);
		if (r < 0)
			return err_trace(r);
		*known = stack;
	}
	*ret_stack = stack;
	return 0;
}

static int find_thread(struct json_writer *w, uint32_t labels, uint32_t *ret_thread)
{
	uint32_t n;
	const struct profile_label *label = profile_labels(w->profile, labels, &n);
	struct json_thread thread = {};
	struct json_process process = {};
	uint64_t *known;
	int r;

	r = map64_put(&w->labels, labels, &known);
	if (r < 0)
		return err_trace(r);
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		const char *key = profile_get_string(w->profile, label[i].key);

		if (strcmp(key, "thread") == 0)
			thread.name = label[i].text;
		else if (strcmp(key, "tid") == 0)
			thread.tid = label[i].text;
		else if (strcmp(key, "process") == 0)
			process.name = label[i].text;
		else if (strcmp(key, "pid") == 0)
			process.pid = label[i].text;
	}
	if (r == 0) {
		r = intern_put(w->processes, &process, sizeof(process), &thread.process);
		if (r >= 0)
			r = intern_put(w->threads, &thread, sizeof(thread), ret_thread);
		if (r < 0)
			return err_trace(r);
		*known = *ret_thread;
	}
	*ret_thread = (uint32_t)*known;
	return 0;
}

/* Samples that only other labels tell apart are added up. */
static int add_sample(struct json_writer *w, const struct profile_sample *sample, int64_t value)
{
	uint32_t stack = 0, thread = 0;
	struct json_sample *sum;
	uint64_t *index;
	int r;

	r = find_stack(w, sample->stack, &stack);
	if (r >= 0)
		r = find_thread(w, sample->labels, &thread);
	if (r >= 0)
		r = vec_reserve(&w->samples, w->samples.n + 1);
	if (r >= 0)
		r = map64_put(&w->sums, (uint64_t)stack << 32 | thread, &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		*index = w->samples.n;
		*vec_push(&w->samples) = (struct json_sample){.stack = stack, .thread = thread};
	}
	sum = &w->samples.items[*index];
	sum->value = profile_value_add(sum->value, value);
	return 0;
}

int report_json(const struct profile *profile, uint32_t value_type,
		char *(*demangle)(const char *system_name), char **ret_text, size_t *ret_size)
{
	_cleanup_(writer_deinit) struct json_writer w = {.profile = profile, .demangle = demangle};
	json_t *json;
	char *text;
	int r;

	if (value_type >= profile_get_spec(profile)->n_sample_types)
		return err_trace(-EINVAL);
	r = writer_init(&w);
	for (uint32_t i = 0; r >= 0 && i < profile_n_samples(profile); i++) {
		const struct profile_sample *sample = profile_sample(profile, i);

		if (sample->values[value_type] != 0)
			r = add_sample(&w, sample, sample->values[value_type]);
	}
	if (r < 0)
		return err_trace(r);
	json = report_json_make(&w, value_type);
	if (!json)
		return err_trace(-ENOMEM);
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (!text)
		return err_trace(-ENOMEM);
	*ret_size = strlen(text);
	*ret_text = text;
	return 0;
}
