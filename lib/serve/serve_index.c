/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what there is, as Go's index page (src/net/http/pprof/pprof.go indexTmplExecute). */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "serve/serve_priv.h"

DEFINE_CLEANUP(struct profile *, profile_free)

static uint32_t count_stacks(const struct serve_target *target)
{
	struct session_heap_stats stats;

	session_heap_get_stats(target->heap, &stats);
	return stats.stacks;
}

static uint32_t count_entries(struct serve_target *target, const struct serve_entry *entry)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	uint64_t sum = 0;

	if (serve_custom_make(target, entry, &profile) != 0)
		return 0;
	for (uint32_t i = 0; i < profile_n_samples(profile); i++)
		sum += (uint64_t)profile_sample(profile, i)->values[0];
	return (uint32_t)sum;
}

/* How many there are: stacks counted so far, threads, entries. */
static uint32_t count_one(struct serve_target *target, const struct serve_entry *entry)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;

	if (entry->what == SERVE_EVERY)
		return (uint32_t)serve_names_count_threads(target->names);
	if (entry->what == SERVE_HEAP)
		return count_stacks(target);
	if (entry->what == SERVE_CUSTOM)
		return count_entries(target, entry);
	if (entry->what != SERVE_COUNT || serve_hub_total(target->hub, entry->type, &profile) < 0)
		return 0;
	return profile_n_samples(profile);
}

static uint32_t count(const struct serve_scope *scope, const struct serve_entry *entry)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < scope->n; i++)
		sum += count_one(scope->items[i], entry);
	return sum;
}

static int write_rows(const struct serve *serve, const struct serve_scope *scope, struct sink *sink)
{
	const struct serve_entry *entry;
	int r = 0;

	for (unsigned i = 0; r >= 0 && (entry = serve_entry_get(serve, i)); i++) {
		if (serve_entry_is_listed(serve, entry))
			r = sink_printf(sink,
					"<tr><td>%" PRIu32
					"</td><td><a href='%s?debug=1'>%s</a></td></tr>\n",
					count(scope, entry), entry->name, entry->name);
	}
	return r;
}

/* Of several: since the first, for as long as the longest. */
static void add_count(const struct serve_target *target, const struct serve_entry *entry,
		      struct serve_hub_count *count)
{
	struct serve_hub_count one;

	serve_hub_count(target->hub, entry->type, &one);
	if (one.since && (!count->since || one.since < count->since))
		count->since = one.since;
	count->counted = MAX(count->counted, one.counted);
	count->users += one.users;
}

/* What `block` and the like hold without `seconds`. */
static int write_since(const struct serve_scope *scope, const struct serve_entry *entry,
		       struct sink *sink)
{
	struct serve_hub_count count = {};
	char when[64], lasted[32];
	struct tm tm;
	time_t at;

	for (unsigned i = 0; i < scope->n; i++)
		add_count(scope->items[i], entry, &count);
	if (!count.since)
		return sink_printf(sink, ". Not counted yet: ask with seconds.");
	at = (time_t)(count.since / NSEC_PER_SEC);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
	return sink_printf(sink, ". Counted since %s, for %s in all%s.", when,
			   format_duration(count.counted / NSEC_PER_MSEC * NSEC_PER_MSEC, lasted),
			   count.users ? ", and now" : " while somebody asked");
}

/* Since the first was counted. */
static int write_heap_since(const struct serve_scope *scope, struct sink *sink)
{
	struct session_heap_stats stats;
	uint64_t since = 0;
	char when[64];
	struct tm tm;
	time_t at;

	for (unsigned i = 0; i < scope->n; i++) {
		session_heap_get_stats(scope->items[i]->heap, &stats);
		if (stats.images && (!since || stats.begun_wall < since))
			since = stats.begun_wall;
	}
	if (!since)
		return 0;
	at = (time_t)(since / NSEC_PER_SEC);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
	return sink_printf(sink, ". Counted since %s.", when);
}

static int write_descriptions(const struct serve *serve, const struct serve_scope *scope,
			      struct sink *sink)
{
	const struct serve_entry *entry;
	int r = 0;

	for (unsigned i = 0; r >= 0 && (entry = serve_entry_get(serve, i)); i++) {
		if (!serve_entry_is_listed(serve, entry))
			continue;
		r = sink_printf(sink, "<li><div class=profile-name>%s: </div> %s", entry->name,
				entry->about);
		if (r >= 0 && entry->what == SERVE_COUNT)
			r = write_since(scope, entry, sink);
		if (r >= 0 && (entry->what == SERVE_HEAP || entry->what == SERVE_CUSTOM))
			r = write_heap_since(scope, sink);
		if (r >= 0)
			r = sink_printf(sink, "</li>\n");
	}
	return r;
}

/* Where there may be several, each has an index of its own. */
static int write_processes(struct serve *serve, const struct serve_scope *scope, struct sink *sink)
{
	char name[SERVE_NAME];
	int r = sink_printf(sink, "%s<table>\n",
			    scope->n ? "Processes, and all of them together below:"
				     : "There is no process now.");

	for (unsigned i = 0; i < scope->n && r >= 0; i++) {
		struct serve_target *target = scope->items[i];

		serve_target_name(&serve->targets, target, name);
		r = sink_printf(sink, "<tr><td><a href='%s/'>%s</a></td><td>", target->pid_text,
				target->pid_text);
		r = r < 0 ? r : serve_reply_escape(sink, name);
		r = r < 0 ? r : sink_printf(sink, "</td></tr>\n");
	}
	return r < 0 ? r : sink_printf(sink, "</table>\n<br>\n");
}

static int write_page(struct serve *serve, const struct serve_scope *scope, const char *pid,
		      struct sink *sink)
{
	const char *slash = *pid ? "/" : "";
	int r = sink_printf(sink,
			    "<html>\n<head>\n<title>/debug/pprof/%s%s</title>\n<style>\n"
			    ".profile-name{\n\tdisplay:inline-block;\n\twidth:6rem;\n}\n"
			    "</style>\n</head>\n<body>\n/debug/pprof/%s%s<br>\n<br>\n",
			    pid, slash, pid, slash);

	if (r >= 0 && serve->options.is_many && !*pid)
		r = write_processes(serve, scope, sink);
	if (r >= 0)
		r = sink_printf(sink, "Types of profiles available:\n<table>\n"
				      "<thead><td>Count</td><td>Profile</td></thead>\n");
	r = r < 0 ? r : write_rows(serve, scope, sink);
	if (r >= 0)
		r = sink_printf(sink, "</table>\n<a href=\"goroutine?debug=2\">full goroutine "
				      "stack dump</a>\n<br>\n<p>\nProfile Descriptions:\n<ul>\n");
	r = r < 0 ? r : write_descriptions(serve, scope, sink);
	return r < 0 ? r : sink_printf(sink, "</ul>\n</p>\n</body>\n</html>");
}

enum MHD_Result serve_index_reply(struct serve_request *request, const char *pid)
{
	struct serve *serve = request->serve;
	struct serve_scope scope;
	struct sink_memory text;
	int r;

	sink_memory_init(&text);
	serve_request_scope(request, &scope);
	r = write_page(serve, &scope, pid, &text.sink);
	serve_scope_put(&serve->targets, &scope);
	if (r >= 0)
		return serve_reply_html(request, &text);
	sink_memory_deinit(&text);
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", strerror(-r));
}
