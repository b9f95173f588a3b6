/* SPDX-License-Identifier: Apache-2.0 */
/* From a path to what answers it. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "serve/serve_priv.h"

#define ROOT "/debug/pprof/"
#define MAX_PATH 256 /* behind a process's number; longer ones are unknown anyway */
/* In alphabetical order. The words about what Go has, too, are Go's. */
static const struct serve_entry entries[] = {
	{"allocs", SERVE_HEAP, .allocs = true, .has_delta = true,
	 .about = "A sampling of all past memory allocations"},
	{"block", SERVE_COUNT, SAMPLER_BLOCK, true,
	 "Stack traces of threads that were blocked, and for how long"},
	{"cmdline", SERVE_CMDLINE, .about = "The command line invocation of the current program"},
	{"goroutine", SERVE_EVERY, .has_delta = true,
	 .about = "Stack traces of all current threads, as goroutines, for programs that ask for "
		  "those"},
	{"heap", SERVE_HEAP, .has_delta = true,
	 .about = "A sampling of memory allocations of live objects"},
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

const struct serve_entry *serve_entry_get(const struct serve *serve, unsigned index)
{
	if (index < ARRAY_SIZE(entries))
		return &entries[index];
	index -= ARRAY_SIZE(entries);
	return index < serve->options.n_customs ? &serve->customs[index] : NULL;
}

static const struct serve_entry *find_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		if (strcmp(entries[i].name, name) == 0)
			return &entries[i];
	}
	return NULL;
}

bool serve_has_name(const char *name)
{
	return find_name(name) != NULL;
}

bool serve_entry_is_listed(const struct serve *serve, const struct serve_entry *entry)
{
	return !entry->is_hidden && (entry->what != SERVE_HEAP || serve->options.heap_rate);
}

static const struct serve_entry *find_entry(const struct serve *serve, const char *path)
{
	const struct serve_entry *entry;
	const char *name = NULL;

	if (strncmp(path, ROOT, strlen(ROOT)) == 0)
		name = path + strlen(ROOT);
	for (size_t i = 0; !name && i < ARRAY_SIZE(aliases); i++) {
		if (strcmp(aliases[i].path, path) == 0)
			name = aliases[i].name;
	}
	entry = name ? find_name(name) : NULL;
	return entry || !name ? entry : serve_custom_find(serve, name);
}

/* What cannot be of several processes together: of the one that there is. Answers if there is none
 * or more than one. */
static bool choose_one(struct serve_request *request, const char *name, enum MHD_Result *ret_result)
{
	struct serve_targets *targets = &request->serve->targets;
	struct serve_scope scope;
	char list[256] = "";
	size_t at = 0;

	if (request->process)
		return true;
	serve_targets_all(targets, &scope);
	if (scope.n == 1) {
		request->process = scope.items[0];
		return true;
	}
	for (unsigned i = 0; i < scope.n && at < sizeof(list) - 16; i++)
		at += (size_t)snprintf(list + at, sizeof(list) - at, " %s",
				       scope.items[i]->pid_text);
	*ret_result = scope.n ? serve_reply_error(request, MHD_HTTP_BAD_REQUEST,
						  "there are %u processes: ask for " ROOT
						  "PID/%s of one of%s%s",
						  scope.n, name, list,
						  at < sizeof(list) - 16 ? "" : " ...")
			      : serve_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
						  "there is no process now");
	serve_scope_put(targets, &scope);
	return false;
}

static enum MHD_Result reply_cmdline(struct serve_request *request)
{
	struct sink_memory text;
	int r;

	sink_memory_init(&text);
	r = serve_names_cmdline(request->process->names, &text.sink);
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
	r = serve_names_symbols(request->process->names, from, size, &text.sink);
	if (r == 0)
		return serve_reply_text(request, &text);
	sink_memory_deinit(&text);
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR,
				 "no names can be found: %s", strerror(-r));
}

/* pprof asks for names of what has none in a profile of several processes, and gives up at an
 * error. Whose address it is cannot be told. */
static bool is_of_several(const struct serve_request *request)
{
	struct serve_scope scope;
	bool several;

	if (request->process || strcmp(request->method, MHD_HTTP_METHOD_POST) != 0)
		return false;
	serve_targets_all(&request->serve->targets, &scope);
	several = scope.n > 1;
	serve_scope_put(&request->serve->targets, &scope);
	return several;
}

static enum MHD_Result reply_no_symbols(struct serve_request *request)
{
	struct sink_memory text;

	sink_memory_init(&text);
	if (sink_printf(&text.sink, "num_symbols: 0\n") == 0)
		return serve_reply_text(request, &text);
	sink_memory_deinit(&text);
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
}

