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
#include "pprof/pprof.h"
#include "record_files.h"
#include "session/session_heap.h"
#include "target.h"

DEFINE_CLEANUP(struct session_heap *, session_heap_free)

/* One recording: the heap, if it is wanted, and custom profiles. */
struct recording {
	struct record_options *options;
	struct record_files files;
	struct profile *profiles[RECORD_MAX_FILES]; /* by file */
	struct session_heap_stats stats;
};

static int write_one(void *user, unsigned file, struct sink *sink)
{
	const struct recording *recording = user;

	return pprof_write(recording->profiles[file], sink);
}

/* Why nothing was recorded, and the way out. */
static void explain(const struct record_options *options, int why)
{
	pid_t pid = options->sampling.session.sampler.pid;
	char text[512];

	if (why == INJECT_NOT_IMPORTED) {
		custom_options_explain(&options->custom, pid);
		return;
	}
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

static void print(const struct session_heap_stats *stats, const struct record_options *options)
{
	const struct allocs_stats *a = &stats->allocs;
	char start[32], stop[32], remove[32];

	if (options->heap)
		fprintf(stderr,
			"samples  %" PRIu64 " in %.1f s, %" PRIu64 " of them in use at the end\n",
			a->samples, (double)stats->elapsed_ns / 1e9, stats->in_use);
	custom_options_print(&options->custom, stats);
	fprintf(stderr, "pause    %s to bring the agent in, %s and %s to take it out\n",
		format_duration(a->inject.start_ns, start),
		format_duration(a->inject.stop_ns, stop),
		format_duration(a->inject.remove_ns, remove));
	if (a->target_ended)
		fprintf(stderr,
			"note     the target ended, or became another program: in use is what "
			"was up to a second before\n");
	if (!a->samples && options->heap)
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

static int count(struct recording *recording)
{
	const struct record_options *options = recording->options;
	const struct sampler_options *sampler = &options->sampling.session.sampler;
	const struct session_heap_options heap_options = {
		.pid = sampler->pid,
		.rate = !options->heap       ? 0
			: options->heap_rate ? options->heap_rate
					     : SESSION_HEAP_RATE,
		.allocs = options->heap && strcmp(options->heap, "allocs") == 0,
		.inlines = options->sampling.session.inlines,
		.command_line = options->sampling.session.command_line,
		.customs = options->custom.wanted,
		.n_customs = options->custom.n_wanted,
	};
	_cleanup_(session_heap_free_cleanup) struct session_heap *heap = NULL;
	unsigned n = options->heap ? 1 : 0;
	int r = session_heap_new(&heap_options, &heap);

	if (r >= 0)
		r = session_heap_start(heap);
	if (r < 0)
		return r;
	if (session_heap_await(heap) == INJECT_OK)
		wait_for_end(sampler, session_heap_end_fd(heap));
	r = session_heap_finish(heap, &recording->stats, n ? &recording->profiles[0] : NULL);
	for (unsigned i = 0; i < options->custom.n_wanted && r == INJECT_OK; i++)
		r = session_heap_finish_custom(heap, i, &recording->profiles[n + i]);
	return r;
}

static int record(struct recording *recording)
{
	const struct record_options *options = recording->options;
	pid_t pid = options->sampling.session.sampler.pid;
	bool partial;
	int r;

	target_hint(pid);
	r = count(recording);
	if (r < 0) {
		fprintf(stderr, "cprof: cannot profile process %d: %s\n", pid, strerror(-r));
		return CMD_FAILED;
	}
	if (r > 0) {
		explain(options, r);
		return CMD_FAILED;
	}
	r = record_files_write_by(&recording->files, write_one, recording);
	if (r < 0)
		return CMD_FAILED;
	partial = r > 0;
	if (options->heap)
		partial |= print_losses(&recording->stats);
	partial |= custom_options_losses(&options->custom, &recording->stats);
	if (!options->quiet) {
		print(&recording->stats, options);
		record_files_print(&recording->files);
	}
	return partial ? CMD_PARTIAL : CMD_OK;
}

static bool open_files(struct recording *recording)
{
	const struct record_options *options = recording->options;
	const char *names[RECORD_MAX_FILES];
	unsigned n = 0;
	char name[64];

	if (options->heap)
		names[n++] = options->heap;
	for (unsigned i = 0; i < options->custom.n_wanted; i++)
		names[n++] = options->custom.wanted[i]->name;
	sampling_target_name(&options->sampling, name);
	return record_files_open_named(&recording->files, names, n, options->output_path, name);
}

int record_heap(struct record_options *options)
{
	pid_t pid;
	struct recording recording = {.options = options};
	int r;

	if (!sampling_find(&options->sampling))
		return CMD_FAILED;
	pid = options->sampling.session.sampler.pid;
	if (!options->custom.wanted && !custom_options_resolve(&options->custom, pid))
		return CMD_USAGE;
	r = CMD_FAILED;
	if (open_files(&recording) && target_claim(pid)) {
		record_files_guard(&recording.files);
		r = record(&recording);
	}
	memory_limit_forget();
	for (unsigned i = 0; i < RECORD_MAX_FILES; i++)
		profile_free(recording.profiles[i]);
	record_files_close(&recording.files);
	return r;
}
