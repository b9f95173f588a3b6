/* SPDX-License-Identifier: Apache-2.0 */
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "serve/serve.h"

static int parse_unix(const char *path, struct serve_address *address)
{
	struct sockaddr_un *to = (struct sockaddr_un *)&address->address;
	size_t n = strlen(path);

	if (n == 0)
		return SERVE_ADDRESS_MALFORMED;
	if (n >= sizeof(to->sun_path))
		return SERVE_ADDRESS_TOO_LONG;
	to->sun_family = AF_UNIX;
	memcpy(to->sun_path, path, n + 1);
	address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	return 0;
}

/* Splits at the last colon; an IPv6 address stands in brackets. */
static bool split(const char *text, char host[static 256], const char **ret_port)
{
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (!colon || n >= 256)
		return false;
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	} else if (memchr(text, ':', n) || memchr(text, '[', n)) {
		return false;
	}
	memcpy(host, text, n);
	host[n] = '\0';
	*ret_port = colon + 1;
	return true;
}

int serve_address_parse(const char *text, struct serve_address *ret_address)
{
	struct serve_address address = {};
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	const char *port_text;
	uint64_t port;
	int r = 0;

	if (strncmp(text, "unix:", 5) == 0) {
		r = parse_unix(text + 5, &address);
	} else if (!split(text, address.host, &port_text) ||
		   parse_u64(port_text, 0, UINT16_MAX, &port) < 0) {
		return SERVE_ADDRESS_MALFORMED;
	} else {
		if (!address.host[0])
			strcpy(address.host, "127.0.0.1");
		if (getaddrinfo(address.host, port_text, &hints, &found) != 0)
			return SERVE_ADDRESS_UNKNOWN;
		memcpy(&address.address, found->ai_addr, found->ai_addrlen);
		address.size = found->ai_addrlen;
		freeaddrinfo(found);
	}
	if (r == 0)
		*ret_address = address;
	return r;
}

bool serve_address_is_local(const struct serve_address *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->address;

	switch (address->address.ss_family) {
	case AF_UNIX:
		return true;
	case AF_INET:
		return ntohl(v4->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	case AF_INET6:
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	default:
		return false;
	}
}
