/* SPDX-License-Identifier: Apache-2.0 */
/* From libmicrohttpd's callbacks to one request, and back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "serve/serve_priv.h"

/* The request's first line is here; what is returned comes back as the context. */
static void *begin(void *user, const char *target, struct MHD_Connection *connection)
{
	struct serve_request *request = calloc(1, sizeof(*request));
	const union MHD_ConnectionInfo *context;

	if (!request)
		return NULL;
	context = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	request->serve = user;
	request->path = SERVE_PATH_OTHER;
	request->connection = connection;
	request->client = context ? context->socket_context : NULL;
	request->target = strdup(target);
	sink_memory_init(&request->body);
	if (!request->target || !request->client) {
		free(request->target);
		free(request);
		return NULL;
	}
	serve_client_enter(request->client, SERVE_CLIENT_READING);
	return request;
}

static void end(void *user, struct MHD_Connection *connection, void **context,
		enum MHD_RequestTerminationCode code)
{
	struct serve_request *request = *context;

	if (!request)
		return;
	serve_client_enter(request->client, SERVE_CLIENT_IDLE);
	serve_target_put(&request->serve->targets, request->process);
	sink_memory_deinit(&request->body);
	free(request->target);
	free(request);
	*context = NULL;
}

static uint64_t body_size(struct MHD_Connection *connection)
{
	const char *text = MHD_lookup_connection_value(connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_CONTENT_LENGTH);

	return text ? strtoull(text, NULL, 10) : 0;
}

/* Called when the headers are here, with each piece of the body, and when all of it is here. */
static enum MHD_Result take(void *user, struct MHD_Connection *connection, const char *path,
			    const char *method, const char *version, const char *bytes,
			    size_t *n_bytes, void **context)
{
	struct serve_request *request = *context;
	enum MHD_Result result;

	if (!request)
		return MHD_NO;
	if (!request->has_headers) {
		request->has_headers = true;
		request->method = method;
		request->is_head = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0;
		if (body_size(connection) > SERVE_MAX_BODY)
			return serve_reply_error(request, MHD_HTTP_CONTENT_TOO_LARGE,
						 "request body too large");
		return MHD_YES;
	}
	if (*n_bytes) {
		if (request->body.size + *n_bytes > SERVE_MAX_BODY ||
		    sink_write(&request->body.sink, bytes, *n_bytes) < 0)
			return MHD_NO;
		*n_bytes = 0;
		return MHD_YES;
	}
	serve_client_enter(request->client, SERVE_CLIENT_ANSWERING);
	result = serve_route(request, path);
	serve_client_enter(request->client, SERVE_CLIENT_WRITING);
	return result;
}

int serve_requests_start(struct serve *serve)
{
	const unsigned flags =
		MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_ITC;

	serve->daemon = MHD_start_daemon(
		flags, 0, NULL, NULL, take, serve, MHD_OPTION_LISTEN_SOCKET, serve->listen_fd,
		MHD_OPTION_NOTIFY_CONNECTION, serve_clients_notify, serve,
		MHD_OPTION_NOTIFY_COMPLETED, end, serve, MHD_OPTION_URI_LOG_CALLBACK, begin, serve,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)SERVE_MAX_CLIENTS,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)SERVE_MAX_HEADER,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	return serve->daemon ? 0 : err_errno();
}

void serve_request_scope(const struct serve_request *request, struct serve_scope *ret_scope)
{
	if (request->process)
		serve_scope_one(request->process, ret_scope);
	else
		serve_targets_all(&request->serve->targets, ret_scope);
}

const char *serve_request_param(const struct serve_request *request, const char *name)
{
	return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

int serve_parse_int(const char *text, int64_t *ret_number)
{
	const char *digits = text;
	long long number;

	*ret_number = 0;
	if (!text)
		return -EINVAL;
	digits += *text == '+' || *text == '-';
	if (!*digits || digits[strspn(digits, "0123456789")])
		return -EINVAL;
	errno = 0;
	number = strtoll(text, NULL, 10);
	*ret_number = number;
	return errno == ERANGE ? -ERANGE : 0;
}
