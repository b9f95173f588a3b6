/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets by their inode, from the tables of the target's network namespace: /proc/PID/net/tcp and
 * the like (net/ipv4/tcp_ipv4.c get_tcp4_sock, net/ipv4/udp.c udp4_format_sock, net/unix/af_unix.c
 * unix_seq_show, Linux 6.18). The other end of a Unix socket is not in them.
 */
#include "process/process_wait_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/text.h"

/* A socket that is not in the table is new: read it again, but not too often. */
#define READ_EVERY NSEC_PER_SEC
#define MAX_SOCKETS (1u << 20)
#define ADDRESS_SIZE (INET6_ADDRSTRLEN + 16)

void process_sockets_deinit(struct process_sockets *sockets)
{
	vec_deinit(&sockets->items);
	map64_deinit(&sockets->index);
}

/* The text becomes the socket's, unless there is no memory. */
static void add(struct process_sockets *sockets, uint64_t inode, const char *text)
{
	struct process_socket *slot;
	uint64_t *place;

	if (inode == 0 || inode == MAP64_EMPTY || sockets->items.n >= MAX_SOCKETS ||
	    map64_put(&sockets->index, inode, &place) != 0)
		return;
	slot = vec_push(&sockets->items);
	if (!slot)
		return;
	snprintf(slot->text, sizeof(slot->text), "%s", text);
	*place = sockets->items.n;
}

/* "0100007F:0050": words of 32 bits in the CPU's byte order that hold the address in the network's.
 */
static bool parse_address(const char *hex, bool is_v6, char *text, size_t cap)
{
	unsigned n_words = is_v6 ? 4 : 1, port;
	char number[INET6_ADDRSTRLEN];
	uint32_t words[4];

	for (unsigned i = 0; i < n_words; i++) {
		if (sscanf(hex + i * 8, "%8" SCNx32, &words[i]) != 1)
			return false;
	}
	if (sscanf(hex + n_words * 8, ":%x", &port) != 1 ||
	    !inet_ntop(is_v6 ? AF_INET6 : AF_INET, words, number, sizeof(number)))
		return false;
	snprintf(text, cap, is_v6 ? "[%s]:%u" : "%s:%u", number, port);
	return true;
}

/* include/net/tcp_states.h */
static const char *state_name(unsigned state)
{
	static const char *const names[] = {
		"",           "established", "syn sent",     "syn received", "fin wait 1",
		"fin wait 2", "time wait",   "closed",       "close wait",   "last ack",
		"listening",  "closing",     "syn received",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "";
}

static void add_inet(struct process_sockets *sockets, const char *line, const char *protocol)
{
	bool is_v6 = strchr(protocol, '6') != NULL, is_tcp = protocol[0] == 't';
	char local_hex[64], peer_hex[64], local[ADDRESS_SIZE], peer[ADDRESS_SIZE];
	unsigned state, peer_port = 0;
	char text[160];
	uint64_t inode;

	if (sscanf(line, "%*d: %63s %63s %x %*s %*s %*s %*u %*u %" SCNu64, local_hex, peer_hex,
		   &state, &inode) != 4 ||
	    !parse_address(local_hex, is_v6, local, sizeof(local)) ||
	    !parse_address(peer_hex, is_v6, peer, sizeof(peer)))
		return;
	(void)sscanf(strchr(peer_hex, ':'), ":%x", &peer_port);
	snprintf(text, sizeof(text), "%s %s%s%s%s%s", protocol, local, peer_port ? " to " : "",
		 peer_port ? peer : "", is_tcp ? ", " : "", is_tcp ? state_name(state) : "");
	add(sockets, inode, text);
}

/* Num RefCount Protocol Flags Type St Inode Path */
static void add_unix(struct process_sockets *sockets, const char *line)
{
	static const char *const types[] = {"", "stream", "datagram", "", "", "seqpacket"};
	char clean[110], text[160];
	unsigned type, flags;
	uint64_t inode;
	int path = 0;

	/* __SO_ACCEPTCON of include/uapi/linux/net.h. */
	if (sscanf(line, "%*x: %*x %*x %x %x %*x %" SCNu64 "%n", &flags, &type, &inode, &path) < 3)
		return;
	path += line[path] == ' ';
	text_clean(clean, sizeof(clean), line + path, strcspn(line + path, "\n"));
	snprintf(text, sizeof(text), "unix %s%s%s%s", type < ARRAY_SIZE(types) ? types[type] : "",
		 clean[0] ? " " : "", clean, flags & 1 << 16 ? ", listening" : "");
	add(sockets, inode, text);
}

static void add_netlink(struct process_sockets *sockets, const char *line)
{
	uint64_t inode;

	/* sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode (net/netlink/af_netlink.c) */
	if (sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64, &inode) == 1)
		add(sockets, inode, "netlink");
}

static void read_table(struct process_waits *waits, const char *protocol)
{
	_cleanup_free_ char *text = NULL;
	char name[32];

	snprintf(name, sizeof(name), "net/%s", protocol);
	if (process_file_read(waits->process, name, &text, NULL) < 0)
		return;
	/* Behind the line of titles. */
	for (char *line = strchr(text, '\n'); line && line[1]; line = strchr(line + 1, '\n')) {
		if (strcmp(protocol, "unix") == 0)
			add_unix(&waits->sockets, line + 1);
		else if (strcmp(protocol, "netlink") == 0)
			add_netlink(&waits->sockets, line + 1);
		else
			add_inet(&waits->sockets, line + 1, protocol);
	}
}

const char *process_socket_find(struct process_waits *waits, uint64_t inode)
{
	static const char *const protocols[] = {"tcp", "tcp6", "udp", "udp6", "unix", "netlink"};
	struct process_sockets *sockets = &waits->sockets;
	const uint64_t *place = map64_get(&sockets->index, inode);
	uint64_t now = clock_now_ns();

	if (!place && (!sockets->read_at || now - sockets->read_at > READ_EVERY)) {
		sockets->items.n = 0;
		map64_clear(&sockets->index);
		for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
			read_table(waits, protocols[i]);
		sockets->read_at = now;
		place = map64_get(&sockets->index, inode);
	}
	return place && *place ? sockets->items.items[*place - 1].text : NULL;
}
