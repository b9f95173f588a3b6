/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of the page's JSON, when all is collected. */
#include <stdbool.h>

#include "base/intern.h"
#include "report/report_json_priv.h"

/* Below, a NULL that jansson was out of memory for makes what it goes into NULL, too. */

static json_t *make_number(int64_t number)
{
	return json_integer(number);
}

/* Demanglers may cut within a character, which JSON does not allow. */
static json_t *make_text(const char *text)
{
	json_t *json = json_string(text);

	return json || profile_is_utf8(text) ? json : json_string("<name that is no UTF-8>");
}

static bool append(json_t *array, json_t *take_value)
{
	return json_array_append_new(array, take_value) == 0;
}

static json_t *make_texts(const struct intern *table)
{
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < intern_count(table); i++)
		if (!append(array, make_text(intern_get(table, i, NULL))))
			array = (json_decref(array), NULL);
	return array;
}

static json_t *make_comments(const struct profile *profile)
{
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < profile_n_comments(profile); i++) {
		const char *text = profile_get_string(profile, profile_comment(profile, i));

		if (!append(array, make_text(text)))
			array = (json_decref(array), NULL);
	}
	return array;
}

static json_t *make_frames(const struct json_writer *w)
{
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < intern_count(w->frames); i++) {
		const struct json_frame *frame = intern_get(w->frames, i, NULL);

		if (!append(array, make_number(frame->name)) ||
		    !append(array, make_number(frame->file)) ||
		    !append(array, make_number(frame->module)) ||
		    !append(array, make_number(frame->line)))
			array = (json_decref(array), NULL);
	}
	return array;
}

static json_t *make_processes(const struct json_writer *w)
{
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < intern_count(w->processes); i++) {
		const struct json_process *process = intern_get(w->processes, i, NULL);
		const char *name = profile_get_string(w->profile, process->name),
			   *pid = profile_get_string(w->profile, process->pid);

		if (!append(array, json_pack("[s, s]", name, pid)))
			array = (json_decref(array), NULL);
	}
	return array;
}

static json_t *make_threads(const struct json_writer *w)
{
	json_t *array = json_array();

	for (uint32_t i = 0; array && i < intern_count(w->threads); i++) {
		const struct json_thread *thread = intern_get(w->threads, i, NULL);
		const char *name = profile_get_string(w->profile, thread->name),
			   *tid = profile_get_string(w->profile, thread->tid);

		if (!append(array, json_pack("[s, s, i]", name, tid, (int)thread->process)))
			array = (json_decref(array), NULL);
	}
	return array;
}

static json_t *make_stacks(const struct json_writer *w)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < w->tree.n; i++)
		if (!append(array, make_number(w->tree.items[i].callers)) ||
		    !append(array, make_number(w->tree.items[i].frame)))
			array = (json_decref(array), NULL);
	return array;
}

static json_t *make_samples(const struct json_writer *w)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < w->samples.n; i++) {
		const struct json_sample *sample = &w->samples.items[i];

		if (!append(array, make_number(sample->value)) ||
		    !append(array, make_number(sample->stack)) ||
		    !append(array, make_number(sample->thread)))
			array = (json_decref(array), NULL);
	}
	return array;
}

json_t *report_json_make(const struct json_writer *w, uint32_t value_type)
{
	const struct profile *profile = w->profile;
	const struct profile_spec *spec = profile_get_spec(profile);
	const struct profile_value_type *type = &spec->sample_types[value_type];
	const char *program = "";

	if (profile_n_mappings(profile) > 0)
		program = report_base_name(
			profile_get_string(profile, profile_mapping(profile, 1)->file));
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, "
			 "s:o, s:o, s:o, s:o}",
			 "type", type->type, "unit", type->unit, "program", program, "comments",
			 make_comments(profile), "period_type", spec->period_type.type ?: "",
			 "period_unit", spec->period_type.unit ?: "", "period",
			 (json_int_t)spec->period, "time_ns", (json_int_t)profile_time(profile),
			 "duration_ns", (json_int_t)profile_duration(profile), "total",
			 (json_int_t)profile_total(profile, value_type), "names",
			 make_texts(w->name_texts), "files", make_texts(w->files), "modules",
			 make_texts(w->modules), "frames", make_frames(w), "processes",
			 make_processes(w), "threads", make_threads(w), "stacks", make_stacks(w),
			 "samples", make_samples(w));
}
