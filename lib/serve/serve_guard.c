/* SPDX-License-Identifier: Apache-2.0 */
/* Who may ask: the peer's user, the name that we are called by, the token. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "serve/serve_priv.h"

/* Of a line in /proc/net/tcp; the kernel writes addresses as the words they are kept in
 * (net/ipv4/tcp_ipv4.c get_tcp4_sock, net/ipv6/tcp_ipv6.c get_tcp6_sock). */
static void write_end(const struct sockaddr_storage *address, char text[static 64])
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	uint32_t words[4];

	if (address->ss_family == AF_INET) {
		snprintf(text, 64, "%08X:%04X", v4->sin_addr.s_addr, ntohs(v4->sin_port));
		return;
	}
	memcpy(words, &v6->sin6_addr, sizeof(words));
	snprintf(text, 64, "%08X%08X%08X%08X:%04X", words[0], words[1], words[2], words[3],
		 ntohs(v6->sin6_port));
}

static bool find_in(const char *path, const char *ours, const char *theirs, uid_t *ret_uid)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char line[512], local[64], remote[64];
	unsigned uid;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, " %*d: %63s %63s %*x %*x:%*x %*x:%*x %*x %u", local, remote,
			   &uid) != 3)
			continue;
		/* The peer's own end of the connection. */
		if (strcmp(local, theirs) != 0 || strcmp(remote, ours) != 0)
			continue;
		*ret_uid = uid;
		return true;
	}
	return false;
}

static bool find_uid(int fd, uid_t *ret_uid)
{
	struct sockaddr_storage ours, theirs;
	socklen_t n_ours = sizeof(ours), n_theirs = sizeof(theirs);
	struct ucred unix_peer;
	socklen_t size = sizeof(unix_peer);
	char our_text[64], their_text[64];

	if (getsockname(fd, (struct sockaddr *)&ours, &n_ours) < 0 ||
	    getpeername(fd, (struct sockaddr *)&theirs, &n_theirs) < 0)
		return false;
	if (ours.ss_family == AF_UNIX) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &unix_peer, &size) < 0)
			return false;
		*ret_uid = unix_peer.uid;
		return true;
	}
	write_end(&ours, our_text);
	write_end(&theirs, their_text);
	return find_in(ours.ss_family == AF_INET ? "/proc/net/tcp" : "/proc/net/tcp6", our_text,
		       their_text, ret_uid);
}

bool serve_guard_peer(struct serve *serve, struct serve_client *client)
{
	uid_t uid;

	if (!serve->options.same_user)
		return true;
	if (!client->is_checked) {
		client->is_checked = true;
		/* Root can do all that we can. */
		client->is_welcome = find_uid(client->fd, &uid) && (uid == geteuid() || uid == 0);
	}
	return client->is_welcome;
}

/* Without port and brackets. False when it is malformed. */
static bool name_of(const char *host, char name[static 256])
{
	const char *end, *colon;

	if (host[0] == '[') {
		host++;
		end = strchr(host, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
	} else {
		colon = strchr(host, ':');
		end = colon ? colon : host + strlen(host);
	}
	if (end == host || end - host >= 256)
		return false;
	memcpy(name, host, (size_t)(end - host));
	name[end - host] = '\0';
	return true;
}

bool serve_guard_host(const struct serve *serve, const char *host)
{
	struct in6_addr ignored;
	char name[256];

	/* Whoever can open the socket is no page of a browser; HTTP/1.0 has no such header. */
	if (serve->options.address.address.ss_family == AF_UNIX || !host)
		return true;
	if (!name_of(host, name))
		return false;
	/* No name server can make an address mean another one. */
	if (inet_pton(AF_INET, name, &ignored) == 1 || inet_pton(AF_INET6, name, &ignored) == 1)
		return true;
	if (serve_address_is_local(&serve->options.address) && strcasecmp(name, "localhost") == 0)
		return true;
	return strcasecmp(name, serve->options.address.host) == 0 ||
	       (!serve_address_is_local(&serve->options.address) &&
		strcasecmp(name, serve->host_name) == 0);
}

/* In a time that does not tell how much of it is right. */
static bool is_token(const char *token, const char *text)
{
	size_t n = strlen(token), m = strlen(text);
	volatile unsigned char differs = n != m;

	for (size_t i = 0; i < m; i++)
		differs |= (unsigned char)(text[i] ^ token[n ? i % n : 0]);
	return !differs;
}

bool serve_guard_token(const struct serve_request *request)
{
	const char *token = request->serve->options.token, *header;
	char *user, *password = NULL;
	bool ok;

	if (!token)
		return true;
	header = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
					     MHD_HTTP_HEADER_AUTHORIZATION);
	if (header && strncasecmp(header, "Bearer ", 7) == 0)
		return is_token(token, header + 7);
	user = MHD_basic_auth_get_username_password(request->connection, &password);
	ok = password && is_token(token, password);
	MHD_free(user);
	MHD_free(password);
	return ok;
}
