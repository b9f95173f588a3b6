/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what a client of cprof serve sends, which then hangs up. What comes back is HTTP or
 * nothing, says nothing of a fault of ours, and the next one is answered as if nothing had been.
 *
 * The process that is served sleeps. For libFuzzer: clang -fsanitize=fuzzer,address with lib's
 * objects; see replay.c for the tests.
 */
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "module/module.h"
#include "serve/serve.h"
#include "session/session_dump.h"

/* Of an answer; a profile of a process that sleeps is smaller by far. */
#define MOST (1UL << 20)
/* The server gives a request that is not complete ten seconds. */
#define PATIENCE_S 30

static const char good[] = "GET /debug/pprof/cmdline HTTP/1.1\r\nHost: localhost\r\n"
			   "Connection: close\r\n\r\n";

static struct serve *server;
static struct serve_address address;
static pid_t sleeper;
static char answer[MOST + 1];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_serve: %s\n", what);
	abort();
}

static int write_threads(const struct dump *dump, struct sink *sink)
{
	return sink_printf(sink, "%zu threads\n", dump->threads.n);
}

static void stop(void)
{
	serve_stop(server);
	serve_free(server);
	kill(sleeper, SIGKILL);
	waitpid(sleeper, NULL, 0);
}

static void start_sleeper(void)
{
	sleeper = fork();
	require(sleeper >= 0, "no process to serve");
	while (sleeper == 0)
		pause();
}

static void start(void)
{
	struct session_options options = {
		.sampler = {.hz = 100, .types = SERVE_TYPES, .on_demand = true, .suspend_fd = -1}};
	struct serve_options how = {.hz = 100, .write_threads = write_threads};
	struct serve_process process = {.claim_fd = -1};
	char text[64];
	sigset_t signals;

	start_sleeper();
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	require(module_sigbus_guard() >= 0, "module_sigbus_guard");
	process.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	options.sampler.pid = sleeper;
	options.sampler.stop_fd = process.stop_fd;
	require(session_new(&options, &process.session) == 0, "session_new");
	snprintf(text, sizeof(text), "unix:/tmp/cprof-fuzz-%d", (int)getpid());
	require(serve_address_parse(text, &how.address) == 0, "serve_address_parse");
	address = how.address;
	require(serve_new(&how, &server) == 0, "serve_new");
	require(serve_add(server, &process) == 0, "serve_add");
	require(serve_start(server) == 0, "serve_start");
	atexit(stop);
}

/* Sends, hangs up for its part, and reads all that comes. */
static size_t ask(const void *bytes, size_t size)
{
	const struct timeval patience = {.tv_sec = PATIENCE_S};
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t n = 0;
	ssize_t got;

	require(fd >= 0, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	require(connect(fd, (const struct sockaddr *)&address.address, address.size) == 0,
		"nobody listens any more");
	/* It may have said no, and hung up, before it has read all. */
	for (size_t sent = 0; sent < size; sent += (size_t)got) {
		got = send(fd, (const char *)bytes + sent, size - sent, MSG_NOSIGNAL);
		if (got <= 0)
			break;
	}
	(void)shutdown(fd, SHUT_WR);
	while (n < MOST && (got = recv(fd, answer + n, MOST - n, 0)) > 0)
		n += (size_t)got;
	require(n == MOST || got == 0 || got < 0, "recv");
	require(n < MOST, "an answer without an end");
	answer[n] = '\0';
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	size_t n;

	if (!server)
		start();
	n = ask(bytes, size);
	require(n == 0 || strncmp(answer, "HTTP/1.", 7) == 0, "an answer that is not HTTP");
	require(n == 0 || strncmp(answer + 8, " 50", 3) != 0 ||
			strncmp(answer + 8, " 501", 4) == 0 ||
			strncmp(answer + 8, " 505", 4) == 0 || strstr(answer, "context canceled"),
		"a fault of the server");
	require(ask(good, sizeof(good) - 1) > 0 && strncmp(answer + 8, " 200", 4) == 0,
		"the next one has no answer");
	return 0;
}
