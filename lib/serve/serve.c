/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "serve/serve_priv.h"

#define BACKLOG 512
/* How often connections are looked at. */
#define LOOK_MS 1000
/* For answers that are under way at the end. */
#define FINISH_WITHIN (10 * NSEC_PER_SEC)
#define FINISH_LOOK_MS 10

static bool is_unix(const struct serve *serve)
{
	return serve->options.address.address.ss_family == AF_UNIX;
}

static const char *unix_path(const struct serve *serve)
{
	return ((const struct sockaddr_un *)&serve->options.address.address)->sun_path;
}

/* A socket that a server left behind when it was killed. */
static bool is_abandoned(const struct serve *serve)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const struct serve_address *address = &serve->options.address;
	struct stat file;

	return fd >= 0 && lstat(unix_path(serve), &file) == 0 && S_ISSOCK(file.st_mode) &&
	       connect(fd, (const struct sockaddr *)&address->address, address->size) < 0 &&
	       errno == ECONNREFUSED;
}

static int bind_socket(struct serve *serve)
{
	const struct serve_address *address = &serve->options.address;
	const struct sockaddr *to = (const struct sockaddr *)&address->address;
	const int on = 1;
	int r;

	serve->listen_fd =
		socket(address->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (serve->listen_fd < 0)
		return err_errno();
	/* Mode of the socket's file, from its first moment on (unix(7)). */
	if (is_unix(serve))
		(void)fchmod(serve->listen_fd, S_IRUSR | S_IWUSR);
	else
		(void)setsockopt(serve->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	r = bind(serve->listen_fd, to, address->size);
	if (r < 0 && errno == EADDRINUSE && is_unix(serve) && is_abandoned(serve) &&
	    unlink(unix_path(serve)) == 0)
		r = bind(serve->listen_fd, to, address->size);
	return r < 0 ? err_errno() : 0;
}

static int write_url(struct serve *serve)
{
	struct sockaddr_storage bound;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&bound;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&bound;
	socklen_t size = sizeof(bound);
	char host[INET6_ADDRSTRLEN];

	if (is_unix(serve)) {
		snprintf(serve->url, sizeof(serve->url), "unix:%s", unix_path(serve));
		return 0;
	}
	if (getsockname(serve->listen_fd, (struct sockaddr *)&bound, &size) < 0)
		return err_errno();
	if (bound.ss_family == AF_INET)
		snprintf(serve->url, sizeof(serve->url), "http://%s:%d/debug/pprof/",
			 inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host)),
			 ntohs(v4->sin_port));
	else
		snprintf(serve->url, sizeof(serve->url), "http://[%s]:%d/debug/pprof/",
			 inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)),
			 ntohs(v6->sin6_port));
	return 0;
}

int serve_new(const struct serve_options *options, struct session *session,
	      struct serve **ret_serve)
{
	struct serve *serve = calloc(1, sizeof(*serve));
	int r;

	if (!serve)
		return err_trace(-ENOMEM);
	serve->options = *options;
	serve->listen_fd = -1;
	serve_clients_init(&serve->clients);
	(void)gethostname(serve->host_name, sizeof(serve->host_name) - 1);
	r = bind_socket(serve);
	if (r >= 0)
		r = write_url(serve);
	if (r >= 0)
		r = serve_names_new(session_pid(session), &serve->names);
	if (r >= 0)
		r = serve_hub_new(session, options->stop_fd, options->continuous,
				  options->window_ns, &serve->hub);
	if (r >= 0 && listen(serve->listen_fd, BACKLOG) < 0)
		r = err_errno();
	if (r >= 0 && options->push.push)
		r = serve_push_new(serve->hub, &options->push, &serve->push);
	if (r >= 0)
		r = serve_requests_start(serve);
	if (r < 0) {
		serve_free(serve);
		return r;
	}
	*ret_serve = serve;
	return 0;
}

struct serve *serve_free(struct serve *serve)
{
	if (!serve)
		return NULL;
	if (serve->daemon)
		MHD_stop_daemon(serve->daemon);
	else if (serve->listen_fd >= 0)
		close(serve->listen_fd);
	if (serve->url[0] && is_unix(serve))
		(void)unlink(unix_path(serve));
	if (serve->push)
		serve_hub_finish(serve->hub);
	serve_push_free(serve->push);
	serve_hub_free(serve->hub);
	serve_names_free(serve->names);
	serve_clients_deinit(&serve->clients);
	free(serve);
	return NULL;
}

const char *serve_url(const struct serve *serve)
{
	return serve->url;
}

static void finish(struct serve *serve)
{
	uint64_t limit = clock_now_ns() + FINISH_WITHIN;

	serve_hub_finish(serve->hub);
	serve_push_finish(serve->push);
	while (serve_clients_busy(&serve->clients) && clock_now_ns() < limit)
		(void)poll(NULL, 0, FINISH_LOOK_MS);
}

int serve_run(struct serve *serve, int stop_fd)
{
	struct pollfd fds[] = {{.fd = stop_fd, .events = POLLIN},
			       {.fd = serve_hub_fd(serve->hub), .events = POLLIN}};
	int result;

	do {
		(void)poll(fds, ARRAY_SIZE(fds), LOOK_MS);
		serve_clients_reap(&serve->clients);
	} while (!fds[0].revents && !fds[1].revents);
	finish(serve);
	return serve_hub_has_ended(serve->hub, &result) ? result : 0;
}
