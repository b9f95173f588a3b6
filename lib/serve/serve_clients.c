/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections, and the time that each may take.
 *
 * libmicrohttpd's own time-outs begin anew with every byte, so that who sends one now and then
 * stays for ever; and they run while an answer is being made. So each state has its limit here.
 * Who is over it is shut down; its thread then finds the end of the connection. When there are
 * many, who has no request yet makes room for who comes, the oldest first.
 */
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "serve/serve_priv.h"

#define READING_LIMIT (10 * NSEC_PER_SEC)
#define WRITING_LIMIT (60 * NSEC_PER_SEC)
#define IDLE_LIMIT (90 * NSEC_PER_SEC)

void serve_clients_init(struct serve_clients *clients)
{
	pthread_mutex_init(&clients->lock, NULL);
}

void serve_clients_deinit(struct serve_clients *clients)
{
	pthread_mutex_destroy(&clients->lock);
}

static bool is_busy(enum serve_client_state state)
{
	return state == SERVE_CLIENT_ANSWERING || state == SERVE_CLIENT_WRITING;
}

/* With the lock held. */
static void set_state(struct serve_clients *clients, struct serve_client *client,
		      enum serve_client_state state)
{
	clients->busy += is_busy(state);
	clients->busy -= is_busy(client->state);
	client->state = state;
	client->since = clock_now_ns();
}

static void shut_down(struct serve_clients *clients, struct serve_client *client)
{
	set_state(clients, client, SERVE_CLIENT_CLOSED);
	(void)shutdown(client->fd, SHUT_RDWR);
}

static void make_room(struct serve_clients *clients)
{
	for (struct serve_client *c = clients->oldest; c; c = c->previous) {
		if (c->state != SERVE_CLIENT_READING && c->state != SERVE_CLIENT_IDLE)
			continue;
		shut_down(clients, c);
		return;
	}
}

static struct serve_client *add(struct serve *serve, int fd)
{
	struct serve_clients *clients = &serve->clients;
	struct serve_client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	client->serve = serve;
	client->fd = fd;
	client->since = clock_now_ns();
	pthread_mutex_lock(&clients->lock);
	if (clients->n >= SERVE_CROWD)
		make_room(clients);
	client->next = clients->newest;
	if (client->next)
		client->next->previous = client;
	else
		clients->oldest = client;
	clients->newest = client;
	clients->n++;
	pthread_mutex_unlock(&clients->lock);
	return client;
}

static void drop(struct serve_clients *clients, struct serve_client *client)
{
	pthread_mutex_lock(&clients->lock);
	set_state(clients, client, SERVE_CLIENT_CLOSED);
	if (client->next)
		client->next->previous = client->previous;
	else
		clients->oldest = client->previous;
	if (client->previous)
		client->previous->next = client->next;
	else
		clients->newest = client->next;
	clients->n--;
	pthread_mutex_unlock(&clients->lock);
	free(client);
}

void serve_clients_notify(void *user, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct serve *serve = user;
	const union MHD_ConnectionInfo *fd;

	switch (code) {
	case MHD_CONNECTION_NOTIFY_STARTED:
		fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		*context = fd ? add(serve, fd->connect_fd) : NULL;
		break;
	case MHD_CONNECTION_NOTIFY_CLOSED:
		if (*context)
			drop(&serve->clients, *context);
		*context = NULL;
		break;
	}
}

void serve_client_enter(struct serve_client *client, enum serve_client_state state)
{
	struct serve_clients *clients = &client->serve->clients;

	pthread_mutex_lock(&clients->lock);
	if (client->state != SERVE_CLIENT_CLOSED)
		set_state(clients, client, state);
	pthread_mutex_unlock(&clients->lock);
}

static uint64_t limit_of(enum serve_client_state state)
{
	switch (state) {
	case SERVE_CLIENT_READING:
		return READING_LIMIT;
	case SERVE_CLIENT_WRITING:
		return WRITING_LIMIT;
	case SERVE_CLIENT_IDLE:
		return IDLE_LIMIT;
	case SERVE_CLIENT_ANSWERING:
	case SERVE_CLIENT_CLOSED:
		break;
	}
	return UINT64_MAX;
}

void serve_clients_reap(struct serve_clients *clients)
{
	uint64_t now = clock_now_ns();

	pthread_mutex_lock(&clients->lock);
	for (struct serve_client *c = clients->newest; c; c = c->next) {
		if (now - MIN(now, c->since) > limit_of(c->state))
			shut_down(clients, c);
	}
	pthread_mutex_unlock(&clients->lock);
}

unsigned serve_clients_busy(struct serve_clients *clients)
{
	unsigned n;

	pthread_mutex_lock(&clients->lock);
	n = clients->busy;
	pthread_mutex_unlock(&clients->lock);
	return n;
}
