/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on with a new profile.
 *
 * Ids of mappings and locations stay. Strings have other ids there, and what threads were seen in
 * last must be there: who goes on waiting is not unwound again.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "session/consumer_priv.h"

#define NEEDED 1 /* in the table of stacks, before they are made */

struct renewal {
	const struct profile *from;
	struct profile *to;
	bool dry; /* strings are put in, and the ids of old kept */
};

static int renew_string(const struct renewal *renewal, uint32_t *id)
{
	uint32_t same;
	int r = profile_string(renewal->to, profile_get_string(renewal->from, *id), &same);

	if (r >= 0 && !renewal->dry)
		*id = same;
	return r;
}

static int renew_strings(struct consumer *c, const struct renewal *renewal)
{
	int r = 0;

	for (size_t i = 0; i < c->slots.n && r >= 0; i++)
		r = renew_string(renewal, &c->slots.items[i].wait);
	for (size_t i = 0; i < c->held.n && r >= 0; i++)
		r = renew_string(renewal, &c->held.items[i].lock);
	for (size_t i = 0; i < c->files.n && r >= 0; i++)
		r = renew_string(renewal, &c->files.items[i].build_id);
	for (size_t i = 0; i < c->shared_mappings.n && r >= 0; i++) {
		struct consumer_shared *shared = &c->shared_mappings.items[i];

		r = renew_string(renewal, &shared->file);
		r = r < 0 ? r : renew_string(renewal, &shared->build_id);
	}
	return r;
}

/* Makes the stacks that threads were seen with; by their old ids. */
static int renew_stacks(const struct consumer *c, const struct renewal *renewal, uint32_t n,
			uint32_t *stacks)
{
	int r = 0;

	for (size_t i = 0; i < c->slots.n; i++)
		stacks[c->slots.items[i].stack] = NEEDED;
	for (uint32_t id = n; id > 0; id--) {
		if (stacks[id])
			stacks[profile_stack_callers(renewal->from, id)] = NEEDED;
	}
	stacks[0] = 0;
	for (uint32_t id = 1; id <= n && r >= 0; id++) {
		if (stacks[id])
			r = profile_stack_intern(
				renewal->to, stacks[profile_stack_callers(renewal->from, id)],
				profile_stack_leaf(renewal->from, id), &stacks[id]);
	}
	return r;
}

int consumer_renew(struct consumer *c, struct profile *profile)
{
	struct renewal renewal = {.from = c->profile, .to = profile, .dry = true};
	uint32_t n = profile_n_stacks(c->profile);
	_cleanup_free_ uint32_t *stacks = calloc((size_t)n + 1, sizeof(*stacks));
	int r = stacks ? renew_stacks(c, &renewal, n, stacks) : -ENOMEM;

	if (r >= 0)
		r = renew_strings(c, &renewal);
	if (r < 0)
		return err_trace(r);
	/* All of them are there: this does not fail any more. */
	renewal.dry = false;
	(void)renew_strings(c, &renewal);
	for (size_t i = 0; i < c->slots.n; i++) {
		c->slots.items[i].stack = stacks[c->slots.items[i].stack];
		c->slots.items[i].labels = 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(c->recent); i++)
		c->recent[i].frames.n = 0;
	for (size_t i = 0; i < c->images.n; i++)
		map64_clear(&c->images.items[i]->lock_names);
	c->profile = profile;
	return 0;
}
