/* SPDX-License-Identifier: Apache-2.0 */
/* The profile as a whole: making, releasing, what it measures, when, and its comments. */
#include "profile/profile_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"

DEFINE_CLEANUP(struct profile *, profile_free)

/* Replaces a borrowed string by the profile's own copy. */
static int adopt_string(struct profile *profile, const char **text)
{
	uint32_t id;
	int r;

	r = profile_string(profile, *text, &id);
	if (r < 0)
		return err_trace(r);
	*text = profile_get_string(profile, id);
	return 0;
}

static int adopt_value_type(struct profile *profile, struct profile_value_type *value_type)
{
	int r;

	r = adopt_string(profile, &value_type->type);
	if (r < 0)
		return err_trace(r);
	return adopt_string(profile, &value_type->unit);
}

int profile_adopt_spec(struct profile *profile, const struct profile_spec *spec)
{
	int r;

	profile->spec = *spec;
	for (uint32_t i = 0; i < spec->n_sample_types; i++) {
		r = adopt_value_type(profile, &profile->spec.sample_types[i]);
		if (r < 0)
			return err_trace(r);
	}
	r = adopt_value_type(profile, &profile->spec.period_type);
	if (r < 0)
		return err_trace(r);
	return spec->default_sample_type ? adopt_string(profile, &profile->spec.default_sample_type)
					 : 0;
}

static int make_tables(struct profile *profile)
{
	struct intern **tables[] = {&profile->strings, &profile->function_keys,
				    &profile->location_keys, &profile->label_keys};
	uint32_t empty;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		r = intern_new(tables[i]);
		if (r < 0)
			return err_trace(r);
	}
	return intern_put(profile->strings, "", 0, &empty);
}

int profile_new(const struct profile_spec *spec, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int r;

	if (spec->n_sample_types > PROFILE_MAX_TYPES)
		return err_trace(-EINVAL);
	profile = calloc(1, sizeof(*profile));
	if (!profile)
		return err_trace(-ENOMEM);
	r = make_tables(profile);
	if (r < 0)
		return err_trace(r);
	r = profile_adopt_spec(profile, spec);
	if (r < 0)
		return err_trace(r);
	*ret_profile = take_ptr(profile);
	return 0;
}

struct profile *profile_free(struct profile *profile)
{
	if (!profile)
		return NULL;
	intern_free(profile->strings);
	vec_deinit(&profile->mappings);
	vec_deinit(&profile->functions);
	intern_free(profile->function_keys);
	vec_deinit(&profile->locations);
	vec_deinit(&profile->lines);
	vec_deinit(&profile->keyed_locations);
	intern_free(profile->location_keys);
	vec_deinit(&profile->stacks);
	map64_deinit(&profile->stack_ids);
	vec_deinit(&profile->labels);
	vec_deinit(&profile->label_sets);
	intern_free(profile->label_keys);
	vec_deinit(&profile->samples);
	map64_deinit(&profile->sample_ids);
	vec_deinit(&profile->comments);
	free(profile);
	return NULL;
}

const struct profile_spec *profile_get_spec(const struct profile *profile)
{
	return &profile->spec;
}

int profile_comment_add(struct profile *profile, const char *text)
{
	uint32_t *slot, id;
	int r;

	r = profile_string(profile, text, &id);
	if (r < 0)
		return err_trace(r);
	slot = vec_push(&profile->comments);
	if (!slot)
		return err_trace(-ENOMEM);
	*slot = id;
	return 0;
}

int profile_comment_format(struct profile *profile, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return err_trace(-ENOMEM);
	}
	return profile_comment_add(profile, text);
}

uint32_t profile_n_comments(const struct profile *profile)
{
	return (uint32_t)profile->comments.n;
}

uint32_t profile_comment(const struct profile *profile, uint32_t index)
{
	return profile->comments.items[index];
}

void profile_set_time(struct profile *profile, int64_t time_nanos, int64_t duration_nanos)
{
	profile->time_nanos = time_nanos;
	profile->duration_nanos = duration_nanos;
}

int64_t profile_time(const struct profile *profile)
{
	return profile->time_nanos;
}

int64_t profile_duration(const struct profile *profile)
{
	return profile->duration_nanos;
}
