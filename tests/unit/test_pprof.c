/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/sink.h"
#include "pprof/pprof.h"
#include "pprof/pprof_priv.h"
#include "pprof/profile.pb-c.h"
#include "profile/profile.h"

static const struct profile_spec heap_spec = {
	.sample_types = {{"inuse_objects", "count"}, {"inuse_space", "bytes"}},
	.n_sample_types = 2,
	.period_type = {"space", "bytes"},
	.period = 524288,
	.default_sample_type = "inuse_space",
};

static uint32_t string(struct profile *profile, const char *text)
{
	uint32_t id;

	assert_int_equal(profile_string(profile, text, &id), 0);
	return id;
}

static uint32_t function(struct profile *profile, const char *name, uint32_t start_line)
{
	struct profile_function from = {.name = string(profile, name),
					.system_name = string(profile, name),
					.file = string(profile, "/src/main.c"),
					.start_line = start_line};
	uint32_t id;

	assert_int_equal(profile_function_intern(profile, &from, &id), 0);
	return id;
}

/* Something of everything. */
static struct profile *make_profile(void)
{
	struct profile_mapping mapping = {.start = 0x400000,
					  .limit = 0x500000,
					  .offset = 0x1000,
					  .has_functions = true,
					  .has_inline_frames = true};
	struct profile_line lines[2];
	struct profile_label labels[2];
	uint32_t id, inlined, exited, root, leaf, set;
	struct profile *profile;

	assert_int_equal(profile_new(&heap_spec, &profile), 0);
	profile_set_time(profile, 1700000000123456789, 30000000000);
	assert_int_equal(profile_comment_add(profile, "dropped: 0"), 0);
	assert_int_equal(profile_comment_add(profile, "host: gr\xc3\xbcn"), 0);
	mapping.file = string(profile, "/usr/bin/main");
	mapping.build_id = string(profile, "c0ffee");
	assert_int_equal(profile_mapping_add(profile, &mapping, &id), 0);
	mapping = (struct profile_mapping){.start = 0x7f0000000000, .limit = UINT64_MAX};
	assert_int_equal(profile_mapping_add(profile, &mapping, &id), 0);
	lines[0] = (struct profile_line){function(profile, "inlined", 7), 9, 12};
	lines[1] = (struct profile_line){function(profile, "main", 30), 33, 4};
	assert_int_equal(profile_location_intern(profile, 1, 0x400123, &inlined), 0);
	assert_int_equal(profile_location_set_lines(profile, inlined, lines, 2), 0);
	assert_int_equal(profile_location_intern(profile, 2, 0x7f0000000999, &id), 0);
	assert_int_equal(profile_location_named(profile, 1, "[exited threads]", &exited), 0);
	labels[0] = (struct profile_label){.key = string(profile, "thread"),
					   .text = string(profile, "worker")};
	labels[1] = (struct profile_label){
		.key = string(profile, "size"), .number = -64, .unit = string(profile, "bytes")};
	assert_int_equal(profile_labels_intern(profile, labels, 2, &set), 0);
	assert_int_equal(profile_stack_intern(profile, 0, inlined, &root), 0);
	assert_int_equal(profile_stack_intern(profile, root, id, &leaf), 0);
	assert_int_equal(profile_sample_add(profile, leaf, set, (int64_t[]){3, 4096}), 0);
	assert_int_equal(profile_stack_intern(profile, 0, exited, &leaf), 0);
	assert_int_equal(profile_sample_add(profile, leaf, 0, (int64_t[]){-1, INT64_MAX}), 0);
	assert_int_equal(profile_sample_add(profile, 0, 0, (int64_t[]){0, 1}), 0);
	return profile;
}

static void write_profile(const struct profile *profile, struct sink_memory *packed)
{
	sink_memory_init(packed);
	assert_int_equal(pprof_write(profile, &packed->sink), 0);
}

/* gzip by zlib's own means, to tell the room's bugs from the test's. */
static size_t unpack_file(const struct sink_memory *packed, uint8_t *plain, size_t room)
{
	z_stream stream = {.next_in = (Bytef *)packed->bytes,
			   .avail_in = (uInt)packed->size,
			   .next_out = plain,
			   .avail_out = (uInt)room};

	assert_int_equal(inflateInit2(&stream, 31), Z_OK);
	assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
	inflateEnd(&stream);
	return stream.total_out;
}

