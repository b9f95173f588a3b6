/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of a profile, made by copying its tables as they are: whoever owns a profile that grows is
 * held up by a copy for as long as moving its bytes takes.
 */
#include "profile/profile_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

DEFINE_CLEANUP(struct profile *, profile_free)

/* Of equal types, into an empty one. */
#define clone_vec(to, from)                                                                        \
	({                                                                                         \
		int result_ = vec_reserve((to), (from)->n);                                        \
		if (result_ == 0 && (from)->n) {                                                   \
			memcpy((to)->items, (from)->items, (from)->n * sizeof(*(to)->items));      \
			(to)->n = (from)->n;                                                       \
		}                                                                                  \
		result_;                                                                           \
	})

static int clone_vecs(struct profile *to, const struct profile *from)
{
	int r = clone_vec(&to->mappings, &from->mappings);

	r = r < 0 ? r : clone_vec(&to->functions, &from->functions);
	r = r < 0 ? r : clone_vec(&to->locations, &from->locations);
	r = r < 0 ? r : clone_vec(&to->lines, &from->lines);
	r = r < 0 ? r : clone_vec(&to->keyed_locations, &from->keyed_locations);
	r = r < 0 ? r : clone_vec(&to->stacks, &from->stacks);
	r = r < 0 ? r : clone_vec(&to->labels, &from->labels);
	r = r < 0 ? r : clone_vec(&to->label_sets, &from->label_sets);
	r = r < 0 ? r : clone_vec(&to->samples, &from->samples);
	return r < 0 ? r : clone_vec(&to->comments, &from->comments);
}

static int clone_tables(struct profile *to, const struct profile *from)
{
	int r = intern_clone(from->strings, &to->strings);

	r = r < 0 ? r : intern_clone(from->function_keys, &to->function_keys);
	r = r < 0 ? r : intern_clone(from->location_keys, &to->location_keys);
	r = r < 0 ? r : intern_clone(from->label_keys, &to->label_keys);
	r = r < 0 ? r : map64_clone(&from->stack_ids, &to->stack_ids);
	return r < 0 ? r : map64_clone(&from->sample_ids, &to->sample_ids);
}

int profile_clone(const struct profile *from, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *to = calloc(1, sizeof(*to));
	int r;

	if (!to)
		return err_trace(-ENOMEM);
	to->time_nanos = from->time_nanos;
	to->duration_nanos = from->duration_nanos;
	r = clone_tables(to, from);
	if (r >= 0)
		r = clone_vecs(to, from);
	/* Its strings must be the copy's own. */
	if (r >= 0)
		r = profile_adopt_spec(to, &from->spec);
	if (r < 0)
		return err_trace(r);
	*ret_profile = take_ptr(to);
	return 0;
}
