/* SPDX-License-Identifier: Apache-2.0 */
#include "top_figures.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/heap_delta.h"
#include "symbol/symbol.h"

#define ALLOC_OBJECTS 0
#define ALLOC_SPACE 1
#define INUSE_SPACE 3

const struct session_type top_figures_heap = {.name = "heap"};

static int make_table(struct top_figures *f)
{
	const struct report_table_options options = {
		.by_thread = f->by_thread,
		.demangle = symbol_demangle,
	};

	f->table = report_table_free(f->table);
	return report_table_new(&options, &f->table);
}

int top_figures_init(struct top_figures *f, struct session *session, struct session_heap *heap,
		     unsigned types, bool children, const struct session_type *type)
{
	*f = (struct top_figures){
		.session = session,
		.heap = heap,
		.types = types,
		.children = children,
		.type = type,
		.cpu = -1,
		.cpu_at = clock_now_ns(),
	};
	/* It may have ended already. */
	if (process_open(session_pid(session), &f->process) == 0 &&
	    process_cpu_time(f->process, &f->cpu_ns) < 0)
		f->process = process_close(f->process);
	return make_table(f);
}

void top_figures_deinit(struct top_figures *f)
{
	process_close(f->process);
	report_table_free(f->table);
	profile_free(f->base);
	profile_free(f->before);
	profile_free(f->now);
	profile_free(f->last);
	profile_free(f->since);
	profile_free(f->heap_now);
	profile_free(f->heap_last);
}

/* The column of the type's time, in a profile of all that are measured. */
static uint32_t column_of(const struct top_figures *f, const struct session_type *type)
{
	const struct profile_spec *spec = profile_get_spec(f->now);
	const char *name = type->values[type->n_values - 1].type;
	uint32_t i = 0;

	while (i + 1 < spec->n_sample_types && strcmp(spec->sample_types[i].type, name) != 0)
		i++;
	return i;
}

static double per_second(double amount, uint64_t ns)
{
	return ns ? amount * 1e9 / (double)ns : 0;
}

/* Since when does not matter: in use is in use. */
static int fill_heap(struct top_figures *f)
{
	const struct profile *last = f->heap_last ? f->heap_last : f->heap_now;
	int r;

	if (!f->heap_now) {
		report_table_clear(f->table, TOP_LAST);
		report_table_clear(f->table, TOP_SINCE);
		return 0;
	}
	f->since_ns = (uint64_t)profile_duration(f->heap_now);
	f->last_ns = f->heap_last ? (uint64_t)profile_duration(f->heap_last) : f->since_ns;
	f->samples = (uint64_t)profile_total(f->heap_now, ALLOC_OBJECTS);
	f->samples_per_second = per_second((double)profile_total(last, ALLOC_OBJECTS), f->last_ns);
	r = report_table_fill(f->table, TOP_LAST, last, ALLOC_SPACE);
	if (r >= 0)
		r = report_table_fill(f->table, TOP_SINCE, f->heap_now, INUSE_SPACE);
	return r;
}

static int fill(struct top_figures *f)
{
	const struct profile *since = f->since ? f->since : f->now;
	uint32_t column;
	int r = 0;

	if (f->type == &top_figures_heap)
		return fill_heap(f);
	if (!f->now)
		return 0;
	column = column_of(f, f->type);
	f->since_ns = (uint64_t)profile_duration(since);
	f->last_ns = f->last ? (uint64_t)profile_duration(f->last) : f->since_ns;
	/* The number of samples stands before the time. */
	f->samples = (uint64_t)profile_total(since, column - 1);
	f->samples_per_second = per_second(
		(double)profile_total(f->last ? f->last : since, column - 1), f->last_ns);
	r = report_table_fill(f->table, TOP_LAST, f->last ? f->last : since, column);
	if (r >= 0)
		r = report_table_fill(f->table, TOP_SINCE, since, column);
	return r;
}

/* CPUs in use: of one process by its clock, of several by their samples. */
static void read_cpu(struct top_figures *f)
{
	const struct session_type *cpu = session_type_find("cpu");
	uint64_t now = clock_now_ns(), used;

	if (f->children && f->types & SAMPLER_CPU) {
		const struct profile *last = f->last ? f->last : f->now;

		f->cpu = per_second((double)profile_total(last, column_of(f, cpu)),
				    (uint64_t)profile_duration(last)) /
			 1e9;
		return;
	}
	if (!f->process || process_cpu_time(f->process, &used) < 0) {
		f->process = process_close(f->process);
		f->cpu = -1;
		return;
	}
	f->cpu = now > f->cpu_at ? (double)(used - f->cpu_ns) / (double)(now - f->cpu_at) : 0;
	f->cpu_ns = used;
	f->cpu_at = now;
}

static void read_progress(struct top_figures *f)
{
	struct session_progress progress;
	struct process_stat stat;

	session_progress(f->session, &progress);
	f->threads = progress.threads;
	f->dropped = progress.dropped;
	f->stopped = false;
	if (!f->process || process_stat_read(f->process, &stat) < 0)
		return;
	f->stopped = stat.state == 'T' || stat.state == 't';
	memcpy(f->name, stat.name, sizeof(f->name));
}

/* What changes with the copies. */
static int make_differences(struct top_figures *f)
{
	int r = 0;

	f->last = profile_free(f->last);
	f->since = profile_free(f->since);
	if (f->before)
		r = profile_subtract(f->now, f->before, &f->last);
	if (r >= 0 && f->base)
		r = profile_subtract(f->now, f->base, &f->since);
	return r;
}

/* Of one that does not have the agent, or not yet, there is nothing to show. */
static int refresh_heap(struct top_figures *f)
{
	struct session_heap_stats stats;
	struct profile *now = NULL;
	int r = 0;

	if (!f->heap)
		return 0;
	session_heap_get_stats(f->heap, &stats);
	if (stats.images)
		r = session_heap_peek(f->heap, &now);
	if (!now)
		return r < 0 ? err_trace(r) : 0;
	f->heap_last = profile_free(f->heap_last);
	if (f->heap_now) {
		r = heap_delta(now, f->heap_now, &f->heap_last);
		if (r >= 0)
			profile_set_time(f->heap_last, profile_time(now),
					 profile_duration(now) - profile_duration(f->heap_now));
	}
	profile_free(f->heap_now);
	f->heap_now = now;
	return err_trace(r);
}

int top_figures_refresh(struct top_figures *f)
{
	struct profile *copy = NULL;
	int r = session_peek(f->session, f->types, &copy);

	if (r < 0)
		return err_trace(r);
	r = refresh_heap(f);
	if (r < 0) {
		profile_free(copy);
		return r;
	}
	profile_free(f->before);
	f->before = f->now;
	f->now = copy;
	r = make_differences(f);
	if (r < 0)
		return err_trace(r);
	read_cpu(f);
	read_progress(f);
	return fill(f);
}

int top_figures_reset(struct top_figures *f)
{
	struct profile *copy = NULL;
	int r;

	if (!f->now)
		return 0;
	r = profile_clone(f->now, &copy);
	if (r < 0)
		return err_trace(r);
	profile_free(f->base);
	f->base = copy;
	r = make_differences(f);
	return r < 0 ? err_trace(r) : fill(f);
}

int top_figures_show(struct top_figures *f, const struct session_type *type, bool by_thread)
{
	f->type = type;
	if (f->by_thread != by_thread) {
		int r;

		f->by_thread = by_thread;
		r = make_table(f);
		if (r < 0)
			return err_trace(r);
	}
	return fill(f);
}