static const char *why_not(const void *bytes, size_t size)
{
	struct profile *profile = NULL;
	const char *why = NULL;
	int r = pprof_read(bytes, size, &why, &profile);

	assert_int_equal(r, -EBADMSG);
	assert_null(profile);
	assert_non_null(why);
	return why;
}

static void what_is_written_is_read(void **state)
{
	struct profile *profile = make_profile(), *copy;
	struct sink_memory packed, again;
	const struct profile_label *labels;
	const struct profile_line *lines;
	uint32_t n;

	write_profile(profile, &packed);
	assert_int_equal(pprof_read(packed.bytes, packed.size, NULL, &copy), 0);
	assert_string_equal(profile_get_spec(copy)->sample_types[1].type, "inuse_space");
	assert_string_equal(profile_get_spec(copy)->sample_types[0].unit, "count");
	assert_string_equal(profile_get_spec(copy)->period_type.type, "space");
	assert_string_equal(profile_get_spec(copy)->default_sample_type, "inuse_space");
	assert_int_equal(profile_get_spec(copy)->period, 524288);
	assert_true(profile_time(copy) == 1700000000123456789);
	assert_true(profile_duration(copy) == 30000000000);
	assert_int_equal(profile_n_comments(copy), 2);
	assert_string_equal(profile_get_string(copy, profile_comment(copy, 1)),
			    "host: gr\xc3\xbcn");
	assert_int_equal(profile_n_mappings(copy), 2);
	assert_string_equal(profile_get_string(copy, profile_mapping(copy, 1)->build_id), "c0ffee");
	assert_true(profile_mapping(copy, 1)->has_functions);
	assert_false(profile_mapping(copy, 1)->has_filenames);
	assert_true(profile_mapping(copy, 1)->has_inline_frames);
	assert_int_equal(profile_mapping(copy, 1)->offset, 0x1000);
	assert_true(profile_mapping(copy, 2)->limit == UINT64_MAX);
	assert_int_equal(profile_location(copy, 1)->address, 0x400123);
	assert_int_equal(profile_location(copy, 1)->n_lines, 2);
	lines = profile_location_lines(copy, profile_location(copy, 1));
	assert_int_equal(lines[0].line, 9);
	assert_int_equal(lines[0].column, 12);
	assert_int_equal(profile_function(copy, lines[1].function)->start_line, 30);
	assert_int_equal(profile_location(copy, 2)->mapping, 2);
	assert_int_equal(profile_n_samples(copy), 3);
	assert_int_equal(profile_sample(copy, 0)->values[1], 4096);
	assert_int_equal(profile_stack_leaf(copy, profile_sample(copy, 0)->stack), 2);
	assert_true(profile_sample(copy, 1)->values[0] == -1);
	assert_true(profile_sample(copy, 1)->values[1] == INT64_MAX);
	labels = profile_labels(copy, profile_sample(copy, 0)->labels, &n);
	assert_int_equal(n, 2);
	assert_string_equal(profile_get_string(copy, labels[0].text), "worker");
	assert_true(labels[1].number == -64);
	assert_string_equal(profile_get_string(copy, labels[1].unit), "bytes");

	/* Nothing else was lost either: writing the copy makes the same file. */
	write_profile(copy, &again);
	assert_int_equal(again.size, packed.size);
	assert_memory_equal(again.bytes, packed.bytes, packed.size);
	sink_memory_deinit(&packed);
	sink_memory_deinit(&again);
	profile_free(copy);
	profile_free(profile);
}

