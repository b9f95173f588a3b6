/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles as answers. Order of checks and messages as Go's (src/net/http/pprof/pprof.go). */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "pprof/pprof.h"
#include "report/report_json.h"
#include "serve/serve_priv.h"
#include "symbol/symbol.h"

#define DEFAULT_SECONDS 30
#define ALLOC_SPACE 1 /* its place among the values */

DEFINE_CLEANUP(struct profile *, profile_free)

/* Where one process is meant, or none of several has the agent: of the first. */
static enum MHD_Result reply_no_heap(struct serve_request *request)
{
	struct serve_targets *targets = &request->serve->targets;
	char text[512] = "there is no process now";
	struct serve_scope scope;

	serve_request_scope(request, &scope);
	for (unsigned i = 0; i < scope.n && i < 1; i++)
		serve_heap_explain(scope.items[i], text, sizeof(text));
	serve_scope_put(targets, &scope);
	return serve_reply_error(request, MHD_HTTP_NOT_IMPLEMENTED, "%s", text);
}

static enum MHD_Result reply_failure(struct serve_request *request, int error)
{
	if (error == SERVE_HUB_NO_HEAP)
		return reply_no_heap(request);
	if ((error == SERVE_HUB_ENDED || error == -ESRCH) && !request->process)
		return serve_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
					 "there is no process now");
	if (error == SERVE_HUB_ENDED || error == -ESRCH)
		return serve_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
					 "process %d has ended", (int)request->process->pid);
	if (error == SERVE_HUB_NOT_KEPT)
		return serve_reply_error(
			request, MHD_HTTP_BAD_REQUEST,
			"past=1 wants what is sampled all the time: start cprof "
			"serve with --continuous, and --type if it is to have more");
	if (error == -EAGAIN)
		return serve_reply_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
					 "too many ask for all processes at once; ask for one, or "
					 "later");
	/* Nobody reads it. */
	if (error == SERVE_HUB_GONE)
		return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR,
					 "context canceled");
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR,
				 "failed to collect profile: %s", strerror(-error));
}

/* For the page: the last value of each sample; of memory, bytes allocated or in use. */
static enum MHD_Result reply_json(struct serve_request *request, const struct serve_entry *entry,
				  const struct profile *profile)
{
	uint32_t last = profile_get_spec(profile)->n_sample_types - 1;
	size_t size;
	char *text;
	int r = report_json(profile, entry->allocs ? ALLOC_SPACE : last, symbol_demangle, &text,
			    &size);

	return r < 0 ? reply_failure(request, r) : serve_reply_json(request, text, size);
}

static enum MHD_Result reply_file(struct serve_request *request, const struct serve_entry *entry,
				  const char *suffix, struct profile **profile)
{
	const char *format = serve_request_param(request, "format");
	uint32_t most = request->serve->options.max_samples;
	struct sink_memory bytes;
	int r = 0;

	if (most)
		r = profile_prune(profile, most);
	if (r >= 0 && format && strcmp(format, "json") == 0)
		return reply_json(request, entry, *profile);
	sink_memory_init(&bytes);
	if (r >= 0)
		r = pprof_write(*profile, &bytes.sink);
	if (r >= 0)
		return serve_reply_file(request, entry->name, suffix, &bytes);
	sink_memory_deinit(&bytes);
	return reply_failure(request, r);
}

static enum MHD_Result reply_text(struct serve_request *request, const struct serve_entry *entry,
				  const struct profile *profile)
{
	struct sink_memory text;
	int r;

	sink_memory_init(&text);
	r = entry->what == SERVE_HEAP
		    ? serve_text_write_heap(profile, &text.sink)
		    : serve_text_write(profile, entry->name, entry->type, &text.sink);
	if (r >= 0)
		return serve_reply_text(request, &text);
	sink_memory_deinit(&text);
	return reply_failure(request, r);
}

