/* SPDX-License-Identifier: Apache-2.0 */
/* Answers, with the headers of Go's net/http/pprof (src/net/http/pprof/pprof.go). */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "serve/serve_page.h"
#include "serve/serve_priv.h"

#define TEXT "text/plain; charset=utf-8"
#define METRICS "text/plain; version=0.0.4; charset=utf-8"
#define HTML "text/html; charset=utf-8"
/* Nothing is loaded, nothing runs; the page has a style of its own. */
#define POLICY                                                                                     \
	"default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "     \
	"frame-ancestors 'none'"

static void add(struct MHD_Response *response, const char *name, const char *value)
{
	(void)MHD_add_response_header(response, name, value);
}

static struct MHD_Response *make(struct sink_memory *take_text, const char *type)
{
	struct MHD_Response *response =
		take_text->size ? MHD_create_response_from_buffer(take_text->size, take_text->bytes,
								  MHD_RESPMEM_MUST_FREE)
				: MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

	if (response && take_text->size)
		sink_memory_init(take_text);
	sink_memory_deinit(take_text);
	if (!response)
		return NULL;
	add(response, "X-Content-Type-Options", "nosniff");
	if (type)
		add(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	return response;
}

static enum MHD_Result send_off(struct serve_request *request, unsigned status,
				struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	serve_metrics_count(request, status);
	result = MHD_queue_response(request->connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static struct MHD_Response *make_error(const char *text)
{
	struct MHD_Response *response;
	struct sink_memory body;

	sink_memory_init(&body);
	(void)sink_printf(&body.sink, "%s\n", text);
	response = make(&body, TEXT);
	/* go tool pprof prints the text of an error that has it. */
	if (response)
		add(response, "X-Go-Pprof", "1");
	return response;
}

enum MHD_Result serve_reply_error(struct serve_request *request, unsigned status,
				  const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return send_off(request, status, make_error(text));
}

enum MHD_Result serve_reply_who(struct serve_request *request)
{
	struct MHD_Response *response =
		make_error("this server wants a token: Authorization: Bearer TOKEN, or the token "
			   "as password of basic authentication");

	if (response)
		add(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Basic realm=\"cprof\"");
	return send_off(request, MHD_HTTP_UNAUTHORIZED, response);
}

enum MHD_Result serve_reply_not_allowed(struct serve_request *request, const char *allowed)
{
	struct MHD_Response *response = make_error("Method Not Allowed");

	if (response)
		add(response, MHD_HTTP_HEADER_ALLOW, allowed);
	return send_off(request, MHD_HTTP_METHOD_NOT_ALLOWED, response);
}

enum MHD_Result serve_reply_text(struct serve_request *request, struct sink_memory *take_text)
{
	return send_off(request, MHD_HTTP_OK, make(take_text, TEXT));
}

enum MHD_Result serve_reply_metrics(struct serve_request *request, struct sink_memory *take_text)
{
	return send_off(request, MHD_HTTP_OK, make(take_text, METRICS));
}

enum MHD_Result serve_reply_html(struct serve_request *request, struct sink_memory *take_text)
{
	struct MHD_Response *response = make(take_text, HTML);

	if (response)
		add(response, "Content-Security-Policy", POLICY);
	return send_off(request, MHD_HTTP_OK, response);
}

enum MHD_Result serve_reply_page(struct serve_request *request)
{
	char window[16];
	struct MHD_Response *response = MHD_create_response_from_buffer(
		serve_page_size, (void *)(uintptr_t)serve_page, MHD_RESPMEM_PERSISTENT);

	if (!response)
		return MHD_NO;
	add(response, "X-Content-Type-Options", "nosniff");
	add(response, MHD_HTTP_HEADER_CONTENT_TYPE, HTML);
	add(response, "Content-Security-Policy", serve_page_policy);
	if (request->serve->options.continuous) {
		snprintf(window, sizeof(window), "%d",
			 (int)(request->serve->options.window_ns / NSEC_PER_SEC));
		add(response, "Cprof-Window", window);
	}
	return send_off(request, MHD_HTTP_OK, response);
}

enum MHD_Result serve_reply_json(struct serve_request *request, char *take_text, size_t size)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(size, take_text, MHD_RESPMEM_MUST_FREE);

	if (!response) {
		free(take_text);
		return MHD_NO;
	}
	add(response, "X-Content-Type-Options", "nosniff");
	add(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
	return send_off(request, MHD_HTTP_OK, response);
}

/* As Go's net/http does in its answers. */
int serve_reply_escape(struct sink *sink, const char *text)
{
	static const char *const escapes[][2] = {
		{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&#34;"}, {"'", "&#39;"}};

	int r = 0;

	for (; *text && r >= 0; text++) {
		const char *to = NULL;

		for (size_t i = 0; i < ARRAY_SIZE(escapes); i++) {
			if (*text == escapes[i][0][0])
				to = escapes[i][1];
		}
		r = sink_write(sink, to ? to : text, to ? strlen(to) : 1);
	}
	return r;
}

enum MHD_Result serve_reply_redirect(struct serve_request *request, const char *path)
{
	const char *query = strchr(request->target, '?');
	struct MHD_Response *response;
	_cleanup_free_ char *to = NULL;
	struct sink_memory body;

	if (asprintf(&to, "%s%s", path, query ? query : "") < 0) {
		to = NULL;
		return MHD_NO;
	}
	sink_memory_init(&body);
	(void)sink_printf(&body.sink, "<a href=\"");
	(void)serve_reply_escape(&body.sink, to);
	(void)sink_printf(&body.sink, "\">Moved Permanently</a>.\n\n");
	response = make(&body, HTML);
	if (response) {
		add(response, MHD_HTTP_HEADER_LOCATION, to);
		add(response, "Content-Security-Policy", POLICY);
	}
	return send_off(request, MHD_HTTP_MOVED_PERMANENTLY, response);
}

/* Never called: only for answers to HEAD, whose length nobody knows. */
static ssize_t read_nothing(void *user, uint64_t at, char *buffer, size_t size)
{
	return MHD_CONTENT_READER_END_OF_STREAM;
}

enum MHD_Result serve_reply_file(struct serve_request *request, const char *name,
				 const char *suffix, struct sink_memory *take_bytes)
{
	struct MHD_Response *response;
	char disposition[128];

	if (take_bytes) {
		response = make(take_bytes, "application/octet-stream");
	} else {
		response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 1, read_nothing,
							     NULL, NULL);
		if (!response)
			return MHD_NO;
		add(response, "X-Content-Type-Options", "nosniff");
		add(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
	}
	snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s%s\"", name, suffix);
	if (response)
		add(response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, disposition);
	return send_off(request, MHD_HTTP_OK, response);
}