static void the_file_obeys_the_strict_readers(void **state)
{
	struct profile *profile = make_profile();
	Perftools__Profiles__Profile *message;
	static uint8_t plain[65536];
	struct sink_memory packed;
	int n_times = 0;
	size_t size;

	write_profile(profile, &packed);
	/* Go writes level 1 without a name or a time; Z's header byte 8 says "fastest". */
	assert_memory_equal(packed.bytes, "\x1f\x8b\x08\0\0\0\0\0", 8);
	size = unpack_file(&packed, plain, sizeof(plain));
	/* 0x48: the tag of time_nanos; its value's bytes follow. */
	for (size_t i = 0; i + 10 <= size; i++)
		n_times += memcmp(plain + i, "\x48\x95\x9a\x97\xec\xe3\x9f\xe7\xcb\x17", 10) == 0;
	assert_int_equal(n_times, 1);
	message = perftools__profiles__profile__unpack(NULL, size, plain);
	assert_non_null(message);
	assert_string_equal(message->string_table[0], "");
	assert_int_equal(message->n_string_table, profile_n_strings(profile));
	assert_int_equal(message->n_location, 3);
	for (size_t i = 0; i < message->n_location; i++)
		assert_int_equal(message->location[i]->id, i + 1);
	for (size_t i = 0; i < message->n_function; i++)
		assert_int_equal(message->function[i]->id, i + 1);
	assert_int_equal(message->sample[0]->n_location_id, 2);
	assert_int_equal(message->sample[0]->location_id[0], 2);
	assert_int_equal(message->sample[0]->location_id[1], 1);
	assert_int_equal(message->sample[0]->label[0]->num_unit, 0);
	assert_int_equal(message->sample[0]->label[1]->str, 0);
	assert_string_equal(message->string_table[message->default_sample_type], "inuse_space");
	perftools__profiles__profile__free_unpacked(message, NULL);
	sink_memory_deinit(&packed);
	profile_free(profile);
}

static void an_empty_profile_has_its_types(void **state)
{
	struct profile_spec spec = heap_spec;
	struct profile *profile, *copy;
	struct sink_memory packed;

	spec.default_sample_type = NULL;
	assert_int_equal(profile_new(&spec, &profile), 0);
	write_profile(profile, &packed);
	assert_int_equal(pprof_read(packed.bytes, packed.size, NULL, &copy), 0);
	assert_int_equal(profile_get_spec(copy)->n_sample_types, 2);
	assert_null(profile_get_spec(copy)->default_sample_type);
	assert_int_equal(profile_n_samples(copy), 0);
	sink_memory_deinit(&packed);
	profile_free(copy);
	profile_free(profile);
}

/* Pieces larger than the packer's buffer, and a file of many pieces. */
static void large_items_are_written_whole(void **state)
{
	struct profile *profile, *copy;
	struct sink_memory packed;
	uint32_t stack = 0, location;
	char *comment;

	assert_int_equal(profile_new(&heap_spec, &profile), 0);
	for (uint32_t i = 0; i < 200000; i++) {
		assert_int_equal(profile_location_intern(profile, 0, i * 977, &location), 0);
		assert_int_equal(profile_stack_intern(profile, stack, location, &stack), 0);
	}
	assert_int_equal(profile_sample_add(profile, stack, 0, (int64_t[]){1, 2}), 0);
	comment = malloc(PROFILE_MAX_STRING + 1);
	assert_non_null(comment);
	memset(comment, 'c', PROFILE_MAX_STRING);
	comment[PROFILE_MAX_STRING] = '\0';
	assert_int_equal(profile_comment_add(profile, comment), 0);
	write_profile(profile, &packed);
	assert_int_equal(pprof_read(packed.bytes, packed.size, NULL, &copy), 0);
	stack = profile_sample(copy, 0)->stack;
	for (uint32_t i = 200000; i > 0; i--) {
		assert_int_equal(profile_stack_leaf(copy, stack), i);
		stack = profile_stack_callers(copy, stack);
	}
	assert_int_equal(stack, 0);
	assert_int_equal(profile_location(copy, 200000)->address, 199999 * 977);
	assert_string_equal(profile_get_string(copy, profile_comment(copy, 0)), comment);
	free(comment);
	sink_memory_deinit(&packed);
	profile_free(copy);
	profile_free(profile);
}

static int full_write(struct sink *sink, const void *bytes, size_t size)
{
	return -ENOSPC;
}

static void the_sink_s_error_is_returned(void **state)
{
	struct profile *profile = make_profile();
	struct sink full = {.write = full_write};

	assert_int_equal(pprof_write(profile, &full), -ENOSPC);
	profile_free(profile);
}

