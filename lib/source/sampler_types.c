/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is sampled may change while the sampler runs.
 *
 * Each set of types has a window of its own: at its end all that was sampled is charged, as at the
 * end of a recording; at its beginning the threads are met anew. Between two windows nothing is
 * looked at.
 */
#include <errno.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "source/sampler_priv.h"

void sampler_set_types(struct sampler_shared *shared, int types_fd, unsigned types)
{
	atomic_store(&shared->types_wanted, types);
	(void)eventfd_write(types_fd, 1);
}

static void end_window(struct sampler *s)
{
	sampler_await_stops(s);
	sampler_create_end(s);
	s->settling_since = clock_now_ns();
	for (size_t i = 0; i < s->targets.n; i++)
		sampler_target_charge(s, s->targets.items[i], s->settling_since);
	s->settling_since = 0;
}

static int begin_target(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	int r = process_cpu_time(target->process, &target->cpu_ns);

	if (r < 0)
		return r;
	target->cpu_start_ns = target->cpu_ns;
	target->maps_stale = true;
	return sampler_threads_begin(s, target, now);
}

/* With no types yet: what has gone since the last window is nobody's time. */
static int begin_window(struct sampler *s, uint64_t now)
{
	for (size_t i = s->targets.n; i-- > 0;) {
		int r = begin_target(s, s->targets.items[i], now);

		if (r < 0 && (i == 0 || r != -ESRCH))
			return err_trace(r);
		if (r < 0)
			sampler_target_ended(s, i);
	}
	if (s->options.children)
		sampler_children_find(s, now, true);
	sampler_budget_begin(s, now);
	s->last_tick_at = now;
	return 0;
}

int sampler_types_follow(struct sampler *s)
{
	unsigned wanted = atomic_load(&s->shared->types_wanted);
	int r = 0;

	if (wanted == s->types)
		return 0;
	if (s->types)
		end_window(s);
	s->types = 0;
	if (wanted)
		r = begin_window(s, clock_now_ns());
	if (r < 0)
		return r;
	s->types = wanted;
	if (sampler_wants(s, SAMPLER_CREATE))
		sampler_create_begin(s);
	atomic_store(&s->shared->types, wanted);
	(void)eventfd_write(s->options.wake_fd, 1);
	(void)eventfd_write(s->options.types_done_fd, 1);
	return 0;
}
