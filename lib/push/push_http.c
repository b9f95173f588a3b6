/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One profile, one POST, by libcurl.
 *
 * Redirects are not followed: whoever can redirect would get the password or token. Proxies are
 * those of the environment (http_proxy and so on: libcurl-env(3)).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "push/push_curl.h"
#include "push/push_priv.h"

#define CONNECT_MS 5000L
#define WHOLE_MS 15000L

struct push_http {
	struct push_curl api;
	CURL *curl;
	struct curl_slist *headers, *form_headers;
	bool (*is_over)(void *user);
	void *user;
	char error[CURL_ERROR_SIZE];
	char said[256]; /* the beginning of the answer's body */
	size_t n_said;
};

/* What the server says beyond the first bytes is read and forgotten. */
static size_t on_body(char *bytes, size_t size, size_t n, void *user)
{
	struct push_http *http = user;
	size_t taken = MIN(size * n, sizeof(http->said) - http->n_said);

	memcpy(http->said + http->n_said, bytes, taken);
	http->n_said += taken;
	return size * n;
}

static int on_progress(void *user, curl_off_t down, curl_off_t down_now, curl_off_t up,
		       curl_off_t up_now)
{
	const struct push_http *http = user;

	return http->is_over(http->user);
}

static bool add_header(const struct push_curl *api, struct curl_slist **headers, const char *name,
		       const char *value)
{
	_cleanup_free_ char *line = NULL;
	struct curl_slist *longer;

	if (asprintf(&line, "%s: %s", name, value) < 0) {
		line = NULL;
		return false;
	}
	longer = api->slist_append(*headers, line);
	if (longer)
		*headers = longer;
	return longer != NULL;
}

static bool set_auth(const struct push_curl *api, CURL *curl, const char *auth)
{
	static const char bearer[] = "Bearer ";
	bool is_bearer = strncasecmp(auth, bearer, strlen(bearer)) == 0;

	if (!is_bearer && strchr(auth, ':'))
		return api->easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK &&
		       api->easy_setopt(curl, CURLOPT_USERPWD, auth) == CURLE_OK;
	return api->easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER) == CURLE_OK &&
	       api->easy_setopt(curl, CURLOPT_XOAUTH2_BEARER,
				is_bearer ? auth + strlen(bearer) : auth) == CURLE_OK;
}

static bool set_up(struct push_http *http, const struct push_options *options)
{
	const struct push_curl *api = &http->api;
	CURL *curl = http->curl;
	bool ok = true;

	ok &= api->easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_TIMEOUT_MS, WHOLE_MS) == CURLE_OK;
	/* A thread that hangs in getaddrinfo(3) is not waited for at the end. */
	ok &= api->easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_USERAGENT, "cprof/" CPROF_VERSION) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_ERRORBUFFER, http->error) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_WRITEDATA, http) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_NOPROGRESS, 0L) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress) == CURLE_OK;
	ok &= api->easy_setopt(curl, CURLOPT_XFERINFODATA, http) == CURLE_OK;
	if (options->ca_path)
		ok &= api->easy_setopt(curl, CURLOPT_CAINFO, options->ca_path) == CURLE_OK;
	if (options->auth)
		ok &= set_auth(api, curl, options->auth);
	return ok;
}

/* libcurl would wait a second for "100 Continue" before larger bodies, which not all servers say.
 */
static bool make_headers(struct push_http *http, const char *tenant)
{
	const struct push_curl *api = &http->api;
	bool ok = add_header(api, &http->headers, "Content-Type", "application/octet-stream");

	ok = ok && add_header(api, &http->headers, "Expect", "");
	ok = ok && add_header(api, &http->form_headers, "Expect", "");
	if (tenant) {
		ok = ok && add_header(api, &http->headers, "X-Scope-OrgID", tenant);
		ok = ok && add_header(api, &http->form_headers, "X-Scope-OrgID", tenant);
	}
	return ok;
}

int push_http_new(const struct push_options *options, bool (*is_over)(void *user), void *user,
		  struct push_http **ret_http)
{
	struct push_http *http = calloc(1, sizeof(*http));
	int r;

	if (!http)
		return err_trace(-ENOMEM);
	http->is_over = is_over;
	http->user = user;
	r = push_curl_init(&http->api);
	if (r < 0) {
		push_http_free(http);
		return r;
	}
	http->curl = http->api.easy_init();
	if (!http->curl || !set_up(http, options) || !make_headers(http, options->tenant)) {
		push_http_free(http);
		return err_trace(-ENOMEM);
	}
	*ret_http = http;
	return 0;
}

struct push_http *push_http_free(struct push_http *http)
{
	if (!http)
		return NULL;
	if (http->api.is_set_up) {
		http->api.easy_cleanup(http->curl);
		http->api.slist_free_all(http->headers);
		http->api.slist_free_all(http->form_headers);
	}
	push_curl_deinit(&http->api);
	free(http);
	return NULL;
}

