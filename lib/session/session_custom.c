/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to custom profiles in a session of the heap. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "session/session_heap_priv.h"

int session_custom_calls(struct session_heap *h)
{
	if (h->options.n_customs > AGENT_MAX_PROFILES)
		return err_trace(-EINVAL);
	for (unsigned i = 0; i < h->options.n_customs; i++) {
		const struct custom *custom = h->options.customs[i];

		for (size_t k = 0; k < custom->calls.n; k++) {
			struct inject_custom *call = vec_push(&h->calls);

			if (!call)
				return err_trace(-ENOMEM);
			*call = custom->calls.items[k];
			call->action.profile = (uint8_t)i;
		}
	}
	return 0;
}

static bool is_open(struct session_heap *h, uint32_t fd)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "fd/%" PRIu32, fd);
	return fstatat(process_dirfd(h->process), name, &st, AT_SYMLINK_NOFOLLOW) == 0 ||
	       errno != ENOENT;
}

void session_custom_drop_closed(struct session_heap *h, struct allocs_live *live,
				uint64_t closed[static AGENT_MAX_PROFILES])
{
	size_t n = 0;

	for (unsigned i = 0; i < AGENT_MAX_PROFILES; i++)
		closed[i] = 0;
	for (size_t i = 0; i < live->items.n; i++) {
		const struct agent_live *item = &live->items.items[i];
		uint64_t custom = item->addr >> AGENT_KEY_BITS;

		if (custom && custom <= h->options.n_customs &&
		    h->options.customs[custom - 1]->is_fd && !is_open(h, (uint32_t)item->addr)) {
			closed[custom - 1]++;
			continue;
		}
		live->items.items[n++] = *item;
	}
	live->items.n = n;
}

static int comment_keys(struct profile *profile, const struct custom *custom,
			const struct agent_profile *of, uint64_t closed)
{
	int r = profile_comment_format(profile, "%s: %" PRIu64 " entries were added", custom->name,
				       of->added);

	if (r >= 0 && of->twice)
		r = profile_comment_format(
			profile,
			"%s: %" PRIu64 " keys were added again without having been removed%s; the "
			"later entry counts",
			custom->name, of->twice, custom->is_probe ? "" : " where it could be seen");
	if (r >= 0 && of->unknown)
		r = profile_comment_format(
			profile,
			"%s: %" PRIu64 " keys were removed that were not there, most likely added "
			"before cprof came",
			custom->name, of->unknown);
	if (r >= 0 && closed)
		r = profile_comment_format(
			profile,
			"%s: %" PRIu64 " descriptors are left out, they are not open any more; the "
			"C library, for instance, closes its own",
			custom->name, closed);
	if (r >= 0 && (of->no_stack || of->not_live))
		r = profile_comment_format(
			profile,
			"losses: %" PRIu64 " entries came faster than they could be fetched, their "
			"stacks are [stack lost]; %" PRIu64 " found no place and are missing",
			of->no_stack, of->not_live);
	return r;
}

int session_custom_comment(struct profile *profile, const struct session_heap *h, unsigned number,
			   const struct session_heap_stats *stats)
{
	const struct inject_stats *inject = &stats->allocs.inject;
	time_t seconds = (time_t)(stats->begun_wall / NSEC_PER_SEC);
	char since[32] = "?", start[32];
	struct tm tm;
	int r = profile_comment_format(profile, "cprof " CPROF_VERSION);

	if (gmtime_r(&seconds, &tm))
		strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (r >= 0 && h->options.command_line)
		r = profile_comment_format(profile, "command: %s", h->options.command_line);
	if (r >= 0)
		r = profile_comment_format(profile, "added since %s and not removed", since);
	if (r >= 0)
		r = profile_comment_format(profile,
					   "agent: %" PRIu32 " slots in %" PRIu32
					   " modules; threads stood still for %s to bring it in",
					   inject->n_slots, inject->n_modules,
					   format_duration(inject->start_ns, start));
	if (r >= 0 && inject->n_left_out)
		r = profile_comment_format(
			profile,
			"%" PRIu32 " import slots of dlopen(3) are left alone, in modules whose "
			"libraries are looked for in directories of their own",
			inject->n_left_out);
	if (r >= 0 && stats->allocs.target_ended)
		r = profile_comment_format(
			profile, "the target ended, or became another program: what is there was "
				 "up to a second before");
	return r < 0 ? r
		     : comment_keys(profile, h->options.customs[number], &stats->profiles[number],
				    stats->closed[number]);
}
