/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Custom profiles: as Go's own of NewProfile(), the entries that are there now. They count from the
 * beginning on, like heaps, by the same agent.
 */
#include <string.h>

#include "base/cleanup.h"
#include "serve/serve_priv.h"

void serve_custom_init(struct serve *serve)
{
	for (unsigned i = 0; i < serve->options.n_customs; i++) {
		const struct custom *custom = serve->options.customs[i];

		serve->customs[i] = (struct serve_entry){
			.name = custom->name,
			.what = SERVE_CUSTOM,
			.custom = i,
			.about =
				custom->is_probe
					? "Stack traces of the entries that the program has added "
					  "and not removed"
					: "Stack traces of the calls whose entries are still there",
		};
	}
}

const struct serve_entry *serve_custom_find(const struct serve *serve, const char *name)
{
	for (unsigned i = 0; i < serve->options.n_customs; i++) {
		if (strcmp(serve->customs[i].name, name) == 0)
			return &serve->customs[i];
	}
	return NULL;
}

int serve_custom_make(struct serve_target *target, const struct serve_entry *entry,
		      struct profile **ret_profile)
{
	int r = session_heap_peek_custom(target->heap, entry->custom, ret_profile);

	return r == INJECT_GONE ? SERVE_HUB_ENDED : r > 0 ? SERVE_HUB_NO_HEAP : r;
}