/* What came between two looks at all threads. */
static int threads_delta(struct serve_target *target, const struct serve_entry *entry,
			 const struct serve_span *span, struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *first = NULL, *second = NULL;
	int r = serve_threads_profile(target, entry->name, &first);

	if (r >= 0)
		r = serve_hub_wait(target->hub, span->ns, span->client_fd);
	if (r == 0)
		r = serve_threads_profile(target, entry->name, &second);
	return r ? r : profile_subtract(second, first, ret_profile);
}

int serve_profile_make(struct serve_target *target, const struct serve_entry *entry,
		       const struct serve_span *span, struct profile **ret_profile)
{
	if (entry->what == SERVE_HEAP)
		return serve_heap_make(target, entry->allocs, span, ret_profile);
	if (entry->what == SERVE_CUSTOM)
		return serve_custom_make(target, entry, ret_profile);
	if (entry->what == SERVE_EVERY)
		return span->ns ? threads_delta(target, entry, span, ret_profile)
				: serve_threads_profile(target, entry->name, ret_profile);
	if (!span->ns)
		return serve_hub_total(target->hub, entry->type, ret_profile);
	if (span->is_past)
		return serve_hub_past(target->hub, entry->type, span->ns, ret_profile);
	return serve_hub_collect(target->hub, entry->type, span->ns, span->client_fd, ret_profile);
}

static bool is_past(struct serve_request *request)
{
	int64_t past;

	return serve_parse_int(serve_request_param(request, "past"), &past) == 0 && past;
}

/* What a request may last; of the past, what is kept. */
static int64_t most_seconds(struct serve_request *request)
{
	uint64_t window_ns = request->serve->options.window_ns;

	return is_past(request) && window_ns ? (int64_t)(window_ns / NSEC_PER_SEC)
					     : SERVE_MAX_SECONDS;
}

static enum MHD_Result reply_too_long(struct serve_request *request)
{
	if (is_past(request))
		return serve_reply_error(request, MHD_HTTP_BAD_REQUEST,
					 "only the last %d seconds are kept; --window of cprof "
					 "serve is for more",
					 (int)most_seconds(request));
	return serve_reply_error(request, MHD_HTTP_BAD_REQUEST,
				 "profile duration exceeds server's WriteTimeout");
}

/* seconds 0: as serve_span. */
static int make(struct serve_request *request, const struct serve_entry *entry, int64_t seconds,
		struct profile **ret_profile)
{
	const struct serve_span span = {.ns = (uint64_t)seconds * NSEC_PER_SEC,
					.is_past = is_past(request),
					.client_fd = request->client->fd};

	return request->process ? serve_profile_make(request->process, entry, &span, ret_profile)
				: serve_gather(request, entry, &span, ret_profile);
}

/* profile, wall */
static enum MHD_Result reply_rate(struct serve_request *request, const struct serve_entry *entry)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int64_t seconds;
	int r = serve_parse_int(serve_request_param(request, "seconds"), &seconds);

	if (r < 0 || seconds <= 0)
		seconds = DEFAULT_SECONDS;
	if (seconds > most_seconds(request))
		return reply_too_long(request);
	if (request->is_head)
		return serve_reply_file(request, entry->name, "", NULL);
	r = make(request, entry, seconds, &profile);
	return r ? reply_failure(request, r) : reply_file(request, entry, "", &profile);
}

static bool is_unavailable(const struct serve_request *request, const struct serve_entry *entry)
{
	return entry->what == SERVE_UNSUPPORTED ||
	       (entry->what == SERVE_HEAP && !request->serve->options.heap_rate);
}

static enum MHD_Result reply_unavailable(struct serve_request *request,
					 const struct serve_entry *entry)
{
	if (entry->what == SERVE_UNSUPPORTED)
		return serve_reply_error(request, MHD_HTTP_NOT_IMPLEMENTED, "%s", entry->about);
	return serve_reply_error(request, MHD_HTTP_NOT_IMPLEMENTED,
				 "heap profiles take code in the process, which is not put there "
				 "unasked: start cprof serve with --heap");
}

