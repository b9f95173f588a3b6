/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The difference of two profiles of one recording.
 *
 * Ids of the two need not be the same, since parts of a profile are numbered anew. So what an id of
 * the earlier one is in the later one is found by content, from the small to the large: mappings,
 * locations, stacks, sets of labels, samples. 0 stands for what the later one does not have.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "profile/profile_carry.h"

/* What makes a location the same one in both; the mapping is that of the later profile. */
struct place {
	uint64_t address;
	uint32_t mapping, name; /* name: in subtraction.texts + 1, where there is no address */
};
_Static_assert(sizeof(struct place) == 16, "the key must have no padding");

/* A label. */
struct word {
	uint32_t texts[3], none; /* key, text and unit, in subtraction.texts */
	int64_t number;
};
_Static_assert(sizeof(struct word) == 24, "the key must have no padding");

struct subtraction {
	const struct profile *later, *earlier;
	struct intern *texts, *places, *sets;
	VEC(uint32_t) place_ids, set_ids; /* ids in the later profile, in step with the tables */
	uint32_t *mappings, *locations, *stacks, *label_sets; /* by id in the earlier one */
	struct profile_values *minus;
};

static void subtraction_deinit(struct subtraction *s)
{
	intern_free(s->texts);
	intern_free(s->places);
	intern_free(s->sets);
	vec_deinit(&s->place_ids);
	vec_deinit(&s->set_ids);
	free(s->mappings);
	free(s->locations);
	free(s->stacks);
	free(s->label_sets);
	free(s->minus);
}

static int subtraction_init(struct subtraction *s)
{
	const struct profile *earlier = s->earlier;
	int r = intern_new(&s->texts);

	r = r < 0 ? r : intern_new(&s->places);
	r = r < 0 ? r : intern_new(&s->sets);
	if (r < 0)
		return err_trace(r);
	s->mappings = calloc(earlier->mappings.n + 1, sizeof(*s->mappings));
	s->locations = calloc(earlier->locations.n + 1, sizeof(*s->locations));
	s->stacks = calloc(earlier->stacks.n + 1, sizeof(*s->stacks));
	s->label_sets = calloc(earlier->label_sets.n + 1, sizeof(*s->label_sets));
	s->minus = calloc(s->later->samples.n + 1, sizeof(*s->minus));
	if (!s->mappings || !s->locations || !s->stacks || !s->label_sets || !s->minus)
		return err_trace(-ENOMEM);
	return 0;
}

static void match_mappings(struct subtraction *s)
{
	size_t n = s->later->mappings.n;

	for (uint32_t id = 1; id <= s->earlier->mappings.n; id++) {
		/* Mostly in the same order: the first try is a hit. */
		for (size_t i = 0; i < n && !s->mappings[id]; i++) {
			uint32_t other = (uint32_t)((id - 1 + i) % n) + 1;

			if (profile_same_mapping(s->later, profile_mapping(s->later, other),
						 s->earlier, profile_mapping(s->earlier, id)))
				s->mappings[id] = other;
		}
	}
}

static int make_place(struct subtraction *s, const struct profile *profile,
		      const struct profile_location *location, uint32_t mapping,
		      struct place *ret_place)
{
	const struct profile_line *lines = profile_location_lines(profile, location);
	struct place place = {.address = location->address, .mapping = mapping};
	int r = 0;

	if (!place.address && lines) {
		const char *name = profile_get_string(
			profile, profile_function(profile, lines[0].function)->name);

		r = intern_put(s->texts, name, strlen(name), &place.name);
		place.name++;
	}
	*ret_place = place;
	return r < 0 ? err_trace(r) : 0;
}

static int match_locations(struct subtraction *s)
{
	uint32_t index;
	int r;

	for (uint32_t id = 1; id <= s->later->locations.n; id++) {
		const struct profile_location *location = profile_location(s->later, id);
		struct place place;

		r = make_place(s, s->later, location, location->mapping, &place);
		r = r < 0 ? r : vec_reserve(&s->place_ids, s->place_ids.n + 1);
		r = r < 0 ? r : intern_put(s->places, &place, sizeof(place), &index);
		if (r < 0)
			return err_trace(r);
		if (r == 0)
			*vec_push(&s->place_ids) = id;
	}
	for (uint32_t id = 1; id <= s->earlier->locations.n; id++) {
		const struct profile_location *location = profile_location(s->earlier, id);
		struct place place;

		r = make_place(s, s->earlier, location, s->mappings[location->mapping], &place);
		r = r < 0 ? r : intern_put(s->places, &place, sizeof(place), &index);
		if (r < 0)
			return err_trace(r);
		s->locations[id] = index < s->place_ids.n ? s->place_ids.items[index] : 0;
	}
	return 0;
}

