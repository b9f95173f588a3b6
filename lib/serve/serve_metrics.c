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

#define MAX_LABELS 192

static const unsigned codes[SERVE_CODES] = {200, 301, 302, 400, 401, 403,
					    404, 405, 413, 500, 501, 503};

void serve_metrics_count(struct serve_request *request, unsigned code)
{
	for (unsigned i = 0; i < SERVE_CODES; i++) {
		if (codes[i] == code)
			atomic_fetch_add(&request->serve->counts[request->path][i], 1);
	}
}

static const char *path_name(const struct serve *serve, unsigned path)
{
	if (path < SERVE_PATH_INDEX)
		return serve_entry_get(serve, path)->name;
	return path == SERVE_PATH_INDEX     ? "index"
	       : path == SERVE_PATH_CUSTOM  ? "custom"
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
						path_name(serve, path), codes[i], n);
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

/* What is told of each process: where there may be several, with labels that say which. */
struct figures {
	unsigned n;
	struct process_figures {
		struct session_progress progress;
		struct session_heap_stats heap; /* zeroes: it is not counted */
		const struct serve_target *target;
		char labels[MAX_LABELS]; /* "" or `pid="1",process="x"` */
	} items[SERVE_MAX_PROCESSES];
};

/* As a label's value. */
static void escape_label(const char *text, char *ret_text, size_t size)
{
	size_t at = 0;

	for (; *text && at + 3 < size; text++) {
		if (*text == '\\' || *text == '"')
			ret_text[at++] = '\\';
		ret_text[at++] = *text;
	}
	ret_text[at] = '\0';
}

static void read_figures(struct serve *serve, const struct serve_scope *scope,
			 struct figures *ret_figures)
{
	char name[SERVE_NAME], escaped[2 * SERVE_NAME];

	ret_figures->n = scope->n;
	for (unsigned i = 0; i < scope->n; i++) {
		struct process_figures *f = &ret_figures->items[i];

		f->target = scope->items[i];
		f->labels[0] = '\0';
		f->heap = (struct session_heap_stats){};
		if (f->target->heap)
			session_heap_get_stats(f->target->heap, &f->heap);
		session_progress(serve_hub_session(f->target->hub), &f->progress);
		if (!serve->options.is_many)
			continue;
		serve_target_name(&serve->targets, scope->items[i], name);
		escape_label(name, escaped, sizeof(escaped));
		snprintf(f->labels, sizeof(f->labels), "pid=\"%s\",process=\"%s\"",
			 f->target->pid_text, escaped);
	}
}

static int write_head(struct sink *sink, const char *name, const char *type, const char *about)
{
	return sink_printf(sink, "# HELP %s %s\n# TYPE %s %s\n", name, about, name, type);
}

enum figure {
	FIGURE_SAMPLES,
	FIGURE_DROPPED,
	FIGURE_THREADS,
	FIGURE_HEAP_AGENTS,
	FIGURE_HEAP_SAMPLES,
	FIGURE_HEAP_LOST,
};

static uint64_t figure_of(const struct process_figures *f, enum figure which)
{
	switch (which) {
	case FIGURE_SAMPLES:
		return f->progress.samples;
	case FIGURE_DROPPED:
		return f->progress.dropped;
	case FIGURE_THREADS:
		return f->progress.threads;
	case FIGURE_HEAP_AGENTS:
		return f->heap.images && !f->heap.has_ended;
	case FIGURE_HEAP_SAMPLES:
		return f->heap.allocs.samples;
	case FIGURE_HEAP_LOST:
		return f->heap.allocs.no_stack + f->heap.allocs.dropped;
	}
	return 0;
}

static int write_each(const struct figures *figures, enum figure which, const char *name,
		      const char *type, const char *about, struct sink *sink)
{
	int r = write_head(sink, name, type, about);

	for (unsigned i = 0; i < figures->n && r >= 0; i++) {
		const struct process_figures *f = &figures->items[i];
		uint64_t number = figure_of(f, which);

		r = *f->labels
			    ? sink_printf(sink, "%s{%s} %.17g\n", name, f->labels, (double)number)
			    : sink_printf(sink, "%s %.17g\n", name, (double)number);
	}
	return r;
}

static int write_heaps(const struct serve *serve, const struct figures *figures, struct sink *sink)
{
	int r;

	if (!serve->options.heap_rate)
		return 0;
	r = write_each(figures, FIGURE_HEAP_AGENTS, "cprof_heap_agents", "gauge",
		       "Whether the allocations of the process are counted.", sink);
	if (r >= 0)
		r = write_each(figures, FIGURE_HEAP_SAMPLES, "cprof_heap_samples_total", "counter",
			       "Sampled allocations.", sink);
	return r < 0 ? r
		     : write_each(figures, FIGURE_HEAP_LOST, "cprof_heap_samples_lost_total",
				  "counter", "Of these, those without a stack.", sink);
}

