/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heap profiles. Who has one counts from the beginning on, whether somebody asks or not: what was
 * allocated before it was asked for is what a leak is made of.
 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/serve_priv.h"
#include "session/heap_delta.h"

DEFINE_CLEANUP(struct profile *, profile_free)

int serve_heap_start(struct serve_target *target, const struct serve_options *options)
{
	const struct session_heap_options heap = {
		.pid = target->pid,
		.rate = options->heap_rate,
		.inlines = options->inlines,
		.command_line = options->command_line,
		.customs = options->customs,
		.n_customs = options->n_customs,
	};
	int r = session_heap_new(&heap, &target->heap);

	return r < 0 ? r : session_heap_start(target->heap);
}

static int peek(struct serve_target *target, struct profile **ret_profile)
{
	int r = session_heap_peek(target->heap, ret_profile);

	return r == INJECT_GONE ? SERVE_HUB_ENDED : r > 0 ? SERVE_HUB_NO_HEAP : r;
}

/* Of allocations what came meanwhile; in use is what is at the end. */
static int delta(struct serve_target *target, const struct serve_span *span,
		 struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *first = NULL, *second = NULL;
	uint64_t start_wall = clock_wall_ns(), start = clock_now_ns();
	int r = peek(target, &first);

	if (r == 0)
		r = serve_hub_wait(target->hub, span->ns, span->client_fd);
	if (r == 0)
		r = peek(target, &second);
	if (r == 0)
		r = heap_delta(second, first, ret_profile);
	if (r)
		return r < 0 ? err_trace(r) : r;
	profile_set_time(*ret_profile, (int64_t)start_wall, (int64_t)(clock_now_ns() - start));
	return 0;
}

int serve_heap_make(struct serve_target *target, bool allocs, const struct serve_span *span,
		    struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int r;

	if (!target->heap)
		return SERVE_HUB_NO_HEAP;
	r = span->ns ? delta(target, span, &profile) : peek(target, &profile);
	if (r == 0 && allocs)
		r = heap_delta_set_default(&profile, true);
	if (r)
		return r < 0 ? err_trace(r) : r;
	*ret_profile = take_ptr(profile);
	return 0;
}

void serve_heap_explain(struct serve_target *target, char *text, size_t size)
{
	session_heap_explain(target->pid, session_heap_await(target->heap), text, size);
}

void serve_heap_tell(const struct serve *serve, struct serve_target *target)
{
	struct session_heap_stats stats;
	char text[512];

	if (!target->heap || target->heap_is_told)
		return;
	session_heap_get_stats(target->heap, &stats);
	target->heap_is_told = stats.begun_at != 0;
	if (!stats.has_ended || stats.images || stats.why == INJECT_GONE)
		return;
	session_heap_explain(target->pid, stats.why, text, sizeof(text));
	log_line(LOG_WARNING, "no %s profiles: %s", serve->options.heap_rate ? "heap" : "custom",
		 text);
}
