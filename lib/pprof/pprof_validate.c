/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checks of a message: the union of what pprof's CheckValid (google/pprof profile/profile.go),
 * Parca's and Pyroscope's ingestion refuse, so that a file that passes here is taken by all.
 *
 * Each function returns NULL or what is wrong. Afterwards every index and id of the message can be
 * used without a check.
 */
#include "pprof/pprof_priv.h"

#include "profile/profile.h"

/* In all samples together. The model takes about 40 bytes for a frame that no other stack shares,
 * the file as little as one, and gzip a thousandth of that. */
#define MAX_FRAMES ((size_t)1 << 27)

typedef Perftools__Profiles__Profile profile_message;

static const char bad_text[] = "a text index lies outside the string table";

static bool text_exists(const profile_message *message, int64_t index)
{
	return index >= 0 && (uint64_t)index < message->n_string_table;
}

static const char *check_strings(const profile_message *message)
{
	if (message->n_string_table == 0 || message->string_table[0][0] != '\0')
		return "the string table does not begin with the empty text";
	for (size_t i = 0; i < message->n_string_table; i++) {
		if (!profile_is_utf8(message->string_table[i]))
			return "a text is not valid UTF-8";
	}
	return NULL;
}

static const char *check_head(const profile_message *message)
{
	const int64_t texts[] = {message->drop_frames, message->keep_frames,
				 message->default_sample_type, message->doc_url};

	if (message->n_sample_type == 0)
		return "there is no sample type";
	if (message->n_sample_type > PROFILE_MAX_TYPES)
		return "there are more than 12 sample types, which cprof cannot hold";
	_Static_assert(PROFILE_MAX_TYPES == 12, "the sentence above says so");
	for (size_t i = 0; i < message->n_sample_type; i++) {
		if (!text_exists(message, message->sample_type[i]->type) ||
		    !text_exists(message, message->sample_type[i]->unit))
			return bad_text;
	}
	if (message->period_type && (!text_exists(message, message->period_type->type) ||
				     !text_exists(message, message->period_type->unit)))
		return bad_text;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!text_exists(message, texts[i]))
			return bad_text;
	}
	for (size_t i = 0; i < message->n_comment; i++) {
		if (!text_exists(message, message->comment[i]))
			return bad_text;
	}
	return NULL;
}

static const char *check_mappings(const profile_message *message)
{
	for (size_t i = 0; i < message->n_mapping; i++) {
		const Perftools__Profiles__Mapping *mapping = message->mapping[i];

		if (mapping->id != i + 1)
			return "the ids of the mappings are not 1, 2, 3 and so on";
		if (!text_exists(message, mapping->filename) ||
		    !text_exists(message, mapping->build_id))
			return bad_text;
	}
	return NULL;
}

static const char *check_functions(const profile_message *message)
{
	for (size_t i = 0; i < message->n_function; i++) {
		const Perftools__Profiles__Function *function = message->function[i];

		if (function->id != i + 1)
			return "the ids of the functions are not 1, 2, 3 and so on";
		if (!text_exists(message, function->name) ||
		    !text_exists(message, function->system_name) ||
		    !text_exists(message, function->filename))
			return bad_text;
	}
	return NULL;
}

static const char *check_locations(const profile_message *message)
{
	for (size_t i = 0; i < message->n_location; i++) {
		const Perftools__Profiles__Location *location = message->location[i];

		if (location->id != i + 1)
			return "the ids of the locations are not 1, 2, 3 and so on";
		if (location->mapping_id > message->n_mapping)
			return "a location refers to a mapping that does not exist";
		for (size_t k = 0; k < location->n_line; k++) {
			uint64_t function = location->line[k]->function_id;

			if (function == 0 || function > message->n_function)
				return "a line refers to a function that does not exist";
		}
	}
	return NULL;
}

static const char *check_labels(const profile_message *message,
				const Perftools__Profiles__Sample *sample)
{
	if (sample->n_label > PROFILE_MAX_LABELS)
		return "a sample has more than 64 labels, which cprof cannot hold";
	_Static_assert(PROFILE_MAX_LABELS == 64, "the sentence above says so");
	for (size_t i = 0; i < sample->n_label; i++) {
		const Perftools__Profiles__Label *label = sample->label[i];

		if (!text_exists(message, label->key) || !text_exists(message, label->str) ||
		    !text_exists(message, label->num_unit))
			return bad_text;
		if (label->str != 0 && label->num != 0)
			return "a label has both a text and a number";
	}
	return NULL;
}

static const char *check_samples(const profile_message *message)
{
	size_t n_frames = 0;

	for (size_t i = 0; i < message->n_sample; i++) {
		const Perftools__Profiles__Sample *sample = message->sample[i];
		const char *why;

		if (sample->n_value != message->n_sample_type)
			return "a sample does not have one value for each sample type";
		n_frames += sample->n_location_id;
		if (n_frames > MAX_FRAMES)
			return "the samples have more than 134217728 frames, which cprof cannot "
			       "hold";
		for (size_t k = 0; k < sample->n_location_id; k++) {
			uint64_t location = sample->location_id[k];

			if (location == 0 || location > message->n_location)
				return "a sample refers to a location that does not exist";
		}
		why = check_labels(message, sample);
		if (why)
			return why;
	}
	return NULL;
}

const char *pprof_validate(const profile_message *message)
{
	static const char *(*const checks[])(const profile_message *) = {
		check_strings,   check_head,      check_mappings,
		check_functions, check_locations, check_samples,
	};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		const char *why = checks[i](message);

		if (why)
			return why;
	}
	return NULL;
}
