/* SPDX-License-Identifier: Apache-2.0 */
/* From what a person wrote to the address that is posted to. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "push/push.h"

#define PATH "/ingest"

DEFINE_CLEANUP(CURLU *, curl_url_cleanup)
DEFINE_CLEANUP(char *, curl_free)

/* A part of it; NULL: it has none. */
static char *get_part(CURLU *url, CURLUPart part)
{
	char *text = NULL;

	return curl_url_get(url, part, &text, 0) == CURLUE_OK ? text : NULL;
}

static bool has_part(CURLU *url, CURLUPart part)
{
	_cleanup_(curl_free_cleanup) char *text = get_part(url, part);

	return text != NULL;
}

static int check_parts(CURLU *url)
{
	_cleanup_(curl_free_cleanup) char *scheme = get_part(url, CURLUPART_SCHEME);

	if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
		return PUSH_URL_CREDENTIALS;
	if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		return PUSH_URL_SCHEME;
	if (has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
		return PUSH_URL_QUERY;
	return 0;
}

static int complete_path(CURLU *url)
{
	_cleanup_(curl_free_cleanup) char *path = get_part(url, CURLUPART_PATH);
	_cleanup_free_ char *whole = NULL;
	size_t n = path ? strlen(path) : 0;

	while (n && path[n - 1] == '/')
		n--;
	if (n >= strlen(PATH) && strncmp(path + n - strlen(PATH), PATH, strlen(PATH)) == 0)
		n -= strlen(PATH);
	if (asprintf(&whole, "%.*s" PATH, (int)n, path ? path : "") < 0) {
		whole = NULL;
		return err_trace(-ENOMEM);
	}
	return curl_url_set(url, CURLUPART_PATH, whole, 0) == CURLUE_OK ? 0 : PUSH_URL_MALFORMED;
}

int push_url_make(const char *text, char **ret_url)
{
	_cleanup_(curl_url_cleanup_cleanup) CURLU *url = curl_url();
	_cleanup_(curl_free_cleanup) char *whole = NULL;
	char *copy;
	int r;

	if (!url)
		return err_trace(-ENOMEM);
	if (!strstr(text, "://"))
		return PUSH_URL_SCHEME;
	if (curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK)
		return PUSH_URL_MALFORMED;
	r = check_parts(url);
	if (r == 0)
		r = complete_path(url);
	if (r != 0)
		return r;
	whole = get_part(url, CURLUPART_URL);
	copy = whole ? strdup(whole) : NULL;
	if (!copy)
		return err_trace(-ENOMEM);
	*ret_url = copy;
	return 0;
}

static bool is_loopback(const char *host)
{
	struct in_addr v4;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

bool push_url_is_open(const char *url)
{
	_cleanup_(curl_url_cleanup_cleanup) CURLU *parsed = curl_url();
	_cleanup_(curl_free_cleanup) char *host = NULL;

	if (!parsed || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK)
		return true;
	host = get_part(parsed, CURLUPART_HOST);
	return strncmp(url, "http:", 5) == 0 && !(host && is_loopback(host));
}
