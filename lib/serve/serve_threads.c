/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every thread's stack once, as a profile.
 *
 * From a dump, which goes on beside the sampler: a thread that the sampler has at that moment is
 * asked again until it is free. What has no stack (it was held for longer, by the type threadcreate
 * for instance, or is not 64-bit) is under "[stack not read]".
 */
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "serve/serve_priv.h"
#include "session/session_dump.h"

DEFINE_CLEANUP(struct dump *, dump_free)

struct maker {
	struct serve_target *target;
	const struct dump *dump;
	struct profile *profile;
	struct serve_mappings mappings;
	VEC(uint32_t) locations; /* of the dump's places, by index; 0: not made yet */
	VEC(uint32_t) stacks;    /* likewise */
};

static void maker_deinit(struct maker *m)
{
	vec_deinit(&m->mappings.ids);
	vec_deinit(&m->locations);
	vec_deinit(&m->stacks);
	profile_free(m->profile);
}

static int add_line(struct maker *m, const struct symbol_line *from, struct profile_line *ret_line)
{
	struct profile_function function = {.start_line = from->start_line};
	int r = profile_string(m->profile, from->system_name, &function.system_name);

	function.name = function.system_name;
	if (r >= 0)
		r = profile_string(m->profile, from->file, &function.file);
	if (r >= 0)
		r = profile_function_intern(m->profile, &function, &ret_line->function);
	ret_line->line = from->line;
	ret_line->column = from->column;
	return r;
}

/* The frame's address is the leaf's own, and one before the return address of the others. */
static int make_location(struct maker *m, const struct dump_place *place, uint64_t address,
			 uint32_t *ret_id)
{
	struct profile_line lines[SYMBOL_MAX_INLINED];
	uint32_t mapping, n = MIN(place->n_lines, (uint32_t)SYMBOL_MAX_INLINED);
	int r = serve_names_mapping(m->target->names, m->profile, &m->mappings, address, &mapping);

	if (r >= 0)
		r = profile_location_intern(m->profile, mapping, address, ret_id);
	for (uint32_t i = 0; r >= 0 && i < n; i++)
		r = add_line(m, &place->lines[i], &lines[i]);
	if (r < 0 || !n || profile_location(m->profile, *ret_id)->n_lines)
		return r < 0 ? r : 0;
	return profile_location_set_lines(m->profile, *ret_id, lines, n);
}

static int push_named(struct maker *m, const char *name, uint32_t *stack)
{
	uint32_t location;
	int r = profile_location_named(m->profile, profile_n_mappings(m->profile) ? 1 : 0, name,
				       &location);

	return r < 0 ? r : profile_stack_intern(m->profile, *stack, location, stack);
}

static int make_stack(struct maker *m, const struct dump_stack *from, uint32_t *ret_stack)
{
	uint32_t stack = 0, location;
	int r = 0;

	if (from->end != TRACE_ROOT)
		r = push_named(m,
			       from->end == TRACE_CUT || from->end == TRACE_DEPTH
				       ? "[stack cut]"
				       : "[stack broken]",
			       &stack);
	for (uint32_t i = from->n_frames; r >= 0 && i-- > 0;) {
		uint32_t index = from->places[i];
		const struct dump_place *place = &m->dump->places.items[index];

		location = m->locations.items[index];
		if (!location)
			r = make_location(m, place, i ? place->pc - 1 : place->pc, &location);
		m->locations.items[index] = location;
		if (r >= 0)
			r = profile_stack_intern(m->profile, stack, location, &stack);
	}
	*ret_stack = stack;
	return r;
}

static const char *state_name(char letter)
{
	switch (letter) {
	case 'R':
		return "runnable";
	case 'D':
		return "disk";
	case 'T':
	case 't':
		return "stopped";
	default:
		return "sleeping";
	}
}

static int make_labels(struct maker *m, const struct dump_thread *thread, uint32_t *ret_labels)
{
	char tid[16];
	const char *const words[][2] = {
		{"thread", thread->name}, {"tid", tid}, {"state", state_name(thread->state)}};
	struct profile_label labels[ARRAY_SIZE(words)] = {};
	int r = 0;

	snprintf(tid, sizeof(tid), "%d", (int)thread->tid);
	for (size_t i = 0; i < ARRAY_SIZE(words) && r >= 0; i++) {
		r = profile_string(m->profile, words[i][0], &labels[i].key);
		r = r < 0 ? r : profile_string(m->profile, words[i][1], &labels[i].text);
	}
	return r < 0 ? r
		     : profile_labels_intern(m->profile, labels, ARRAY_SIZE(labels), ret_labels);
}

