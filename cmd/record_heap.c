/* SPDX-License-Identifier: Apache-2.0 */
#include "record_heap.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "cmd.h"
#include "heap_options.h"
#include "session/session_heap.h"

static bool print_losses(const struct session_heap_stats *stats)
{
	const struct allocs_stats *a = &stats->allocs;
	uint64_t lost = a->no_stack + a->dropped;

	if (lost)
		fprintf(stderr,
			"cprof: %" PRIu64 " of %" PRIu64
			" samples have no stack, they came faster than they could be fetched; use "
			"a larger --heap-rate\n",
			lost, a->samples);
	if (a->not_live)
		fprintf(stderr,
			"cprof: %" PRIu64
			" samples are missing in what is in use, there were too many; use "
			"a larger --heap-rate\n",
			a->not_live);
	if (a->inject.n_left)
		fprintf(stderr,
			"cprof: %" PRIu32
			" import slots were changed by somebody else meanwhile, and "
			"left as they are\n",
			a->inject.n_left);
	if (a->inject.left_wire)
		fprintf(stderr, "cprof: a thread may be inside the agent: its 8 MiB stay mapped, "
				"unused\n");
	return lost || a->not_live;
}

static void print(const struct session_heap_stats *stats, const struct record_options *options)
{
	const struct allocs_stats *a = &stats->allocs;
	char start[32], map[32], stop[32], unmap[32];

	if (options->heap_rate)
		fprintf(stderr,
			"samples  %" PRIu64 " in %.1f s, %" PRIu64 " of them in use at the end\n",
			a->samples, (double)stats->elapsed_ns / 1e9, stats->in_use);
	custom_options_print(&options->custom, stats);
	fprintf(stderr,
		"pause    all threads %s and one %s to bring the agent in, all %s and one %s to "
		"take it out\n",
		format_duration(a->inject.start_ns, start), format_duration(a->inject.map_ns, map),
		format_duration(a->inject.stop_ns, stop),
		format_duration(a->inject.unmap_ns, unmap));
	if (a->target_ended)
		fprintf(stderr,
			"note     the target ended, or became another program: in use is what "
			"was up to a second before\n");
	if (!a->samples && options->heap_rate)
		fprintf(stderr,
			"note     nothing was sampled: little was allocated, or not through "
			"malloc and the like of a shared library\n");
	if (a->inject.took_over)
		fprintf(stderr,
			"note     an agent that a killed cprof had left was taken out first\n");
	if (!options->verbose)
		return;
	fprintf(stderr,
		"agent    %" PRIu32 " import slots in %" PRIu32 " modules, %" PRIu32
		" not bound yet\n",
		a->inject.n_slots, a->inject.n_modules, a->inject.n_unresolved);
	fprintf(stderr,
		"renewed  %" PRIu64 " times, %s at most; %" PRIu32 " calls left with EINTR\n",
		a->inject.renewals, format_duration(a->inject.renewal_ns, start),
		a->inject.left_eintr);
	for (int end = 0; end < TRACE_ENDS; end++) {
		if (stats->traces[end])
			fprintf(stderr, "ends     %" PRIu64 " %s\n", stats->traces[end],
				trace_end_name(end));
	}
}

/* Why nothing was recorded, and the way out. */
static void explain(const struct record_options *options, pid_t pid, int why)
{
	if (why == INJECT_NOT_IMPORTED)
		custom_options_explain(&options->custom, pid);
	else
		heap_options_explain(pid, why);
}

struct session_heap *record_heap_start(const struct record_options *options, pid_t pid)
{
	const struct session_heap_options heap_options = {
		.pid = pid,
		.rate = options->heap_rate,
		.inlines = options->sampling.session.inlines,
		.command_line = options->sampling.session.command_line,
		.customs = options->custom.wanted,
		.n_customs = options->custom.n_wanted,
	};
	struct session_heap *heap = NULL;
	/* A command does not run yet. */
	bool runs = options->sampling.session.sampler.pid != 0;
	int r = session_heap_new(&heap_options, &heap);

	if (r >= 0)
		r = session_heap_start(heap);
	if (r >= 0 && runs)
		r = session_heap_await(heap);
	if (r == 0)
		return heap;
	if (r < 0)
		fprintf(stderr, "cprof: cannot profile process %d: %s\n", pid, strerror(-r));
	else
		explain(options, pid, r);
	return session_heap_free(heap);
}

/* Until the time is over, it is to stop, or the target has ended. */
void record_heap_wait(const struct record_options *options, const struct session_heap *heap)
{
	const struct sampler_options *sampler = &options->sampling.session.sampler;
	struct pollfd fds[] = {{.fd = sampler->stop_fd, .events = POLLIN},
			       {.fd = session_heap_end_fd(heap), .events = POLLIN}};
	uint64_t now = clock_now_ns(), end = now + sampler->duration_ns;
	int r = 0;

	for (; r <= 0 && (!sampler->duration_ns || now < end); now = clock_now_ns()) {
		struct timespec rest = ns_timespec(end - now);

		r = ppoll(fds, ARRAY_SIZE(fds), sampler->duration_ns ? &rest : NULL, NULL);
	}
}

int record_heap_finish(const struct record_options *options, struct session_heap *heap, pid_t pid,
		       struct session_heap_stats *ret_stats, struct record_files *files)
{
	struct profile *profile = NULL;
	int r;

	*ret_stats = (struct session_heap_stats){};
	r = session_heap_finish(heap, ret_stats, options->heap_rate ? &profile : NULL);
	if (r > 0) {
		explain(options, pid, r);
		return CMD_FAILED;
	}
	if (r >= 0 && profile)
		r = record_files_set_heap(files, profile);
	for (unsigned i = 0; i < options->custom.n_wanted && r >= 0; i++) {
		r = session_heap_finish_custom(heap, i, &profile);
		if (r >= 0)
			record_files_set_custom(files, options->custom.wanted[i], profile);
	}
	if (r < 0) {
		fprintf(stderr, "cprof: cannot profile process %d: %s\n", pid, strerror(-r));
		return CMD_FAILED;
	}
	return CMD_OK;
}

bool record_heap_print(const struct record_options *options, const struct session_heap_stats *stats)
{
	bool lost = print_losses(stats);

	lost |= custom_options_losses(&options->custom, stats);
	if (!options->quiet)
		print(stats, options);
	return lost;
}
