/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data model → pprof file.
 *
 * The message is written as a row of small Profile messages, one repeated item or a few scalars in
 * each: by the protobuf encoding, messages written one behind the other are merged, repeated fields
 * joined. So memory holds one item at a time, whatever the size of the profile. A scalar must be in
 * one of them only (time_nanos above all, see pprof_is_joined()).
 *
 * All of the model's mappings, functions and locations are written, used by a sample or not; their
 * ids are the model's, which are 1..n already.
 */
#include "pprof/pprof.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/vec.h"
#include "pprof/pprof_priv.h"

DEFINE_CLEANUP(struct pprof_gzip *, pprof_gzip_free)

typedef Perftools__Profiles__Profile profile_message;

static int write_piece(struct pprof_gzip *gzip, const profile_message *piece)
{
	uint8_t *room;
	int r;

	r = pprof_gzip_reserve(gzip, protobuf_c_message_get_packed_size(&piece->base), &room);
	if (r < 0)
		return err_trace(r);
	protobuf_c_message_pack(&piece->base, room);
	return 0;
}

/* The number of one of the spec's strings: the model interned them first, so this ends soon, and
 * equal strings are the same pointer. */
static int64_t spec_string(const struct profile *profile, const char *text)
{
	uint32_t id = 0;

	while (text && profile_get_string(profile, id) != text)
		id++;
	return text ? id : 0;
}

static Perftools__Profiles__ValueType value_type(const struct profile *profile,
						 const struct profile_value_type *from)
{
	Perftools__Profiles__ValueType to = PERFTOOLS__PROFILES__VALUE_TYPE__INIT;

	to.type = spec_string(profile, from->type);
	to.unit = spec_string(profile, from->unit);
	return to;
}