/* NULL: out of memory. */
static curl_mime *make_form(struct push_http *http, const struct push_item *item)
{
	const struct push_curl *api = &http->api;
	curl_mime *form = api->mime_init(http->curl);
	curl_mimepart *profile = form ? api->mime_addpart(form) : NULL;
	curl_mimepart *config = profile ? api->mime_addpart(form) : NULL;

	if (config && api->mime_name(profile, "profile") == CURLE_OK &&
	    api->mime_filename(profile, "profile.pprof") == CURLE_OK &&
	    api->mime_data(profile, item->body.bytes, item->body.size) == CURLE_OK &&
	    api->mime_name(config, "sample_type_config") == CURLE_OK &&
	    api->mime_filename(config, "sample_type_config.json") == CURLE_OK &&
	    api->mime_data(config, item->config, CURL_ZERO_TERMINATED) == CURLE_OK)
		return form;
	api->mime_free(form);
	return NULL;
}

/* The body stays the item's. */
static CURLcode set_body(struct push_http *http, const struct push_item *item, curl_mime *form)
{
	CURLcode code = http->api.easy_setopt(http->curl, CURLOPT_HTTPHEADER,
					      form ? http->form_headers : http->headers);

	if (code == CURLE_OK && form)
		return http->api.easy_setopt(http->curl, CURLOPT_MIMEPOST, form);
	if (code == CURLE_OK)
		code = http->api.easy_setopt(http->curl, CURLOPT_MIMEPOST, NULL);
	if (code == CURLE_OK)
		code = http->api.easy_setopt(http->curl, CURLOPT_POST, 1L);
	if (code == CURLE_OK)
		code = http->api.easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE,
					     (curl_off_t)item->body.size);
	return code == CURLE_OK
		       ? http->api.easy_setopt(http->curl, CURLOPT_POSTFIELDS, item->body.bytes)
		       : code;
}

static void set_text(struct push_answer *answer, const char *text, size_t size)
{
	const char *end = memchr(text, '\n', size);

	size = end ? (size_t)(end - text) : size;
	while (size && (text[size - 1] == '\r' || text[size - 1] == ' '))
		size--;
	text_clean(answer->text, sizeof(answer->text), text, size);
}

static void read_answer(struct push_http *http, struct push_answer *answer)
{
	curl_off_t retry_after = 0;
	char *to = NULL;
	long status = 0;

	http->api.easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
	http->api.easy_getinfo(http->curl, CURLINFO_RETRY_AFTER, &retry_after);
	http->api.easy_getinfo(http->curl, CURLINFO_REDIRECT_URL, &to);
	answer->status = (unsigned)status;
	answer->verdict = push_retry_verdict(answer->status);
	if (retry_after > 0)
		answer->retry_after_ns = (uint64_t)MIN(retry_after, 1000000) * NSEC_PER_SEC;
	if (to)
		set_text(answer, to, strlen(to));
	else
		set_text(answer, http->said, http->n_said);
}

/* Whom we do not trust now we will not trust later; a file of certificates does not mend itself. */
static bool is_distrust(CURLcode code)
{
	return code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE ||
	       code == CURLE_SSL_ISSUER_ERROR;
}

void push_http_send(struct push_http *http, const struct push_item *item,
		    struct push_answer *ret_answer)
{
	curl_mime *form = item->config ? make_form(http, item) : NULL;
	CURLcode code = item->config && !form ? CURLE_OUT_OF_MEMORY : CURLE_OK;
	const char *text;

	*ret_answer = (struct push_answer){.verdict = PUSH_AGAIN};
	http->error[0] = '\0';
	http->n_said = 0;
	if (code == CURLE_OK)
		code = http->api.easy_setopt(http->curl, CURLOPT_URL, item->url);
	if (code == CURLE_OK)
		code = set_body(http, item, form);
	if (code == CURLE_OK)
		code = http->api.easy_perform(http->curl);
	if (code == CURLE_OK) {
		read_answer(http, ret_answer);
	} else {
		ret_answer->distrusted = is_distrust(code);
		ret_answer->verdict = ret_answer->distrusted || code == CURLE_URL_MALFORMAT
					      ? PUSH_REFUSED
					      : PUSH_AGAIN;
		text = http->error[0] ? http->error : http->api.easy_strerror(code);
		set_text(ret_answer, text, strlen(text));
	}
	/* The handle must not keep what is gone. */
	http->api.easy_setopt(http->curl, CURLOPT_MIMEPOST, NULL);
	http->api.easy_setopt(http->curl, CURLOPT_POSTFIELDS, NULL);
	http->api.mime_free(form);
}
