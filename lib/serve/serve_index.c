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

/* How many there are: stacks counted so far, threads. */
static uint32_t count(struct serve *serve, const struct serve_entry *entry)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;

	if (entry->what == SERVE_EVERY)
		return (uint32_t)serve_names_count_threads(serve->names);
	if (entry->what != SERVE_COUNT || serve_hub_total(serve->hub, entry->type, &profile) < 0)
		return 0;
	return profile_n_samples(profile);
}

static int write_rows(struct serve *serve, struct sink *sink)
{
	const struct serve_entry *entry;
	int r = 0;

	for (unsigned i = 0; r >= 0 && (entry = serve_entry_get(i)); i++) {
		if (!entry->is_hidden)
			r = sink_printf(sink,
					"<tr><td>%" PRIu32
					"</td><td><a href='%s?debug=1'>%s</a></td></tr>\n",
					count(serve, entry), entry->name, entry->name);
	}
	return r;
}

/* What `block` and the like hold without `seconds`. */
static int write_since(struct serve *serve, const struct serve_entry *entry, struct sink *sink)
{
	struct serve_hub_count count;
	char when[64], lasted[32];
	struct tm tm;
	time_t at;

	serve_hub_count(serve->hub, entry->type, &count);
	if (!count.since)
		return sink_printf(sink, ". Not counted yet: ask with seconds.");
	at = (time_t)(count.since / NSEC_PER_SEC);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
	return sink_printf(sink, ". Counted since %s, for %s in all%s.", when,
			   format_duration(count.counted / NSEC_PER_MSEC * NSEC_PER_MSEC, lasted),
			   count.users ? ", and now" : " while somebody asked");
}

static int write_descriptions(struct serve *serve, struct sink *sink)
{
	const struct serve_entry *entry;
	int r = 0;

	for (unsigned i = 0; r >= 0 && (entry = serve_entry_get(i)); i++) {
		if (entry->is_hidden)
			continue;
		r = sink_printf(sink, "<li><div class=profile-name>%s: </div> %s", entry->name,
				entry->about);
		if (r >= 0 && entry->what == SERVE_COUNT)
			r = write_since(serve, entry, sink);
		if (r >= 0)
			r = sink_printf(sink, "</li>\n");
	}
	return r;
}

static int write_page(struct serve *serve, struct sink *sink)
{
	int r = sink_printf(sink, "<html>\n<head>\n<title>/debug/pprof/</title>\n<style>\n"
				  ".profile-name{\n\tdisplay:inline-block;\n\twidth:6rem;\n}\n"
				  "</style>\n</head>\n<body>\n/debug/pprof/<br>\n<br>\n"
				  "Types of profiles available:\n<table>\n"
				  "<thead><td>Count</td><td>Profile</td></thead>\n");

	r = r < 0 ? r : write_rows(serve, sink);
	if (r >= 0)
		r = sink_printf(sink, "</table>\n<a href=\"goroutine?debug=2\">full goroutine "
				      "stack dump</a>\n<br>\n<p>\nProfile Descriptions:\n<ul>\n");
	r = r < 0 ? r : write_descriptions(serve, sink);
	return r < 0 ? r : sink_printf(sink, "</ul>\n</p>\n</body>\n</html>");
}

enum MHD_Result serve_index_reply(struct serve_request *request)
{
	struct sink_memory text;
	int r;

	sink_memory_init(&text);
	r = write_page(request->serve, &text.sink);
	if (r >= 0)
		return serve_reply_html(request, &text);
	sink_memory_deinit(&text);
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", strerror(-r));
}
