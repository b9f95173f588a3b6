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
#include "memory_limit.h"
#include "output.h"
#include "pprof/pprof.h"
#include "session/session_heap.h"
#include "target.h"

DEFINE_CLEANUP(struct session_heap *, session_heap_free)

static int write_profile(void *user, struct sink *sink)
{
	return pprof_write(user, sink);
}

/* Why nothing was recorded, and the way out. */
static void explain(pid_t pid, int why)
{
	char text[512];

	session_heap_explain(pid, why, text, sizeof(text));
	fprintf(stderr, "cprof: %s\n", text);
}

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

static void print(const struct session_heap_stats *stats, unsigned verbose)
{
	const struct allocs_stats *a = &stats->allocs;
	char start[32], stop[32], remove[32];

	fprintf(stderr, "samples  %" PRIu64 " in %.1f s, %" PRIu64 " of them in use at the end\n",
		a->samples, (double)stats->elapsed_ns / 1e9, stats->in_use);
	fprintf(stderr, "pause    %s to bring the agent in, %s and %s to take it out\n",
		format_duration(a->inject.start_ns, start),
		format_duration(a->inject.stop_ns, stop),
		format_duration(a->inject.remove_ns, remove));
	if (a->target_ended)
		fprintf(stderr,
			"note     the target ended, or became another program: in use is what "
			"was up to a second before\n");
	if (!a->samples)
		fprintf(stderr,
			"note     nothing was sampled: little was allocated, or not through "
			"malloc and the like of a shared library\n");
	if (a->inject.took_over)
		fprintf(stderr,
			"note     an agent that a killed cprof had left was taken out first\n");
	if (!verbose)
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

static int write_file(struct output *output, struct profile *profile)
{
	struct sink_fd sink;

	sink_fd_init(&sink, output->fd);
	return output_finish(output, pprof_write(profile, &sink.sink), write_profile, profile);
}

/* Until the time is over, it is to stop, or the target has ended. */
static void wait_for_end(const struct sampler_options *sampler, int end_fd)
{
	struct pollfd fds[] = {{.fd = sampler->stop_fd, .events = POLLIN},
			       {.fd = end_fd, .events = POLLIN}};
	uint64_t now = clock_now_ns(), end = now + sampler->duration_ns;
	int r = 0;

	for (; r <= 0 && (!sampler->duration_ns || now < end); now = clock_now_ns()) {
		struct timespec rest = ns_timespec(end - now);

		r = ppoll(fds, ARRAY_SIZE(fds), sampler->duration_ns ? &rest : NULL, NULL);
	}
}

static int count(struct record_options *options, struct session_heap_stats *ret_stats,
		 struct profile **ret_profile)
{
	const struct sampler_options *sampler = &options->sampling.session.sampler;
	const struct session_heap_options heap_options = {
		.pid = sampler->pid,
		.rate = options->heap_rate ? options->heap_rate : SESSION_HEAP_RATE,
		.allocs = strcmp(options->heap, "allocs") == 0,
		.inlines = options->sampling.session.inlines,
		.command_line = options->sampling.session.command_line,
	};
	_cleanup_(session_heap_free_cleanup) struct session_heap *heap = NULL;
	int r = session_heap_new(&heap_options, &heap);

	if (r >= 0)
		r = session_heap_start(heap);
	if (r < 0)
		return r;
	if (session_heap_await(heap) == INJECT_OK)
		wait_for_end(sampler, session_heap_end_fd(heap));
	return session_heap_finish(heap, ret_stats, ret_profile);
}

static int record(struct record_options *options, struct output *output)
{
	pid_t pid = options->sampling.session.sampler.pid;
	struct session_heap_stats stats = {};
	struct profile *profile = NULL;
	bool partial;
	int r;

	target_hint(pid);
	r = count(options, &stats, &profile);
	if (r < 0) {
		fprintf(stderr, "cprof: cannot profile process %d: %s\n", pid, strerror(-r));
		return CMD_FAILED;
	}
	if (r > 0) {
		explain(pid, r);
		return CMD_FAILED;
	}
	r = write_file(output, profile);
	profile_free(profile);
	memory_limit_forget();
	if (r < 0)
		return CMD_FAILED;
	partial = print_losses(&stats) || r > 0;
	if (!options->quiet) {
		print(&stats, options->verbose);
		if (!output->direct)
			fprintf(stderr, "\ngo tool pprof -http=: %s\n", output->path);
	}
	return partial ? CMD_PARTIAL : CMD_OK;
}

int record_heap(struct record_options *options)
{
	struct output output = {.fd = -1};
	const char *temporary[1];
	char name[64];
	int r = CMD_FAILED;

	if (!sampling_find(&options->sampling))
		return CMD_FAILED;
	sampling_target_name(&options->sampling, name);
	if (output_open(&output, options->output_path, name, options->heap) &&
	    target_claim(options->sampling.session.sampler.pid)) {
		temporary[0] = output.temporary;
		memory_limit_guard(temporary, 1);
		r = record(options, &output);
	}
	output_close(&output);
	return r;
}