static void match_stacks(struct subtraction *s)
{
	for (uint32_t id = 1; id <= s->earlier->stacks.n; id++) {
		const struct profile_stack *stack = &s->earlier->stacks.items[id - 1];
		uint32_t callers = s->stacks[stack->callers], leaf = s->locations[stack->leaf];
		const uint64_t *other = NULL;

		if (leaf && (callers || !stack->callers))
			other = map64_get(&s->later->stack_ids, profile_pair_key(callers, leaf));
		s->stacks[id] = other ? (uint32_t)*other : 0;
	}
}

static int make_word(struct subtraction *s, const struct profile *profile,
		     const struct profile_label *label, struct word *ret_word)
{
	const uint32_t ids[] = {label->key, label->text, label->unit};
	struct word word = {.number = label->number};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ids) && r >= 0; i++) {
		const char *text = profile_get_string(profile, ids[i]);

		r = intern_put(s->texts, text, strlen(text), &word.texts[i]);
	}
	*ret_word = word;
	return r < 0 ? err_trace(r) : 0;
}

/* A set of labels, in the order of their keys as they are numbered here. */
static int intern_set(struct subtraction *s, const struct profile *profile, uint32_t id,
		      uint32_t *ret_index)
{
	struct word words[PROFILE_MAX_LABELS], word;
	uint32_t n;
	const struct profile_label *labels = profile_labels(profile, id, &n);

	for (uint32_t i = 0; i < n; i++) {
		int r = make_word(s, profile, &labels[i], &word);
		uint32_t at = i;

		if (r < 0)
			return r;
		for (; at > 0 && words[at - 1].texts[0] > word.texts[0]; at--)
			words[at] = words[at - 1];
		words[at] = word;
	}
	return intern_put(s->sets, words, n * sizeof(*words), ret_index);
}

static int match_label_sets(struct subtraction *s)
{
	uint32_t index;
	int r;

	for (uint32_t id = 1; id <= s->later->label_sets.n; id++) {
		r = vec_reserve(&s->set_ids, s->set_ids.n + 1);
		r = r < 0 ? r : intern_set(s, s->later, id, &index);
		if (r < 0)
			return err_trace(r);
		if (r == 0)
			*vec_push(&s->set_ids) = id;
	}
	for (uint32_t id = 1; id <= s->earlier->label_sets.n; id++) {
		r = intern_set(s, s->earlier, id, &index);
		if (r < 0)
			return err_trace(r);
		s->label_sets[id] = index < s->set_ids.n ? s->set_ids.items[index] : 0;
	}
	return 0;
}

static void match_samples(struct subtraction *s)
{
	for (size_t i = 0; i < s->earlier->samples.n; i++) {
		const struct profile_sample *sample = &s->earlier->samples.items[i];
		uint32_t stack = s->stacks[sample->stack], labels = s->label_sets[sample->labels];
		const uint64_t *index;

		if ((sample->stack && !stack) || (sample->labels && !labels))
			continue;
		index = map64_get(&s->later->sample_ids, profile_pair_key(labels, stack));
		if (index)
			memcpy(s->minus[*index].values, sample->values, sizeof(sample->values));
	}
}

int profile_subtract(const struct profile *later, const struct profile *earlier,
		     struct profile **ret_profile)
{
	_cleanup_(subtraction_deinit) struct subtraction s = {.later = later, .earlier = earlier};
	struct profile_part part = {.spec = later->spec};
	int r;

	if (later->spec.n_sample_types != earlier->spec.n_sample_types)
		return err_trace(-EINVAL);
	for (uint32_t i = 0; i < PROFILE_MAX_TYPES; i++)
		part.columns[i] = i;
	r = subtraction_init(&s);
	if (r < 0)
		return err_trace(r);
	match_mappings(&s);
	r = match_locations(&s);
	if (r >= 0)
		r = match_label_sets(&s);
	if (r < 0)
		return err_trace(r);
	match_stacks(&s);
	match_samples(&s);
	r = profile_project_rest(later, &part, s.minus, ret_profile);
	if (r < 0)
		return err_trace(r);
	profile_set_time(*ret_profile, earlier->time_nanos + earlier->duration_nanos,
			 later->duration_nanos - earlier->duration_nanos);
	return 0;
}