static void damaged_files_are_refused(void **state)
{
	struct profile *profile = make_profile(), *copy;
	struct sink_memory packed;
	static uint8_t plain[65536];
	size_t size;

	write_profile(profile, &packed);
	assert_string_equal(why_not("", 0), "it is empty");
	assert_string_equal(why_not("hello, world", 12), "it is not a profile.proto message");
	/* A field of 100 bytes of which one is there. */
	assert_string_equal(why_not("\x32\x64x", 3), "it is not a profile.proto message");
	for (size_t cut = 2; cut < packed.size; cut++)
		assert_string_equal(why_not(packed.bytes, cut),
				    "it ends in the middle of its gzip data");
	packed.bytes[packed.size - 5] ^= 1; /* the checksum */
	assert_string_equal(why_not(packed.bytes, packed.size), "its gzip data is damaged");
	packed.bytes[packed.size - 5] ^= 1;
	/* Plain is as good as packed. */
	size = unpack_file(&packed, plain, sizeof(plain));
	assert_int_equal(pprof_read(plain, size, NULL, &copy), 0);
	assert_int_equal(profile_n_samples(copy), 3);
	profile_free(copy);
	/* Rubbish behind the gzip member. */
	assert_int_equal(sink_write(&packed.sink, "rubbish rubbish rubbish", 23), 0);
	assert_string_equal(why_not(packed.bytes, packed.size), "its gzip data is damaged");
	sink_memory_deinit(&packed);
	profile_free(profile);
}

static void joined_files_are_refused(void **state)
{
	struct profile *profile = make_profile(), *copy;
	struct sink_memory packed, twice;

	write_profile(profile, &packed);
	write_profile(profile, &twice);
	assert_int_equal(sink_write(&twice.sink, packed.bytes, packed.size), 0);
	assert_string_equal(why_not(twice.bytes, twice.size),
			    "it holds several profiles written one behind the other");
	sink_memory_deinit(&twice);
	/* Several gzip members that make one message are fine: an empty one behind it. */
	assert_int_equal(
		sink_write(&packed.sink, "\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0", 20),
		0);
	assert_int_equal(pprof_read(packed.bytes, packed.size, NULL, &copy), 0);
	sink_memory_deinit(&packed);
	profile_free(copy);
	profile_free(profile);
}

static void a_bomb_is_refused(void **state)
{
	enum {
		MEMBER = 64 << 20,
	};
	uint8_t *zeros = calloc(1, MEMBER), *out = malloc(MEMBER);
	z_stream stream = {.next_in = zeros, .avail_in = MEMBER, .avail_out = MEMBER};
	struct profile *profile;
	struct sink_memory packed;

	assert_non_null(zeros);
	assert_non_null(out);
	stream.next_out = out;
	assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	sink_memory_init(&packed);
	for (int i = 0; i < 17; i++)
		assert_int_equal(sink_write(&packed.sink, out, stream.total_out), 0);
	assert_int_equal(pprof_read(packed.bytes, packed.size, NULL, &profile), -EFBIG);
	deflateEnd(&stream);
	sink_memory_deinit(&packed);
	free(zeros);
	free(out);
}

/* A small good message, for the tests to spoil. */
struct message {
	Perftools__Profiles__Profile profile;
	Perftools__Profiles__ValueType types[13], *type_pointers[13], period_type;
	Perftools__Profiles__Sample sample, *sample_pointer;
	Perftools__Profiles__Mapping mapping, *mapping_pointer;
	Perftools__Profiles__Location locations[2], *location_pointers[2];
	Perftools__Profiles__Line line, *line_pointer;
	Perftools__Profiles__Function function, *function_pointer;
	Perftools__Profiles__Label labels[65], *label_pointers[65];
	uint64_t location_ids[2];
	int64_t values[2], comment;
	const char *texts[3];
};

