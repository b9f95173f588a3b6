/* SPDX-License-Identifier: Apache-2.0 */
#include "record_heap.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "cmd.h"
#include "memory_limit.h"
#include "output.h"
#include "pprof/pprof.h"
#include "session/session_heap.h"
#include "target.h"

static int write_profile(void *user, struct sink *sink)
{
	return pprof_write(user, sink);
}

/* Why nothing was recorded, and the way out. */
static void explain(pid_t pid, int why)
{
	switch ((enum inject_result)why) {
	case INJECT_OK:
		return;
	case INJECT_GONE:
		fprintf(stderr, "cprof: process %d has ended, or became another program.\n", pid);
		return;
	case INJECT_NOT_IMPORTED:
	case INJECT_NO_SLOTS:
		fprintf(stderr,
			"cprof: process %d imports no malloc or operator new: it is linked "
			"statically, or has a heap of its own, as Go programs do. Link its C "
			"library and allocator dynamically; a Go program has "
			"/debug/pprof/heap of net/http/pprof.\n",
			pid);
		return;
	case INJECT_OWN_ALLOCATOR:
		fprintf(stderr,
			"cprof: process %d has an allocator linked into its program, whose calls "
			"cannot be reached. Link jemalloc, tcmalloc or mimalloc as a shared "
			"library, "
			"or use its own profiler.\n",
			pid);
		return;
	case INJECT_SECCOMP:
		fprintf(stderr,
			"cprof: process %d is under seccomp(2), and may be killed for a system "
			"call "
			"that it does not make itself; it was not touched. Start it without the "
			"filter.\n",
			pid);
		return;
	case INJECT_SHADOW_STACK:
		fprintf(stderr,
			"cprof: process %d has shadow stacks, and was not touched. Start it with "
			"GLIBC_TUNABLES=glibc.cpu.x86_shstk=off.\n",
			pid);
		return;
	case INJECT_OTHER_AGENT:
		fprintf(stderr,
			"cprof: another version of cprof has left its agent in process %d. Run "
			"'cprof record --type heap -d 1s' of that version once: it takes it out.\n",
			pid);
		return;
	case INJECT_NO_CODE:
		fprintf(stderr,
			"cprof: no C library that is known was found in process %d: glibc or musl "
			"is "
			"needed.\n",
			pid);
		return;
	case INJECT_NO_THREAD:
		fprintf(stderr,
			"cprof: no thread of process %d was met at a place where it can be used: "
			"all "
			"wait in calls that must not be interrupted, or on stacks of their own. "
			"Try "
			"again while it is busy.\n",
			pid);
		return;
	case INJECT_NO_MEMORY:
		fprintf(stderr,
			"cprof: process %d may not map 8 MiB more: look at its limits (ulimit -v) "
			"and at policies against executable memory.\n",
			pid);
		return;
	case INJECT_DENIED:
		fprintf(stderr,
			"cprof: process %d cannot be changed: another tracer has it, or this user "
			"may not write to its memory. End the other one, or try it as root.\n",
			pid);
		return;
	}
}

static bool print_losses(const struct session_heap_stats *stats)
{
	const struct allocs_stats *a = &stats->allocs;
	uint64_t lost = a->no_stack + a->dropped;

	if (lost)
		fprintf(stderr,
			"cprof: %" PRIu64 " of %" PRIu64
			" samples were lost, they came faster than they could be fetched; use a "
			"larger --heap-rate\n",
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

static int record(struct record_options *options, struct output *output)
{
	const struct sampler_options *sampler = &options->sampling.session.sampler;
	const struct session_heap_options heap = {
		.pid = sampler->pid,
		.rate = options->heap_rate ? options->heap_rate : SESSION_HEAP_RATE,
		.duration_ns = sampler->duration_ns,
		.allocs = strcmp(options->heap, "allocs") == 0,
		.inlines = options->sampling.session.inlines,
		.command_line = options->sampling.session.command_line,
		.stop_fd = sampler->stop_fd,
	};
	struct session_heap_stats stats = {};
	struct profile *profile = NULL;
	bool partial;
	int r;

	target_hint(sampler->pid);
	r = session_heap_run(&heap, &stats, &profile);
	if (r < 0) {
		fprintf(stderr, "cprof: cannot profile process %d: %s\n", sampler->pid,
			strerror(-r));
		return CMD_FAILED;
	}
	if (r > 0) {
		explain(sampler->pid, r);
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