static enum MHD_Result reply_entry(struct serve_request *request, const struct serve_entry *entry)
{
	enum MHD_Result result;

	switch (entry->what) {
	case SERVE_CMDLINE:
		return choose_one(request, entry->name, &result) ? reply_cmdline(request) : result;
	case SERVE_SYMBOL:
		if (is_of_several(request))
			return reply_no_symbols(request);
		return choose_one(request, entry->name, &result) ? reply_symbol(request) : result;
	case SERVE_RATE:
	case SERVE_COUNT:
	case SERVE_EVERY:
	case SERVE_HEAP:
	case SERVE_CUSTOM:
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

static enum MHD_Result reply_slash(struct serve_request *request, const char *path)
{
	char to[64];

	snprintf(to, sizeof(to), "%s/", path);
	return serve_reply_redirect(request, to);
}

/* The number in "/debug/pprof/PID/heap", or in "/PID/debug/pprof/heap", for who can only put
 * something before a path (Grafana Alloy); NULL: there is none. */
static const char *find_number(const char *path, size_t *ret_n)
{
	bool is_below = strncmp(path, ROOT, strlen(ROOT)) == 0;
	const char *digits = path + (is_below ? strlen(ROOT) : 1);
	size_t n = *path == '/' ? strspn(digits, "0123456789") : 0;

	if (!n || (digits[n] != '/' && !(is_below && !digits[n])))
		return NULL;
	*ret_n = n;
	return digits;
}

/* The path without the number of a process, which becomes the request's. NULL: it is not served;
 * path itself: it names none. */
static const char *take_process(struct serve_request *request, const char *path, char *buffer,
				size_t size)
{
	size_t n = 0;
	const char *digits = find_number(path, &n);
	int64_t pid;

	if (!digits)
		return path;
	snprintf(buffer, size, "%.*s", (int)MIN(n, size - 1), digits);
	if (serve_parse_int(buffer, &pid) == 0 && pid > 0 && pid <= INT32_MAX)
		request->process = serve_targets_find(&request->serve->targets, (pid_t)pid);
	if (!request->process)
		return NULL;
	if (digits == path + 1)
		return digits + n;
	snprintf(buffer, size, "%s%s", digits[n] ? ROOT : "/debug/pprof",
		 digits[n] ? digits + n + 1 : "");
	return buffer;
}

static enum MHD_Result reply_not_served(struct serve_request *request, const char *path)
{
	size_t n = 0;
	const char *digits = find_number(path, &n);

	return serve_reply_error(request, MHD_HTTP_NOT_FOUND,
				 "process %.*s is not served here, or has ended; " ROOT
				 " lists those that are",
				 (int)MIN(n, 20UL), digits);
}

/* Where there is one process, that is meant. */
static void take_the_process(struct serve_request *request)
{
	struct serve_scope scope;

	if (request->process || request->serve->options.is_many)
		return;
	serve_targets_all(&request->serve->targets, &scope);
	/* One that is not many stays until the server ends. */
	request->process = scope.n ? scope.items[0] : NULL;
}

enum MHD_Result serve_route(struct serve_request *request, const char *path)
{
	char buffer[MAX_PATH];
	const char *local = take_process(request, path, buffer, sizeof(buffer));
	const char *host = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_HOST);
	const struct serve_entry *entry = local ? find_entry(request->serve, local) : NULL;
	bool with_post = entry && entry->what == SERVE_SYMBOL;
	bool is_index = local && strcmp(local, ROOT) == 0;
	bool is_metrics = strcmp(path, "/metrics") == 0;

	if (entry && entry->what == SERVE_CUSTOM)
		request->path = SERVE_PATH_CUSTOM;
	else if (entry)
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
	if (!local)
		return reply_not_served(request, path);
	if (is_index)
		return serve_index_reply(request, local == path ? "" : request->process->pid_text);
	take_the_process(request);
	if (entry)
		return reply_entry(request, entry);
	if (is_metrics)
		return serve_metrics_reply(request);
	if (strcmp(path, "/targets") == 0)
		return serve_discovery_reply(request);
	if (strcmp(local, "/debug/pprof") == 0)
		return reply_slash(request, path);
	if (strcmp(path, "/") == 0)
		return serve_reply_page(request);
	if (strncmp(local, ROOT, strlen(ROOT)) == 0)
		return serve_reply_error(request, MHD_HTTP_NOT_FOUND, "Unknown profile");
	return serve_reply_error(request, MHD_HTTP_NOT_FOUND, "404 page not found");
}
