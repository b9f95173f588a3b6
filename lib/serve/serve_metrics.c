/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics: figures about cprof itself, in the text format of Prometheus (version 0.0.4). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "serve/serve_priv.h"

static const unsigned codes[SERVE_CODES] = {200, 301, 302, 400, 401, 403,
					    404, 405, 413, 500, 501, 503};

void serve_metrics_count(struct serve_request *request, unsigned code)
{
	for (unsigned i = 0; i < SERVE_CODES; i++) {
		if (codes[i] == code)
			atomic_fetch_add(&request->serve->counts[request->path][i], 1);
	}
}

static const char *path_name(unsigned path)
{
	if (path < SERVE_PATH_INDEX)
		return serve_entry_get(path)->name;
	return path == SERVE_PATH_INDEX     ? "index"
	       : path == SERVE_PATH_METRICS ? "metrics"
					    : "other";
}

static int write_requests(struct serve *serve, struct sink *sink)
{
	int r = sink_printf(sink, "# HELP cprof_http_requests_total Requests answered.\n"
				  "# TYPE cprof_http_requests_total counter\n");

	for (unsigned path = 0; path < SERVE_PATHS; path++) {
		for (unsigned i = 0; i < SERVE_CODES && r >= 0; i++) {
			uint64_t n = atomic_load(&serve->counts[path][i]);

			if (n)
				r = sink_printf(sink,
						"cprof_http_requests_total{path=\"%s\",code=\"%u\"}"
						" %" PRIu64 "\n",
						path_name(path), codes[i], n);
		}
	}
	return r;
}

static int write_number(struct sink *sink, const char *name, const char *type, const char *about,
			double number)
{
	return sink_printf(sink, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, about, name, type,
			   name, number);
}

static int write_pauses(const struct session_progress *progress, struct sink *sink)
{
	uint64_t sum = 0;
	int r = sink_printf(sink, "# HELP cprof_pause_seconds How long threads stood still for a "
				  "sample.\n# TYPE cprof_pause_seconds histogram\n");

	for (unsigned i = 0; i < SAMPLER_PAUSES && r >= 0; i++) {
		sum += progress->pauses[i];
		if (i == SAMPLER_PAUSES - 1)
			r = sink_printf(
				sink, "cprof_pause_seconds_bucket{le=\"+Inf\"} %" PRIu64 "\n", sum);
		else
			r = sink_printf(sink, "cprof_pause_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
					(double)sampler_pause_steps[i] / 1e9, sum);
	}
	return r < 0 ? r
		     : sink_printf(
			       sink,
			       "cprof_pause_seconds_sum %.9f\ncprof_pause_seconds_count %" PRIu64
			       "\n",
			       (double)progress->pause_ns / 1e9, sum);
}

static int write_traces(const struct session_progress *progress, struct sink *sink)
{
	int r = sink_printf(sink, "# HELP cprof_stacks_total Stacks unwound, by how they ended; "
				  "root is complete.\n# TYPE cprof_stacks_total counter\n");

	for (unsigned end = 0; end < TRACE_ENDS && r >= 0; end++)
		r = sink_printf(sink, "cprof_stacks_total{end=\"%s\"} %" PRIu64 "\n",
				trace_end_name((enum trace_end)end), progress->traces[end]);
	return r;
}

static int write_users(struct serve *serve, struct sink *sink)
{
	const struct session_type *type;
	int r = sink_printf(sink, "# HELP cprof_clients Requests that a type is sampled for now, "
				  "and --continuous.\n"
				  "# TYPE cprof_clients gauge\n");

	for (unsigned i = 0; r >= 0 && (type = session_type_get(i)); i++) {
		struct serve_hub_count count;

		if (!(type->type & SERVE_TYPES))
			continue;
		serve_hub_count(serve->hub, type->type, &count);
		r = sink_printf(sink, "cprof_clients{type=\"%s\"} %u\n", type->name, count.users);
	}
	return r;
}

/* Of this process, by the names that Prometheus' own libraries use. */
static int write_process(struct sink *sink)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;
	struct rusage usage;
	int r;

	if (file && fscanf(file, "%*u %lu", &pages) != 1)
		pages = 0;
	getrusage(RUSAGE_SELF, &usage);
	r = write_number(sink, "process_cpu_seconds_total", "counter", "CPU time of cprof.",
			 (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	return r < 0 ? r
		     : write_number(sink, "process_resident_memory_bytes", "gauge",
				    "Memory of cprof.", (double)pages * (double)getpagesize());
}

static int write_all(struct serve *serve, struct sink *sink)
{
	struct session_progress progress;
	int r;

	session_progress(serve_hub_session(serve->hub), &progress);
	r = write_number(sink, "cprof_samples_total", "counter", "Samples taken.",
			 (double)progress.samples);
	if (r >= 0)
		r = write_number(sink, "cprof_samples_dropped_total", "counter",
				 "Samples lost because there was no room for them.",
				 (double)progress.dropped);
	if (r >= 0)
		r = write_number(sink, "cprof_target_threads", "gauge",
				 "Threads of the process, as of the last tick.",
				 (double)progress.threads);
	if (r >= 0)
		r = write_pauses(&progress, sink);
	if (r >= 0)
		r = write_traces(&progress, sink);
	if (r >= 0)
		r = write_users(serve, sink);
	if (r >= 0)
		r = write_requests(serve, sink);
	if (r >= 0)
		r = serve_push_write(serve->push, sink);
	return r < 0 ? r : write_process(sink);
}

enum MHD_Result serve_metrics_reply(struct serve_request *request)
{
	struct sink_memory text;
	int r;

	sink_memory_init(&text);
	r = write_all(request->serve, &text.sink);
	if (r >= 0)
		return serve_reply_metrics(request, &text);
	sink_memory_deinit(&text);
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", strerror(-r));
}
