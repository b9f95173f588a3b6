/* SPDX-License-Identifier: Apache-2.0 */
#include "record_summary.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"

#define MAX_GAPS 8

void summary_progress(const struct session_progress *progress, uint64_t total_ns)
{
	char total[32] = "";

	if (total_ns)
		format_duration(total_ns, total);
	fprintf(stderr, "\r\033[K%.1fs%s%s  %" PRIu64 " samples  %u threads",
		(double)progress->elapsed_ns / 1e9, total_ns ? " of " : "", total,
		progress->samples, progress->threads);
	fflush(stderr);
}

void summary_progress_end(void)
{
	fputs("\r\033[K", stderr);
}

bool summary_losses(const struct session_stats *stats)
{
	const struct sampler_stats *s = &stats->sampler;

	if (stats->watchdog)
		fprintf(stderr, "cprof: the tracer made no progress while it held a thread and was "
				"given up; the profile ends there\n");
	if (s->dropped)
		fprintf(stderr,
			"cprof: %" PRIu64 " of %" PRIu64
			" samples were dropped because unwinding could not keep up; lower the rate "
			"with -F\n",
			s->dropped, s->samples + s->dropped);
	if (s->denied)
		fprintf(stderr,
			"cprof: %" PRIu64 " threads could not be stopped: another tracer has them, "
			"or the process changed its credentials\n",
			s->denied);
	if (s->children_refused)
		fprintf(stderr,
			"cprof: %" PRIu64
			" child processes could not be looked into: they belong to "
			"another user or changed their credentials\n",
			s->children_refused);
	if (s->children_over)
		fprintf(stderr,
			"cprof: %" PRIu64 " child processes were left out: the limit of open files "
			"(ulimit -Hn) allows no more\n",
			s->children_over);
	if (s->not_read)
		fprintf(stderr,
			"cprof: the stacks of %" PRIu32 " threads could not be read in this time\n",
			s->not_read);
	if (s->not_64bit)
		fprintf(stderr,
			"cprof: %" PRIu64 " stops found 32-bit code, which is not supported\n",
			s->not_64bit);
	return stats->watchdog || s->dropped || s->denied || s->children_refused ||
	       s->children_over || s->not_read || s->not_64bit;
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_stacks(const char *name, const uint64_t *traces)
{
	uint64_t complete = traces[TRACE_ROOT];
	uint64_t cut = traces[TRACE_CUT] + traces[TRACE_DEPTH] + traces[TRACE_NO_REGISTER];
	uint64_t broken = traces[TRACE_NO_CFI] + traces[TRACE_BAD_MEMORY] + traces[TRACE_LOOP];
	uint64_t all = complete + cut + broken;

	if (!all)
		return;
	fprintf(stderr, "%-8s %.1f%% complete, %.1f%% cut, %.1f%% broken\n", name,
		percent(complete, all), percent(cut, all), percent(broken, all));
}

static void print_budget(const struct session_stats *stats)
{
	const struct sampler_stats *s = &stats->sampler;

	if (s->throttled)
		fprintf(stderr,
			"note     the rate was lowered, to %.0f per second at the lowest, to keep "
			"--max-overhead%s\n",
			s->lowest_hz, s->long_pauses ? " and --max-pause" : "");
}

static void print_gaps(const struct session_stats *stats)
{
	for (uint32_t i = 0; i < stats->n_gaps && i < MAX_GAPS; i++) {
		const struct session_gap *gap = &stats->gaps[i];

		fprintf(stderr, "no names %" PRIu64 " of %" PRIu64 " addresses in %s%s%s\n",
			gap->unnamed, gap->addresses,
			gap->path[0] ? gap->path : "memory without a file (JIT code?)",
			gap->why ? ": " : "", gap->why ? gap->why : "");
	}
	if (stats->n_gaps > MAX_GAPS)
		fprintf(stderr, "         and %u more files\n", stats->n_gaps - MAX_GAPS);
}

static void print_more(const struct session_stats *stats)
{
	const struct sampler_stats *s = &stats->sampler;
	char took[32], before[32];

	fprintf(stderr,
		"stops    %" PRIu64 ": %" PRIu64 " late, %" PRIu64 " blocked meanwhile, %" PRIu64
		" ended meanwhile, %" PRIu64 " without a known stack\n",
		s->stops, s->late, s->blocked, s->lost, s->no_stack);
	fprintf(stderr,
		"calls    %" PRIu64 " restarted, %" PRIu64 " left with EINTR, %" PRIu64
		" transfers cut short\n",
		s->repaired, s->left_eintr, s->short_counts);
	fprintf(stderr,
		"ticks    %" PRIu64 ", %" PRIu64 " missed; tracer at %s %d; %" PRIu64 " execve\n",
		s->ticks, s->missed_ticks, s->realtime ? "real-time priority" : "nice",
		s->realtime ? 1 : s->nice, s->execs);
	fprintf(stderr,
		"threads  %u of %u stopped; blocked ones read %" PRIu64 " times, %" PRIu64
		" times in vain\n",
		s->threads_stopped, s->threads_seen, s->reads, s->torn);
	for (uint32_t i = 0; i < s->n_busiest; i++)
		fprintf(stderr, "         %" PRIu64 " stops of %d %s\n", s->busiest[i].stops,
			s->busiest[i].tid, s->busiest[i].name);
	for (int end = 0; end < TRACE_ENDS; end++) {
		uint64_t n = stats->traces[end] + stats->read_traces[end];

		if (n)
			fprintf(stderr, "ends     %" PRIu64 " %s\n", n, trace_end_name(end));
	}
	fprintf(stderr,
		"unwind   %" PRIu64 " frames, %" PRIu64 " by frame pointer, %" PRIu64
		" rules, %" PRIu64 " slow steps\n",
		stats->unwind.frames, stats->unwind.fp_frames, stats->unwind.rules,
		stats->unwind.slow_steps);
	fprintf(stderr,
		"symbols  %" PRIu64 " addresses, %" PRIu64
		" without a name, in %s after %s of CPU time while recording\n",
		stats->locations, stats->unnamed, format_duration(stats->symbolize_ns, took),
		format_duration(stats->naming_ns, before));
}

static void print_cpu(const struct sampler_stats *s)
{
	fprintf(stderr, "cpu      %.3f s: %.3f s on stacks", (double)s->cpu_ns / 1e9,
		(double)s->sampled_ns / 1e9);
	if (s->never_met_ns)
		fprintf(stderr, ", %.3f s in processes that ended", (double)s->never_met_ns / 1e9);
	if (s->exited_ns)
		fprintf(stderr, ", %.3f s in threads that ended", (double)s->exited_ns / 1e9);
	if (s->not_seen_ns)
		fprintf(stderr, ", %.3f s not sampled", (double)s->not_seen_ns / 1e9);
	fputs("\n", stderr);
}

static void print_pause(const struct sampler_stats *s)
{
	char p50[32], p99[32], max[32], total[32];

	fprintf(stderr, "pause    p50 %s, p99 %s, max %s; %s in all\n",
		format_duration(hist_quantile(&s->pause, 0.5), p50),
		format_duration(hist_quantile(&s->pause, 0.99), p99),
		format_duration(s->pause.max, max), format_duration(s->pause.sum, total));
}

static void print_waits(const struct sampler_stats *s, const struct sampler_options *options)
{
	char delay[32];

	fprintf(stderr, "waits    %" PRIu64 ", %s in all\n", s->waits,
		format_duration(s->delay_ns, delay));
	if (s->parked)
		fprintf(stderr,
			"parked   %" PRIu32 " threads waited in one place all the time, and %s\n",
			s->parked,
			options->keep_parked ? "have the label parked"
					     : "are left out; --parked keeps them");
}

void summary_print(const struct session_stats *stats, const struct sampler_options *options,
		   bool verbose)
{
	const struct sampler_stats *s = &stats->sampler;
	double seconds = (double)s->elapsed_ns / 1e9;

	fprintf(stderr, "samples  %" PRIu64 " of %u threads in %.1f s, %.0f ticks per second\n",
		s->samples, s->threads_seen, seconds, seconds > 0 ? (double)s->ticks / seconds : 0);
	if (s->children)
		fprintf(stderr, "children %" PRIu64 " processes\n", s->children);
	if (options->types & (SAMPLER_CPU | SAMPLER_WALL))
		print_cpu(s);
	if (options->types != SAMPLER_BLOCK)
		print_pause(s);
	if (options->types & SAMPLER_BLOCK)
		print_waits(s, options);
	if (options->types & SAMPLER_CREATE)
		fprintf(stderr, "created  %" PRIu64 " threads; %" PRIu64 " signals passed on\n",
			s->created, s->signalled);
	if (options->types & SAMPLER_MUTEX)
		fprintf(stderr, "locks    %.3f s waited for, %.1f%% with an unknown holder\n",
			(double)stats->lock_ns / 1e9, percent(stats->unheld_ns, stats->lock_ns));
	print_stacks("stacks", stats->traces);
	print_stacks("blocked", stats->read_traces);
	print_budget(stats);
	if (s->short_counts && !verbose)
		fprintf(stderr,
			"note     %" PRIu64
			" transfers may have come back short; see cprof-record(1)\n",
			s->short_counts);
	print_gaps(stats);
	if (verbose)
		print_more(stats);
	if (!s->samples && !s->cpu_ns && !s->not_read)
		fprintf(stderr, "note     the target used no CPU time, so the profile is empty\n");
}