static enum MHD_Result reply_delta(struct serve_request *request, const struct serve_entry *entry,
				   const char *text)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int64_t seconds, debug, lasted;
	int r = serve_parse_int(text, &seconds);

	if (r < 0 || seconds <= 0)
		return serve_reply_error(
			request, MHD_HTTP_BAD_REQUEST,
			"invalid value for \"seconds\" - must be a positive integer");
	if (!entry->has_delta)
		return serve_reply_error(
			request, MHD_HTTP_BAD_REQUEST,
			"\"seconds\" parameter is not supported for this profile type");
	if (seconds > most_seconds(request))
		return reply_too_long(request);
	(void)serve_parse_int(serve_request_param(request, "debug"), &debug);
	if (debug)
		return serve_reply_error(request, MHD_HTTP_BAD_REQUEST,
					 "seconds and debug params are incompatible");
	if (is_unavailable(request, entry))
		return reply_unavailable(request, entry);
	if (entry->what == SERVE_HEAP && is_past(request))
		return serve_reply_error(request, MHD_HTTP_BAD_REQUEST,
					 "past=1 is not for heap profiles: without seconds they "
					 "hold all since the beginning");
	if (request->is_head)
		return serve_reply_file(request, entry->name, "-delta", NULL);
	r = make(request, entry, seconds, &profile);
	if (r)
		return reply_failure(request, r);
	/* Of a difference, Go gives the time of its end. */
	lasted = profile_duration(profile);
	profile_set_time(profile, profile_time(profile) + lasted, lasted);
	return reply_file(request, entry, "-delta", &profile);
}

/* goroutine?debug=2 */
static enum MHD_Result reply_all_threads(struct serve_request *request)
{
	struct serve *serve = request->serve;
	struct sink_memory text;
	struct serve_scope scope;
	unsigned n = 0;
	int r = 0, last = SERVE_HUB_ENDED;

	sink_memory_init(&text);
	serve_request_scope(request, &scope);
	for (unsigned i = 0; i < scope.n && r >= 0; i++) {
		if (n)
			r = sink_printf(&text.sink, "\n");
		last = r < 0 ? r : serve_threads_write(serve, scope.items[i], &text.sink);
		r = last == -ESRCH ? 0 : last;
		n += last >= 0;
	}
	serve_scope_put(&serve->targets, &scope);
	r = n || r < 0 ? r : last;
	if (r == 0)
		return serve_reply_text(request, &text);
	sink_memory_deinit(&text);
	return reply_failure(request, r);
}

/* block, mutex, threadcreate, goroutine, threads, heap, custom ones without `seconds` */
static enum MHD_Result reply_now(struct serve_request *request, const struct serve_entry *entry)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int64_t debug;
	int r;

	(void)serve_parse_int(serve_request_param(request, "debug"), &debug);
	if (entry->what == SERVE_EVERY && debug >= 2)
		return reply_all_threads(request);
	r = make(request, entry, 0, &profile);
	if (r)
		return reply_failure(request, r);
	return debug ? reply_text(request, entry, profile)
		     : reply_file(request, entry, "", &profile);
}

enum MHD_Result serve_profile_reply(struct serve_request *request, const struct serve_entry *entry)
{
	const char *seconds = serve_request_param(request, "seconds");
	/* trace is no profile in Go, and takes any `seconds`. */
	bool is_delta =
		seconds && *seconds && (entry->what != SERVE_UNSUPPORTED || entry->has_delta);

	if (entry->what == SERVE_RATE)
		return reply_rate(request, entry);
	if (is_delta)
		return reply_delta(request, entry, seconds);
	if (is_unavailable(request, entry))
		return reply_unavailable(request, entry);
	return reply_now(request, entry);
}
