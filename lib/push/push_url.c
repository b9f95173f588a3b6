/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From what a person wrote to the address that is posted to.
 *
 * Only what must be known here is looked at; libcurl reads the result again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "push/push.h"

#define PATH "/ingest"

/* Where the host begins; NULL: neither http nor https. */
static const char *skip_scheme(const char *text)
{
	static const char *const schemes[] = {"http://", "https://"};

	for (size_t i = 0; i < ARRAY_SIZE(schemes); i++) {
		if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
			return text + strlen(schemes[i]);
	}
	return NULL;
}

/* HOST, HOST:PORT, [IPv6] or [IPv6]:PORT. */
static bool is_authority(const char *text, size_t size)
{
	const char *end = text + size, *colon;
	_cleanup_free_ char *port = NULL;
	uint64_t number;

	if (*text == '[') {
		colon = memchr(text, ']', size);
		colon = colon ? colon + 1 : text;
	} else {
		colon = memchr(text, ':', size);
		colon = colon ? colon : end;
	}
	if (colon == text)
		return false;
	if (colon == end)
		return true;
	port = strndup(colon + 1, (size_t)(end - colon) - 1);
	return *colon == ':' && port && parse_u64(port, 1, UINT16_MAX, &number) == 0;
}

static int check(const char *text, size_t *ret_path)
{
	const char *host = skip_scheme(text), *at = strchr(text, '@'), *path;

	/* Whatever else is wrong with it: this must not get into a message. */
	if (at && strcspn(host ? host : text, "/?#") > (size_t)(at - (host ? host : text)))
		return PUSH_URL_CREDENTIALS;
	if (at && !host)
		return PUSH_URL_CREDENTIALS;
	if (!host)
		return PUSH_URL_SCHEME;
	if (strpbrk(host, "?#"))
		return PUSH_URL_QUERY;
	for (const char *c = host; *c; c++) {
		if ((unsigned char)*c <= ' ' || (unsigned char)*c >= 0x7f)
			return PUSH_URL_MALFORMED;
	}
	path = host + strcspn(host, "/");
	if (!is_authority(host, (size_t)(path - host)))
		return PUSH_URL_MALFORMED;
	*ret_path = (size_t)(path - text);
	return 0;
}

int push_url_make(const char *text, char **ret_url)
{
	size_t n = strlen(text), path, tail = strlen(PATH);
	char *url;
	int r = check(text, &path);

	if (r)
		return r;
	while (n > path && text[n - 1] == '/')
		n--;
	if (n - path >= tail && strncmp(text + n - tail, PATH, tail) == 0)
		n -= tail;
	if (asprintf(&url, "%.*s" PATH, (int)n, text) < 0)
		return err_trace(-ENOMEM);
	*ret_url = url;
	return 0;
}

static bool is_loopback(const char *host, size_t size)
{
	char text[INET_ADDRSTRLEN] = "";
	struct in_addr v4;

	if (size < sizeof(text))
		memcpy(text, host, size);
	if (strcmp(text, "localhost") == 0 || strcmp(text, "[::1]") == 0)
		return true;
	return inet_pton(AF_INET, text, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

bool push_url_is_open(const char *url)
{
	const char *host = skip_scheme(url);
	size_t size = host ? strcspn(host, "/:") : 0;

	if (!host)
		return true;
	if (*host == '[')
		size = strcspn(host, "]/") + 1;
	return strncasecmp(url, "http:", 5) == 0 && !is_loopback(host, size);
}
