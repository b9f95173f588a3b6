/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof file → data model.
 *
 * The message is unpacked in whole and checked (pprof_validate()), then copied. Not kept, because
 * the model has no place for it: drop_frames, keep_frames, doc_url, is_folded, and all but the
 * first of several labels with one key.
 */
#include "pprof/pprof.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/vec.h"
#include "pprof/pprof_priv.h"

/* An item of two bytes unpacks to a struct of a hundred: without a limit a small file could take
 * all memory. */
#define MAX_MESSAGE_MEMORY ((size_t)4 << 30)

typedef Perftools__Profiles__Profile profile_message;

struct budget {
	size_t used;
	int error; /* why the last allocation failed */
};

static void *budget_alloc(void *user, size_t size)
{
	struct budget *budget = user;
	void *memory;

	if (size > MAX_MESSAGE_MEMORY - budget->used) {
		budget->error = -EFBIG;
		return NULL;
	}
	budget->used += size;
	memory = malloc(size);
	if (!memory)
		budget->error = -ENOMEM;
	return memory;
}

static void budget_free(void *user, void *memory)
{
	free(memory);
}

static void message_free(profile_message *message)
{
	/* Allocated with malloc(), which is what the default allocator frees. */
	perftools__profiles__profile__free_unpacked(message, NULL);
}

DEFINE_CLEANUP(profile_message *, message_free)
DEFINE_CLEANUP(struct profile *, profile_free)

static int unpack(const uint8_t *bytes, size_t size, const char **ret_why,
		  profile_message **ret_message)
{
	struct budget budget = {};
	ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
	_cleanup_(message_free_cleanup) profile_message *message = NULL;
	const char *why;

	if (pprof_is_joined(bytes, size)) {
		*ret_why = "it holds several profiles written one behind the other";
		return err_trace(-EBADMSG);
	}
	message = perftools__profiles__profile__unpack(&allocator, size, bytes);
	if (!message && budget.error)
		return err_trace(budget.error);
	if (!message) {
		*ret_why = "it is not a profile.proto message";
		return err_trace(-EBADMSG);
	}
	why = pprof_validate(message);
	if (why) {
		*ret_why = why;
		return err_trace(-EBADMSG);
	}
	*ret_message = take_ptr(message);
	return 0;
}

/* A profile being filled from a message. */
struct copier {
	const profile_message *message;
	struct profile *profile; /* borrowed */
	uint32_t *strings;       /* index in the message → string id */
	uint32_t *functions;     /* id in the message - 1 → function id */
	VEC(struct profile_line) lines;
};

static void copier_deinit(struct copier *copier)
{
	free(copier->strings);
	free(copier->functions);
	vec_deinit(&copier->lines);
}

static struct profile_value_type value_type(const profile_message *message,
					    const Perftools__Profiles__ValueType *from)
{
	return (struct profile_value_type){
		.type = message->string_table[from->type],
		.unit = message->string_table[from->unit],
	};
}

static int new_profile(const profile_message *message, struct profile **ret_profile)
{
	struct profile_spec spec = {
		.n_sample_types = (uint32_t)message->n_sample_type,
		.period = message->period,
	};

	for (uint32_t i = 0; i < spec.n_sample_types; i++)
		spec.sample_types[i] = value_type(message, message->sample_type[i]);
	if (message->period_type)
		spec.period_type = value_type(message, message->period_type);
	if (message->default_sample_type)
		spec.default_sample_type = message->string_table[message->default_sample_type];
	return profile_new(&spec, ret_profile);
}

