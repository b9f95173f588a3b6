/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of labels. A set is kept in the order of its keys, so that equal sets have equal bytes. */
#include "profile/profile_priv.h"

#include <errno.h>

#include "base/err.h"

#define KEY_WORDS 3 /* of one label */

/* Sorts by key into `sorted` without changing what is equal; drops repeated keys and labels that
 * say nothing. Returns how many are left. */
static uint32_t sort_labels(const struct profile_label *labels, uint32_t n_labels,
			    struct profile_label sorted[static PROFILE_MAX_LABELS])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < n_labels; i++) {
		const struct profile_label *label = &labels[i];
		uint32_t at = n;

		if (label->text == 0 && label->number == 0 && label->unit == 0)
			continue;
		while (at > 0 && sorted[at - 1].key > label->key)
			at--;
		if (at > 0 && sorted[at - 1].key == label->key)
			continue;
		for (uint32_t k = n; k > at; k--)
			sorted[k] = sorted[k - 1];
		sorted[at] = *label;
		if (label->text != 0) {
			sorted[at].number = 0;
			sorted[at].unit = 0;
		}
		n++;
	}
	return n;
}

static bool strings_exist(const struct profile *profile, const struct profile_label *label)
{
	uint32_t n = profile_n_strings(profile);

	return label->key < n && label->text < n && label->unit < n;
}

int profile_labels_intern(struct profile *profile, const struct profile_label *labels,
			  uint32_t n_labels, uint32_t *ret_id)
{
	struct profile_label sorted[PROFILE_MAX_LABELS];
	uint64_t key[PROFILE_MAX_LABELS * KEY_WORDS];
	struct profile_label_set set;
	uint32_t index;
	int r;

	if (n_labels > PROFILE_MAX_LABELS)
		return err_trace(-EINVAL);
	set.first = (uint32_t)profile->labels.n;
	set.n = sort_labels(labels, n_labels, sorted);
	if (set.n == 0) {
		*ret_id = 0;
		return 0;
	}
	if (profile->labels.n + set.n > UINT32_MAX)
		return err_trace(-ENOMEM);
	/* Not the structs themselves: they have padding. */
	for (uint32_t i = 0; i < set.n; i++) {
		if (!strings_exist(profile, &sorted[i]))
			return err_trace(-EINVAL);
		key[i * KEY_WORDS] = profile_pair_key(sorted[i].key, sorted[i].text);
		key[i * KEY_WORDS + 1] = (uint64_t)sorted[i].number;
		key[i * KEY_WORDS + 2] = sorted[i].unit;
	}
	r = vec_reserve(&profile->labels, profile->labels.n + set.n);
	if (r < 0)
		return err_trace(r);
	r = vec_reserve(&profile->label_sets, profile->label_sets.n + 1);
	if (r < 0)
		return err_trace(r);
	r = intern_put(profile->label_keys, key, set.n * KEY_WORDS * sizeof(*key), &index);
	if (r < 0)
		return err_trace(r);
	if (r == 0) {
		*vec_push(&profile->label_sets) = set;
		for (uint32_t i = 0; i < set.n; i++)
			*vec_push(&profile->labels) = sorted[i];
	}
	*ret_id = index + 1;
	return 0;
}

const struct profile_label *profile_labels(const struct profile *profile, uint32_t id,
					   uint32_t *ret_n)
{
	const struct profile_label_set *set;

	if (id == 0) {
		*ret_n = 0;
		return NULL;
	}
	set = &profile->label_sets.items[id - 1];
	*ret_n = set->n;
	return &profile->labels.items[set->first];
}
