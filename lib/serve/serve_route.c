/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to what answers it. */
#include <string.h>

#include "base/cleanup.h"
#include "serve/serve_priv.h"

#define ROOT "/debug/pprof/"
#define NO_HEAP                                                                                    \
	"cprof has no heap profiles yet: it sees threads, not allocations. Look at profile, "      \
	"wall, block or mutex instead"

/* In alphabetical order. The words about what Go has, too, are Go's. */
static const struct serve_entry entries[] = {
	{"allocs", SERVE_UNSUPPORTED, .has_delta = true, .about = NO_HEAP, .is_hidden = true},
	{"block", SERVE_COUNT, SAMPLER_BLOCK, true,
	 "Stack traces of threads that were blocked, and for how long"},
	{"cmdline", SERVE_CMDLINE, .about = "The command line invocation of the current program"},
	{"goroutine", SERVE_EVERY, .has_delta = true,
	 .about = "Stack traces of all current threads, as goroutines, for programs that ask for "
		  "those"},
	{"heap", SERVE_UNSUPPORTED, .has_delta = true, .about = NO_HEAP, .is_hidden = true},
	{"mutex", SERVE_COUNT, SAMPLER_MUTEX, true, "Stack traces of holders of contended mutexes"},
	{"profile", SERVE_RATE, SAMPLER_CPU,
	 .about = "CPU profile. You can specify the duration in the seconds GET parameter. After "
		  "you get the profile file, use the go tool pprof command to investigate the "
		  "profile."},
	{"symbol", SERVE_SYMBOL, .about = "Names of functions, for go tool pprof",
	 .is_hidden = true},
	{"threadcreate", SERVE_COUNT, SAMPLER_CREATE, true,
	 "Stack traces that led to the creation of new OS threads"},
	{"threads", SERVE_EVERY, .has_delta = true, .about = "Stack traces of all current threads"},
	{"trace", SERVE_UNSUPPORTED,
	 .about = "cprof has no execution traces: those are made by Go's own scheduler. Look at "
		  "wall, which shows when threads run and what they wait for",
	 .is_hidden = true},
	{"wall", SERVE_RATE, SAMPLER_WALL,
	 .about = "Profile of elapsed time: what threads run and what they wait for. You can "
		  "specify the duration in the seconds GET parameter."},
};

_Static_assert(ARRAY_SIZE(entries) == SERVE_PATH_INDEX, "requests are counted by them");

/* Of other dialects: gperftools and brpc, fgprof. */
static const struct {
	const char *path, *name;
} aliases[] = {
	{"/debug/fgprof", "wall"},   {"/pprof/cmdline", "cmdline"}, {"/pprof/contention", "mutex"},
	{"/pprof/growth", "heap"},   {"/pprof/heap", "heap"},       {"/pprof/profile", "profile"},
	{"/pprof/symbol", "symbol"},
};

const struct serve_entry *serve_entry_get(unsigned index)
{
	return index < ARRAY_SIZE(entries) ? &entries[index] : NULL;
}

static const struct serve_entry *find_entry(const char *path)
{
	const char *name = NULL;

	if (strncmp(path, ROOT, strlen(ROOT)) == 0)
		name = path + strlen(ROOT);
	for (size_t i = 0; !name && i < ARRAY_SIZE(aliases); i++) {
		if (strcmp(aliases[i].path, path) == 0)
			name = aliases[i].name;
	}
	for (size_t i = 0; name && i < ARRAY_SIZE(entries); i++) {
		if (strcmp(entries[i].name, name) == 0)
			return &entries[i];
	}
	return NULL;
}

static enum MHD_Result reply_cmdline(struct serve_request *request)
{
	struct sink_memory text;
	int r;

	sink_memory_init(&text);
	r = serve_names_cmdline(request->serve->names, &text.sink);
	if (r == 0)
		return serve_reply_text(request, &text);
	sink_memory_deinit(&text);
	return serve_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
				 "the command line cannot be read: %s", strerror(-r));
}

static enum MHD_Result reply_symbol(struct serve_request *request)
{
	const char *query = strchr(request->target, '?');
	const char *from = query ? query + 1 : "";
	struct sink_memory text;
	size_t size = strlen(from);
	int r;

	if (strcmp(request->method, MHD_HTTP_METHOD_POST) == 0) {
		from = request->body.bytes;
		size = request->body.size;
	}
	sink_memory_init(&text);
	r = serve_names_symbols(request->serve->names, from, size, &text.sink);
	if (r == 0)
		return serve_reply_text(request, &text);
	sink_memory_deinit(&text);
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR,
				 "no names can be found: %s", strerror(-r));
}

static enum MHD_Result reply_entry(struct serve_request *request, const struct serve_entry *entry)
{
	switch (entry->what) {
	case SERVE_CMDLINE:
		return reply_cmdline(request);
	case SERVE_SYMBOL:
		return reply_symbol(request);
	case SERVE_RATE:
	case SERVE_COUNT:
	case SERVE_EVERY:
	case SERVE_UNSUPPORTED:
		break;
	}
	return serve_profile_reply(request, entry);
}

static bool is_one_of(const char *method, bool with_post)
{
	return strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
	       strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ||
	       (with_post && strcmp(method, MHD_HTTP_METHOD_POST) == 0);
}

enum MHD_Result serve_route(struct serve_request *request, const char *path)
{
	const char *host = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_HOST);
	const struct serve_entry *entry = find_entry(path);
	bool with_post = entry && entry->what == SERVE_SYMBOL;
	bool is_index = strcmp(path, ROOT) == 0, is_metrics = strcmp(path, "/metrics") == 0;

	if (entry)
		request->path = (unsigned)(entry - entries);
	else if (is_index || is_metrics)
		request->path = is_index ? SERVE_PATH_INDEX : SERVE_PATH_METRICS;
	if (!serve_guard_peer(request->serve, request->client))
		return serve_reply_error(request, MHD_HTTP_FORBIDDEN,
					 "only the user of this server may ask it");
	if (!serve_guard_host(request->serve, host))
		return serve_reply_error(request, MHD_HTTP_FORBIDDEN,
					 "this server is not called so: use its address");
	if (!serve_guard_token(request))
		return serve_reply_who(request);
	if (!is_one_of(request->method, with_post))
		return serve_reply_not_allowed(request,
					       with_post ? "GET, HEAD, POST" : "GET, HEAD");
	/* libmicrohttpd decodes it, and what follows would be lost. */
	if (strstr(request->target, "%00"))
		return serve_reply_error(request, MHD_HTTP_BAD_REQUEST, "malformed path");
	if (entry)
		return reply_entry(request, entry);
	if (is_index)
		return serve_index_reply(request);
	if (is_metrics)
		return serve_metrics_reply(request);
	if (strcmp(path, "/debug/pprof") == 0)
		return serve_reply_redirect(request, ROOT);
	if (strcmp(path, "/") == 0)
		return serve_reply_page(request);
	if (strncmp(path, ROOT, strlen(ROOT)) == 0)
		return serve_reply_error(request, MHD_HTTP_NOT_FOUND, "Unknown profile");
	return serve_reply_error(request, MHD_HTTP_NOT_FOUND, "404 page not found");
}