static int write_comments(const struct profile *profile, struct pprof_gzip *gzip)
{
	for (uint32_t i = 0; i < profile_n_comments(profile); i++) {
		profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		int64_t comment = profile_comment(profile, i);
		int r;

		piece.n_comment = 1;
		piece.comment = &comment;
		r = write_piece(gzip, &piece);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int write_head(const struct profile *profile, struct pprof_gzip *gzip)
{
	const struct profile_spec *spec = profile_get_spec(profile);
	Perftools__Profiles__ValueType types[PROFILE_MAX_TYPES], period_type;
	Perftools__Profiles__ValueType *type_pointers[PROFILE_MAX_TYPES];
	profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
	int r;

	for (uint32_t i = 0; i < spec->n_sample_types; i++) {
		types[i] = value_type(profile, &spec->sample_types[i]);
		type_pointers[i] = &types[i];
	}
	piece.n_sample_type = spec->n_sample_types;
	piece.sample_type = type_pointers;
	period_type = value_type(profile, &spec->period_type);
	piece.period_type = &period_type;
	piece.period = spec->period;
	piece.default_sample_type = spec_string(profile, spec->default_sample_type);
	piece.time_nanos = profile_time(profile);
	piece.duration_nanos = profile_duration(profile);
	r = write_piece(gzip, &piece);
	if (r < 0)
		return err_trace(r);
	return write_comments(profile, gzip);
}

static int write_mappings(const struct profile *profile, struct pprof_gzip *gzip)
{
	for (uint32_t id = 1; id <= profile_n_mappings(profile); id++) {
		const struct profile_mapping *from = profile_mapping(profile, id);
		Perftools__Profiles__Mapping to = PERFTOOLS__PROFILES__MAPPING__INIT, *item = &to;
		profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		int r;

		to.id = id;
		to.memory_start = from->start;
		to.memory_limit = from->limit;
		to.file_offset = from->offset;
		to.filename = from->file;
		to.build_id = from->build_id;
		to.has_functions = from->has_functions;
		to.has_filenames = from->has_filenames;
		to.has_line_numbers = from->has_line_numbers;
		to.has_inline_frames = from->has_inline_frames;
		piece.n_mapping = 1;
		piece.mapping = &item;
		r = write_piece(gzip, &piece);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int write_functions(const struct profile *profile, struct pprof_gzip *gzip)
{
	for (uint32_t id = 1; id <= profile_n_functions(profile); id++) {
		const struct profile_function *from = profile_function(profile, id);
		Perftools__Profiles__Function to = PERFTOOLS__PROFILES__FUNCTION__INIT, *item = &to;
		profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		int r;

		to.id = id;
		to.name = from->name;
		to.system_name = from->system_name;
		to.filename = from->file;
		to.start_line = from->start_line;
		piece.n_function = 1;
		piece.function = &item;
		r = write_piece(gzip, &piece);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

/* What is alive while one location or sample is packed; grows to the largest. */
struct scratch {
	VEC(Perftools__Profiles__Line) lines;
	VEC(Perftools__Profiles__Line *) line_pointers;
	VEC(uint64_t) locations;
};

static void scratch_deinit(struct scratch *scratch)
{
	vec_deinit(&scratch->lines);
	vec_deinit(&scratch->line_pointers);
	vec_deinit(&scratch->locations);
}

static int fill_lines(struct scratch *scratch, const struct profile_line *lines, uint32_t n_lines)
{
	if (vec_reserve(&scratch->lines, n_lines) < 0 ||
	    vec_reserve(&scratch->line_pointers, n_lines) < 0)
		return err_trace(-ENOMEM);
	for (uint32_t i = 0; i < n_lines; i++) {
		Perftools__Profiles__Line *line = &scratch->lines.items[i];

		perftools__profiles__line__init(line);
		line->function_id = lines[i].function;
		line->line = lines[i].line;
		line->column = lines[i].column;
		scratch->line_pointers.items[i] = line;
	}
	return 0;
}

static int write_locations(const struct profile *profile, struct pprof_gzip *gzip)
{
	_cleanup_(scratch_deinit) struct scratch scratch = {};

	for (uint32_t id = 1; id <= profile_n_locations(profile); id++) {
		const struct profile_location *from = profile_location(profile, id);
		Perftools__Profiles__Location to = PERFTOOLS__PROFILES__LOCATION__INIT, *item = &to;
		profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		int r;

		r = fill_lines(&scratch, profile_location_lines(profile, from), from->n_lines);
		if (r < 0)
			return err_trace(r);
		to.id = id;
		to.mapping_id = from->mapping;
		to.address = from->address;
		to.n_line = from->n_lines;
		to.line = scratch.line_pointers.items;
		piece.n_location = 1;
		piece.location = &item;
		r = write_piece(gzip, &piece);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int fill_stack(struct scratch *scratch, const struct profile *profile, uint32_t stack)
{
	scratch->locations.n = 0;
	for (; stack != 0; stack = profile_stack_callers(profile, stack)) {
		uint64_t *location = vec_push(&scratch->locations);

		if (!location)
			return err_trace(-ENOMEM);
		*location = profile_stack_leaf(profile, stack);
	}
	return 0;
}

static uint32_t fill_labels(Perftools__Profiles__Label to[static PROFILE_MAX_LABELS],
			    Perftools__Profiles__Label *pointers[static PROFILE_MAX_LABELS],
			    const struct profile *profile, uint32_t labels)
{
	const struct profile_label *from;
	uint32_t n;

	from = profile_labels(profile, labels, &n);
	for (uint32_t i = 0; i < n; i++) {
		perftools__profiles__label__init(&to[i]);
		to[i].key = from[i].key;
		to[i].str = from[i].text;
		if (from[i].text == 0) {
			to[i].num = from[i].number;
			to[i].num_unit = from[i].unit;
		}
		pointers[i] = &to[i];
	}
	return n;
}

static int write_samples(const struct profile *profile, struct pprof_gzip *gzip)
{
	_cleanup_(scratch_deinit) struct scratch scratch = {};
	Perftools__Profiles__Label labels[PROFILE_MAX_LABELS], *label_pointers[PROFILE_MAX_LABELS];
	Perftools__Profiles__Sample to = PERFTOOLS__PROFILES__SAMPLE__INIT, *item = &to;
	profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;

	piece.n_sample = 1;
	piece.sample = &item;
	to.n_value = profile_get_spec(profile)->n_sample_types;
	to.label = label_pointers;
	for (uint32_t i = 0; i < profile_n_samples(profile); i++) {
		const struct profile_sample *from = profile_sample(profile, i);
		int r;

		r = fill_stack(&scratch, profile, from->stack);
		if (r < 0)
			return err_trace(r);
		to.location_id = scratch.locations.items;
		to.n_location_id = scratch.locations.n;
		to.value = (int64_t *)from->values;
		to.n_label = fill_labels(labels, label_pointers, profile, from->labels);
		r = write_piece(gzip, &piece);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int write_strings(const struct profile *profile, struct pprof_gzip *gzip)
{
	for (uint32_t id = 0; id < profile_n_strings(profile); id++) {
		profile_message piece = PERFTOOLS__PROFILES__PROFILE__INIT;
		char *text = (char *)profile_get_string(profile, id);
		int r;

		piece.n_string_table = 1;
		piece.string_table = &text;
		r = write_piece(gzip, &piece);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

int pprof_write(const struct profile *profile, struct sink *sink)
{
	static int (*const parts[])(const struct profile *, struct pprof_gzip *) = {
		write_head,      write_samples,   write_mappings,
		write_locations, write_functions, write_strings,
	};
	_cleanup_(pprof_gzip_free_cleanup) struct pprof_gzip *gzip = NULL;
	int r;

	r = pprof_gzip_new(sink, &gzip);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		r = parts[i](profile, gzip);
		if (r < 0)
			return err_trace(r);
	}
	return pprof_gzip_finish(gzip);
}