static int add_thread(struct maker *m, const struct dump_thread *thread)
{
	const int64_t one[PROFILE_MAX_TYPES] = {1};
	uint32_t stack = 0, labels;
	int r = 0;

	/* As the sampler does, a zombie has no stack and is none of them. */
	if (thread->how == CENSUS_ENDED)
		return 0;
	if (thread->stack == DUMP_NONE)
		r = push_named(m, "[stack not read]", &stack);
	else if (!(stack = m->stacks.items[thread->stack]))
		r = make_stack(m, &m->dump->stacks.items[thread->stack], &stack);
	if (r >= 0 && thread->stack != DUMP_NONE)
		m->stacks.items[thread->stack] = stack;
	if (r >= 0)
		r = make_labels(m, thread, &labels);
	return r < 0 ? r : profile_sample_add(m->profile, stack, labels, one);
}

/* A mapping may claim only what holds for all that is used of it. */
static int set_claims(struct profile *profile)
{
	for (uint32_t id = 1; id <= profile_n_mappings(profile); id++) {
		struct profile_mapping *mapping = profile_mapping(profile, id);
		bool is_used = false, functions = true, files = true, numbers = true;

		for (uint32_t i = 1; i <= profile_n_locations(profile); i++) {
			const struct profile_location *location = profile_location(profile, i);
			const struct profile_line *lines =
				profile_location_lines(profile, location);

			if (location->mapping != id || !location->address)
				continue;
			is_used = true;
			functions &= location->n_lines > 0;
			for (uint32_t k = 0; k < location->n_lines; k++) {
				files &= profile_function(profile, lines[k].function)->file != 0;
				numbers &= lines[k].line != 0;
			}
		}
		mapping->has_functions = is_used && functions;
		mapping->has_filenames = is_used && functions && files;
		mapping->has_line_numbers = is_used && functions && numbers;
		mapping->has_inline_frames = mapping->has_line_numbers;
	}
	return 0;
}

static int fill(struct maker *m)
{
	uint32_t ignored;
	/* The main executable is the first mapping, whatever the threads are in. */
	int r = serve_names_mapping(m->target->names, m->profile, &m->mappings, 0, &ignored);

	while (r >= 0 && m->locations.n < m->dump->places.n)
		r = vec_push(&m->locations) ? 0 : -ENOMEM;
	while (r >= 0 && m->stacks.n < m->dump->stacks.n)
		r = vec_push(&m->stacks) ? 0 : -ENOMEM;
	for (size_t i = 0; r >= 0 && i < m->dump->threads.n; i++)
		r = add_thread(m, &m->dump->threads.items[i]);
	profile_set_time(m->profile, (int64_t)m->dump->time_ns, 0);
	return r < 0 ? r : set_claims(m->profile);
}

/* With the lock held. The modules and their symbols are kept for the next time. */
static int make_dump(struct serve_target *target, struct dump **ret_dump)
{
	int r = 0;

	if (!target->dump_source)
		r = dump_source_new(target->pid, true, &target->dump_source);
	return r < 0 ? r : dump_make(target->dump_source, 0, ret_dump);
}

static int make_profile(struct serve_target *target, const char *value_type,
			struct profile **ret_profile)
{
	const struct profile_spec spec = {.sample_types = {{value_type, "count"}},
					  .n_sample_types = 1,
					  .period_type = {value_type, "count"},
					  .period = 1};
	_cleanup_(dump_free_cleanup) struct dump *dump = NULL;
	_cleanup_(maker_deinit) struct maker m = {.target = target};
	int r = make_dump(target, &dump);

	if (r >= 0)
		r = profile_new(&spec, &m.profile);
	m.dump = dump;
	if (r >= 0)
		r = fill(&m);
	if (r < 0)
		return r;
	*ret_profile = take_ptr(m.profile);
	return 0;
}

int serve_threads_profile(struct serve_target *target, const char *value_type,
			  struct profile **ret_profile)
{
	int r;

	pthread_mutex_lock(&target->dump_lock);
	r = make_profile(target, value_type, ret_profile);
	pthread_mutex_unlock(&target->dump_lock);
	return r;
}

static int write_dump(const struct serve *serve, struct serve_target *target, struct sink *sink)
{
	_cleanup_(dump_free_cleanup) struct dump *dump = NULL;
	int r = make_dump(target, &dump);

	return r < 0 ? r : serve->options.write_threads(dump, sink);
}

int serve_threads_write(const struct serve *serve, struct serve_target *target, struct sink *sink)
{
	int r;

	pthread_mutex_lock(&target->dump_lock);
	r = write_dump(serve, target, sink);
	pthread_mutex_unlock(&target->dump_lock);
	return r;
}