static void make_message(struct message *m)
{
	perftools__profiles__profile__init(&m->profile);
	perftools__profiles__value_type__init(&m->period_type);
	perftools__profiles__sample__init(&m->sample);
	perftools__profiles__mapping__init(&m->mapping);
	perftools__profiles__line__init(&m->line);
	perftools__profiles__function__init(&m->function);
	for (int i = 0; i < 13; i++) {
		perftools__profiles__value_type__init(&m->types[i]);
		m->types[i].type = 1;
		m->types[i].unit = 2;
		m->type_pointers[i] = &m->types[i];
	}
	for (int i = 0; i < 2; i++) {
		perftools__profiles__location__init(&m->locations[i]);
		m->locations[i].id = (uint64_t)i + 1;
		m->locations[i].mapping_id = 1;
		m->location_pointers[i] = &m->locations[i];
		m->location_ids[i] = (uint64_t)i + 1;
		m->values[i] = i;
	}
	for (int i = 0; i < 65; i++) {
		perftools__profiles__label__init(&m->labels[i]);
		m->labels[i].key = 1;
		m->labels[i].str = 2;
		m->label_pointers[i] = &m->labels[i];
	}
	m->texts[0] = "";
	m->texts[1] = "cpu";
	m->texts[2] = "nanoseconds";
	m->comment = 2;
	m->mapping.id = 1;
	m->function.id = 1;
	m->function.name = 1;
	m->line.function_id = 1;
	m->line_pointer = &m->line;
	m->locations[1].n_line = 1;
	m->locations[1].line = &m->line_pointer;
	m->sample.n_location_id = 2;
	m->sample.location_id = m->location_ids;
	m->sample.n_value = 2;
	m->sample.value = m->values;
	m->sample.n_label = 1;
	m->sample.label = m->label_pointers;
	m->sample_pointer = &m->sample;
	m->mapping_pointer = &m->mapping;
	m->function_pointer = &m->function;
	m->profile.n_sample_type = 2;
	m->profile.sample_type = m->type_pointers;
	m->profile.period_type = &m->period_type;
	m->profile.n_sample = 1;
	m->profile.sample = &m->sample_pointer;
	m->profile.n_mapping = 1;
	m->profile.mapping = &m->mapping_pointer;
	m->profile.n_location = 2;
	m->profile.location = m->location_pointers;
	m->profile.n_function = 1;
	m->profile.function = &m->function_pointer;
	m->profile.n_string_table = 3;
	m->profile.string_table = (char **)m->texts;
	m->profile.n_comment = 1;
	m->profile.comment = &m->comment;
}

static int read_message(const struct message *m, const char **ret_why, struct profile **ret_profile)
{
	size_t size = perftools__profiles__profile__get_packed_size(&m->profile);
	uint8_t *bytes = malloc(size);
	int r;

	assert_non_null(bytes);
	perftools__profiles__profile__pack(&m->profile, bytes);
	r = pprof_read(bytes, size, ret_why, ret_profile);
	free(bytes);
	return r;
}

static void assert_refused(const struct message *m, const char *why, int line)
{
	struct profile *profile = NULL;
	const char *said = "taken";

	if (read_message(m, &said, &profile) != -EBADMSG || strcmp(said, why) != 0)
		fail_msg("line %d: expected \"%s\", got \"%s\"", line, why, said);
	assert_null(profile);
}

#define REFUSED(why, spoil)                                                                        \
	do {                                                                                       \
		make_message(&m);                                                                  \
		spoil;                                                                             \
		assert_refused(&m, why, __LINE__);                                                 \
	} while (0)