static int copy_texts(struct copier *copier)
{
	const profile_message *message = copier->message;
	int r;

	copier->strings = calloc(message->n_string_table, sizeof(*copier->strings));
	if (!copier->strings)
		return err_trace(-ENOMEM);
	for (size_t i = 0; i < message->n_string_table; i++) {
		r = profile_string(copier->profile, message->string_table[i], &copier->strings[i]);
		if (r < 0)
			return err_trace(r);
	}
	for (size_t i = 0; i < message->n_comment; i++) {
		r = profile_comment_add(copier->profile,
					message->string_table[message->comment[i]]);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int copy_mappings(struct copier *copier)
{
	for (size_t i = 0; i < copier->message->n_mapping; i++) {
		const Perftools__Profiles__Mapping *from = copier->message->mapping[i];
		struct profile_mapping to = {
			.start = from->memory_start,
			.limit = from->memory_limit,
			.offset = from->file_offset,
			.file = copier->strings[from->filename],
			.build_id = copier->strings[from->build_id],
			.has_functions = from->has_functions,
			.has_filenames = from->has_filenames,
			.has_line_numbers = from->has_line_numbers,
			.has_inline_frames = from->has_inline_frames,
		};
		uint32_t id;
		int r;

		r = profile_mapping_add(copier->profile, &to, &id);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

/* A line or column that no source file has counts as unknown. */
static uint32_t line_number(int64_t number)
{
	return number > 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static int copy_functions(struct copier *copier)
{
	const profile_message *message = copier->message;

	copier->functions = calloc(message->n_function + 1, sizeof(*copier->functions));
	if (!copier->functions)
		return err_trace(-ENOMEM);
	for (size_t i = 0; i < message->n_function; i++) {
		const Perftools__Profiles__Function *from = message->function[i];
		struct profile_function to = {
			.name = copier->strings[from->name],
			.system_name = copier->strings[from->system_name],
			.file = copier->strings[from->filename],
			.start_line = line_number(from->start_line),
		};
		int r;

		r = profile_function_intern(copier->profile, &to, &copier->functions[i]);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

/* Afterwards location ids of the message are those of the model. */
static int copy_locations(struct copier *copier)
{
	for (size_t i = 0; i < copier->message->n_location; i++) {
		const Perftools__Profiles__Location *from = copier->message->location[i];
		uint32_t id;
		int r;

		copier->lines.n = 0;
		for (size_t k = 0; k < from->n_line; k++) {
			struct profile_line *line = vec_push(&copier->lines);

			if (!line)
				return err_trace(-ENOMEM);
			line->function = copier->functions[from->line[k]->function_id - 1];
			line->line = line_number(from->line[k]->line);
			line->column = line_number(from->line[k]->column);
		}
		r = profile_location_add(copier->profile, (uint32_t)from->mapping_id, from->address,
					 copier->lines.items, (uint32_t)from->n_line, &id);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int copy_labels(const struct copier *copier, const Perftools__Profiles__Sample *from,
		       uint32_t *ret_id)
{
	struct profile_label labels[PROFILE_MAX_LABELS];

	for (size_t i = 0; i < from->n_label; i++) {
		const Perftools__Profiles__Label *label = from->label[i];

		labels[i] = (struct profile_label){
			.key = copier->strings[label->key],
			.text = copier->strings[label->str],
			.number = label->num,
			.unit = copier->strings[label->num_unit],
		};
	}
	return profile_labels_intern(copier->profile, labels, (uint32_t)from->n_label, ret_id);
}

static int copy_samples(struct copier *copier)
{
	for (size_t i = 0; i < copier->message->n_sample; i++) {
		const Perftools__Profiles__Sample *from = copier->message->sample[i];
		uint32_t stack = 0, labels;
		int r;

		for (size_t k = from->n_location_id; k > 0; k--) {
			r = profile_stack_intern(copier->profile, stack,
						 (uint32_t)from->location_id[k - 1], &stack);
			if (r < 0)
				return err_trace(r);
		}
		r = copy_labels(copier, from, &labels);
		if (r < 0)
			return err_trace(r);
		r = profile_sample_add(copier->profile, stack, labels, from->value);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int copy_message(const profile_message *message, struct profile **ret_profile)
{
	static int (*const parts[])(struct copier *) = {
		copy_texts, copy_mappings, copy_functions, copy_locations, copy_samples,
	};
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	_cleanup_(copier_deinit) struct copier copier = {.message = message};
	int r;

	r = new_profile(message, &profile);
	if (r < 0)
		return err_trace(r);
	profile_set_time(profile, message->time_nanos, message->duration_nanos);
	copier.profile = profile;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		r = parts[i](&copier);
		if (r < 0)
			return err_trace(r);
	}
	*ret_profile = take_ptr(profile);
	return 0;
}

int pprof_read(const void *bytes, size_t size, const char **ret_why, struct profile **ret_profile)
{
	_cleanup_(message_free_cleanup) profile_message *message = NULL;
	_cleanup_free_ uint8_t *plain = NULL;
	const char *why = NULL;
	int r = 0;

	if (size == 0) {
		why = "it is empty";
		r = -EBADMSG;
	} else if (pprof_is_gzip(bytes, size)) {
		r = pprof_gunzip(bytes, size, &why, &plain, &size);
		bytes = plain;
	} else if (size > PPROF_MAX_UNPACKED) {
		r = -EFBIG;
	}
	if (r == 0)
		r = unpack(bytes, size, &why, &message);
	if (r < 0) {
		if (ret_why && r == -EBADMSG)
			*ret_why = why;
		return err_trace(r);
	}
	return copy_message(message, ret_profile);
}