static int write_pauses_of(const struct process_figures *f, struct sink *sink)
{
	const char *comma = *f->labels ? "," : "", *open = *f->labels ? "{" : "";
	const char *close = *f->labels ? "}" : "";
	uint64_t sum = 0;
	int r = 0;

	for (unsigned i = 0; i < SAMPLER_PAUSES && r >= 0; i++) {
		char upto[32] = "+Inf";

		sum += f->progress.pauses[i];
		if (i < SAMPLER_PAUSES - 1)
			snprintf(upto, sizeof(upto), "%g", (double)sampler_pause_steps[i] / 1e9);
		r = sink_printf(sink, "cprof_pause_seconds_bucket{%s%sle=\"%s\"} %" PRIu64 "\n",
				f->labels, comma, upto, sum);
	}
	if (r >= 0)
		r = sink_printf(sink, "cprof_pause_seconds_sum%s%s%s %.9f\n", open, f->labels,
				close, (double)f->progress.pause_ns / 1e9);
	if (r >= 0)
		r = sink_printf(sink, "cprof_pause_seconds_count%s%s%s %" PRIu64 "\n", open,
				f->labels, close, sum);
	return r;
}

static int write_pauses(const struct figures *figures, struct sink *sink)
{
	int r = write_head(sink, "cprof_pause_seconds", "histogram",
			   "How long threads stood still for a sample.");

	for (unsigned i = 0; i < figures->n && r >= 0; i++)
		r = write_pauses_of(&figures->items[i], sink);
	return r;
}

static int write_traces(const struct figures *figures, struct sink *sink)
{
	int r = write_head(sink, "cprof_stacks_total", "counter",
			   "Stacks unwound, by how they ended; root is complete.");

	for (unsigned i = 0; i < figures->n; i++) {
		const struct process_figures *f = &figures->items[i];

		for (unsigned end = 0; end < TRACE_ENDS && r >= 0; end++)
			r = sink_printf(sink, "cprof_stacks_total{%s%send=\"%s\"} %" PRIu64 "\n",
					f->labels, *f->labels ? "," : "",
					trace_end_name((enum trace_end)end),
					f->progress.traces[end]);
	}
	return r;
}

static int write_users_of(const struct process_figures *f, struct sink *sink)
{
	const struct session_type *type;
	int r = 0;

	for (unsigned i = 0; r >= 0 && (type = session_type_get(i)); i++) {
		struct serve_hub_count count;

		if (!(type->type & SERVE_TYPES))
			continue;
		serve_hub_count(f->target->hub, type->type, &count);
		r = sink_printf(sink, "cprof_clients{%s%stype=\"%s\"} %u\n", f->labels,
				*f->labels ? "," : "", type->name, count.users);
	}
	return r;
}

static int write_users(const struct figures *figures, struct sink *sink)
{
	int r = write_head(sink, "cprof_clients", "gauge",
			   "Requests that a type is sampled for now, and --continuous.");

	for (unsigned i = 0; i < figures->n && r >= 0; i++)
		r = write_users_of(&figures->items[i], sink);
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

static int write_all(struct serve *serve, const struct serve_scope *scope, struct sink *sink)
{
	struct figures figures;
	int r = 0;

	read_figures(serve, scope, &figures);
	if (serve->options.is_many)
		r = write_number(sink, "cprof_targets", "gauge", "Processes that are served.",
				 scope->n);
	if (r >= 0)
		r = write_each(&figures, FIGURE_SAMPLES, "cprof_samples_total", "counter",
			       "Samples taken.", sink);
	if (r >= 0)
		r = write_each(&figures, FIGURE_DROPPED, "cprof_samples_dropped_total", "counter",
			       "Samples lost because there was no room for them.", sink);
	if (r >= 0)
		r = write_each(&figures, FIGURE_THREADS, "cprof_target_threads", "gauge",
			       "Threads of the process, as of the last tick.", sink);
	if (r >= 0)
		r = write_pauses(&figures, sink);
	if (r >= 0)
		r = write_traces(&figures, sink);
	if (r >= 0)
		r = write_users(&figures, sink);
	if (r >= 0)
		r = write_heaps(serve, &figures, sink);
	if (r >= 0)
		r = write_requests(serve, sink);
	if (r >= 0)
		r = serve_targets_write_pushes(&serve->targets, sink);
	return r < 0 ? r : write_process(sink);
}

enum MHD_Result serve_metrics_reply(struct serve_request *request)
{
	struct serve *serve = request->serve;
	struct serve_scope scope;
	struct sink_memory text;
	int r;

	sink_memory_init(&text);
	serve_targets_all(&serve->targets, &scope);
	r = write_all(serve, &scope, &text.sink);
	serve_scope_put(&serve->targets, &scope);
	if (r >= 0)
		return serve_reply_metrics(request, &text);
	sink_memory_deinit(&text);
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", strerror(-r));
}
