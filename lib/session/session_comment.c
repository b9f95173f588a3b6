/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "session/session_priv.h"

static int comment_pauses(struct profile *profile, const struct hist *pause)
{
	static const double quantiles[] = {0.5, 0.9, 0.99, 0.999, 1};
	char text[ARRAY_SIZE(quantiles)][32], total[32];

	for (size_t i = 0; i < ARRAY_SIZE(quantiles); i++)
		format_duration(hist_quantile(pause, quantiles[i]), text[i]);
	return profile_comment_format(
		profile, "pause per stop: p50 %s, p90 %s, p99 %s, p99.9 %s, max %s; total %s",
		text[0], text[1], text[2], text[3], text[4], format_duration(pause->sum, total));
}

static int comment_losses(struct profile *profile, const struct session_stats *stats)
{
	const struct sampler_stats *s = &stats->sampler;
	int r = profile_comment_format(
		profile, "stacks: %" PRIu64 " complete, %" PRIu64 " cut, %" PRIu64 " broken",
		stats->traces[TRACE_ROOT], stats->traces[TRACE_CUT] + stats->traces[TRACE_DEPTH],
		stats->traces[TRACE_NO_CFI] + stats->traces[TRACE_BAD_MEMORY] +
			stats->traces[TRACE_LOOP]);

	if (r >= 0)
		r = profile_comment_format(profile,
					   "losses: %" PRIu64 " dropped, %" PRIu64
					   " ticks missed, %" PRIu64
					   " threads ended before their stop, %" PRIu64 " refused",
					   s->dropped, s->missed_ticks, s->lost, s->denied);
	if (r >= 0)
		r = profile_comment_format(profile,
					   "system calls: %" PRIu64 " restarted, %" PRIu64
					   " left with EINTR, %" PRIu64 " transfers cut short",
					   s->repaired, s->left_eintr, s->short_counts);
	return r;
}

int session_comment(struct session *session)
{
	const struct session_stats *stats = &session->stats;
	const struct sampler_stats *s = &stats->sampler;
	struct profile *profile = session->profile;
	double seconds = (double)s->elapsed_ns / 1e9;
	int r;

	r = profile_comment_format(profile, "cprof " CPROF_VERSION);
	if (r >= 0 && session->options.command_line)
		r = profile_comment_format(profile, "command: %s", session->options.command_line);
	if (r >= 0)
		r = profile_comment_format(
			profile, "rate: %u Hz asked, %.1f ticks per second reached",
			session->options.sampler.hz, seconds > 0 ? (double)s->ticks / seconds : 0);
	if (r >= 0 && s->throttled)
		r = profile_comment_format(
			profile,
			"the rate was lowered, to %.0f Hz at the lowest, to spare the target",
			s->lowest_hz);
	if (r >= 0)
		r = profile_comment_format(
			profile,
			"threads: %" PRIu32 " of %" PRIu32 " stopped, %" PRIu64
			" times in all; blocked ones read without a stop: %" PRIu64 " times",
			s->threads_stopped, s->threads_seen, s->stops, s->reads);
	if (r >= 0 && s->parked)
		r = profile_comment_format(
			profile,
			session->options.sampler.keep_parked
				? "%" PRIu32 " threads were parked for the whole recording and "
				  "have the label parked in the block profile"
				: "%" PRIu32 " threads were parked for the whole recording and are "
				  "left out of the block profile; --parked keeps them",
			s->parked);
	if (r >= 0 && session->options.sampler.types & ~(unsigned)SAMPLER_BLOCK)
		r = comment_pauses(profile, &s->pause);
	if (r >= 0)
		r = comment_losses(profile, stats);
	if (r >= 0 && stats->watchdog)
		r = profile_comment_format(profile, "the tracer was stuck and was given up");
	return r;
}