static void bad_messages_are_refused(void **state)
{
	static const char bad_text[] = "a text index lies outside the string table";
	static const char bad_table[] = "the string table does not begin with the empty text";
	static const char bad_location[] = "a sample refers to a location that does not exist";
	static const char bad_function[] = "a line refers to a function that does not exist";
	static const char bad_mapping_ids[] = "the ids of the mappings are not 1, 2, 3 and so on";
	static const char bad_location_ids[] = "the ids of the locations are not 1, 2, 3 and so on";
	static const char bad_function_ids[] = "the ids of the functions are not 1, 2, 3 and so on";
	static const char bad_values[] = "a sample does not have one value for each sample type";
	struct profile *profile;
	static struct message m;

	make_message(&m);
	assert_int_equal(read_message(&m, NULL, &profile), 0);
	assert_int_equal(profile_n_samples(profile), 1);
	profile_free(profile);

	REFUSED(bad_table, m.profile.n_string_table = 0);
	REFUSED(bad_table, m.texts[0] = "cpu");
	REFUSED("a text is not valid UTF-8", m.texts[2] = "nano\xc3");
	REFUSED("there is no sample type", m.profile.n_sample_type = 0);
	REFUSED("there are more than 12 sample types, which cprof cannot hold",
		m.profile.n_sample_type = 13);
	REFUSED(bad_text, m.types[1].type = 3);
	REFUSED(bad_text, m.types[0].unit = -1);
	REFUSED(bad_text, m.period_type.type = 3);
	REFUSED(bad_text, m.period_type.unit = INT64_MAX);
	REFUSED(bad_text, m.profile.drop_frames = 3);
	REFUSED(bad_text, m.profile.keep_frames = 3);
	REFUSED(bad_text, m.profile.default_sample_type = 3);
	REFUSED(bad_text, m.profile.doc_url = INT64_MIN);
	REFUSED(bad_text, m.comment = 3);
	REFUSED(bad_mapping_ids, m.mapping.id = 0);
	REFUSED(bad_mapping_ids, m.mapping.id = 2);
	REFUSED(bad_text, m.mapping.filename = 3);
	REFUSED(bad_text, m.mapping.build_id = 3);
	REFUSED(bad_function_ids, m.function.id = 7);
	REFUSED(bad_text, m.function.name = 3);
	REFUSED(bad_text, m.function.system_name = 3);
	REFUSED(bad_text, m.function.filename = 3);
	REFUSED(bad_location_ids, m.locations[0].id = 2);
	REFUSED(bad_location_ids, m.locations[1].id = 0);
	REFUSED("a location refers to a mapping that does not exist",
		m.locations[1].mapping_id = 2);
	REFUSED(bad_function, m.line.function_id = 0);
	REFUSED(bad_function, m.line.function_id = 2);
	REFUSED(bad_values, m.sample.n_value = 1);
	REFUSED(bad_values, m.profile.n_sample_type = 1);
	REFUSED(bad_location, m.location_ids[1] = 0);
	REFUSED(bad_location, m.location_ids[0] = 3);
	REFUSED(bad_text, m.labels[0].key = 3);
	REFUSED(bad_text, m.labels[0].str = 3);
	REFUSED(bad_text, m.labels[0].num_unit = 3);
	REFUSED("a label has both a text and a number", m.labels[0].num = 1);
	REFUSED("a sample has more than 64 labels, which cprof cannot hold", m.sample.n_label = 65);
}

/* Without a file, which would have to be large; the ids are counted before they are looked at. */
static void too_many_frames_are_refused(void **state)
{
	static struct message m;

	make_message(&m);
	assert_null(pprof_validate(&m.profile));
	m.sample.n_location_id = ((size_t)1 << 27) + 1;
	m.sample.location_id = NULL;
	assert_string_equal(pprof_validate(&m.profile),
			    "the samples have more than 134217728 frames, which cprof cannot hold");
}

static void odd_but_good_messages_are_taken(void **state)
{
	static struct message m;
	struct profile *profile;
	const struct profile_line *line;

	make_message(&m);
	m.locations[0].mapping_id = 0;
	m.profile.period_type = NULL;
	m.line.line = -5;
	m.line.column = (int64_t)UINT32_MAX + 2;
	m.function.start_line = 77;
	m.sample.n_label = 64;
	m.sample.n_location_id = 0;
	assert_int_equal(read_message(&m, NULL, &profile), 0);
	assert_string_equal(profile_get_spec(profile)->period_type.type, "");
	assert_int_equal(profile_location(profile, 1)->mapping, 0);
	assert_int_equal(profile_sample(profile, 0)->stack, 0);
	line = profile_location_lines(profile, profile_location(profile, 2));
	assert_int_equal(line->line, 0);
	assert_int_equal(line->column, 0);
	assert_int_equal(profile_function(profile, 1)->start_line, 77);
	profile_free(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(the_file_obeys_the_strict_readers),
		cmocka_unit_test(an_empty_profile_has_its_types),
		cmocka_unit_test(large_items_are_written_whole),
		cmocka_unit_test(the_sink_s_error_is_returned),
		cmocka_unit_test(damaged_files_are_refused),
		cmocka_unit_test(joined_files_are_refused),
		cmocka_unit_test(a_bomb_is_refused),
		cmocka_unit_test(bad_messages_are_refused),
		cmocka_unit_test(too_many_frames_are_refused),
		cmocka_unit_test(odd_but_good_messages_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
