/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
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

int serve_new(const struct serve_options *options, struct serve **ret_serve)
{
	struct serve *serve = calloc(1, sizeof(*serve));
	int r;

	if (!serve)
		return err_trace(-ENOMEM);
	serve->options = *options;
	serve->listen_fd = -1;
	serve_clients_init(&serve->clients);
	serve_custom_init(serve);
	serve_targets_init(&serve->targets, &serve->options);
	(void)gethostname(serve->host_name, sizeof(serve->host_name) - 1);
	r = bind_socket(serve);
	if (r >= 0)
		r = write_url(serve);
	if (r >= 0 && listen(serve->listen_fd, BACKLOG) < 0)
		r = err_errno();
	if (r < 0) {
		serve_free(serve);
		return r;
	}
	*ret_serve = serve;
	return 0;
}

int serve_add(struct serve *serve, const struct serve_process *take_process)
{
	return serve_targets_add(&serve->targets, take_process);
}

unsigned serve_count(const struct serve *serve)
{
	return serve->targets.n;
}

bool serve_has(const struct serve *serve, pid_t pid)
{
	for (unsigned i = 0; i < serve->targets.n; i++) {
		if (serve->targets.items[i]->pid == pid)
			return true;
	}
	return false;
}

pid_t serve_first_pid(const struct serve *serve)
{
	return serve->targets.n ? serve->targets.items[0]->pid : 0;
}

int serve_start(struct serve *serve)
{
	return serve_requests_start(serve);
}

void serve_stop(struct serve *serve)
{
	if (serve->daemon)
		MHD_stop_daemon(serve->daemon);
	else if (serve->listen_fd >= 0)
		close(serve->listen_fd);
	serve->daemon = NULL;
	serve->listen_fd = -1;
	/* All at once: each takes its time to let go. */
	for (unsigned i = 0; i < serve->targets.n; i++) {
		session_abandon(serve->targets.items[i]->process.session);
		(void)eventfd_write(serve->targets.items[i]->process.stop_fd, 1);
	}
	for (unsigned i = 0; i < serve->targets.n; i++)
		session_heap_stop(serve->targets.items[i]->heap);
	while (serve->targets.n)
		serve_targets_remove(&serve->targets, serve->targets.items[0]);
}

bool serve_is_stuck(const struct serve *serve)
{
	return atomic_load(&serve->targets.tracer_hangs);
}

struct serve *serve_free(struct serve *serve)
{
	if (!serve)
		return NULL;
	serve_stop(serve);
	if (serve->url[0] && is_unix(serve))
		(void)unlink(unix_path(serve));
	serve_targets_deinit(&serve->targets);
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

	serve_targets_finish(&serve->targets);
	while (serve_clients_busy(&serve->clients) && clock_now_ns() < limit)
		(void)poll(NULL, 0, FINISH_LOOK_MS);
}

/* Returns whether stop_fd is readable. */
static bool wait_for_something(struct serve *serve, int stop_fd)
{
	struct pollfd fds[1 + SERVE_MAX_PROCESSES] = {{.fd = stop_fd, .events = POLLIN}};
	unsigned n = serve->targets.n;

	for (unsigned i = 0; i < n; i++)
		fds[1 + i] = (struct pollfd){.fd = serve_hub_fd(serve->targets.items[i]->hub),
					     .events = POLLIN};
	(void)poll(fds, 1 + n, LOOK_MS);
	return fds[0].revents != 0;
}

/* Those that have ended are served no more, but for the last one, with which the server ends: who
 * asks then is told. Returns whether there is one that runs. */
static bool drop_ended(struct serve *serve, int *ret_result)
{
	const struct serve_options *options = &serve->options;

	for (unsigned i = serve->targets.n; i-- > 0;) {
		struct serve_target *target = serve->targets.items[i];
		bool is_last = serve->targets.n == 1 && !options->stays;
		char name[SERVE_NAME];
		int result;

		if (!serve_hub_has_ended(target->hub, &result))
			continue;
		*ret_result = is_last ? result : *ret_result;
		serve_target_name(&serve->targets, target, name);
		if (options->on_end)
			options->on_end(options->user, target->pid, name, result, is_last);
		if (is_last)
			return false;
		serve_targets_remove(&serve->targets, target);
	}
	return serve->targets.n > 0;
}

int serve_run(struct serve *serve, int stop_fd)
{
	bool end = false;
	int result = 0;

	while (!end) {
		end = wait_for_something(serve, stop_fd);
		serve_clients_reap(&serve->clients);
		for (unsigned i = 0; i < serve->targets.n; i++)
			serve_heap_tell(serve, serve->targets.items[i]);
		if (!end && serve->options.on_look)
			serve->options.on_look(serve->options.user);
		/* What was found takes the place of what has ended. */
		end = (!drop_ended(serve, &result) && !serve->options.stays) || end;
	}
	finish(serve);
	return result;
}
