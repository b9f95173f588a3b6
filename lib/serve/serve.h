/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's profiles over HTTP, as Go's net/http/pprof serves those of its own program.
 *
 *	serve_address_parse()	where to listen
 *	serve_new()		listens; samples on demand; answers from now on
 *	serve_run()		until it is told to stop, or the process has ended
 *
 * One recording serves all requests: each counts its type in while it runs, and the process is not
 * looked at when there is none. Every connection has a thread of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/sink.h"
#include "serve/serve_push.h"
#include "session/session.h"

struct serve;

#define SERVE_TYPES (SAMPLER_CPU | SAMPLER_WALL | SAMPLER_BLOCK | SAMPLER_MUTEX | SAMPLER_CREATE)

/** Where to listen. */
struct serve_address {
	struct sockaddr_storage address;
	socklen_t size;
	char host[256]; /* as it was written, without port and brackets; "" for a Unix socket */
};

enum serve_address_outcome {
	SERVE_ADDRESS_MALFORMED = 1, /* neither HOST:PORT nor unix:PATH */
	SERVE_ADDRESS_UNKNOWN,       /* no such host */
	SERVE_ADDRESS_TOO_LONG,      /* the path, for a Unix socket (unix(7): 108 bytes) */
};

/** Reads "HOST:PORT", "[IPv6]:PORT", ":PORT" (loopback) or "unix:PATH". Returns 0 or an enum
 * serve_address_outcome. */
int serve_address_parse(const char *text, struct serve_address *ret_address);

/** Can only this machine reach it? */
bool serve_address_is_local(const struct serve_address *address);

struct serve_options {
	struct serve_address address;
	const char *token;    /* what clients must know; NULL: nothing; borrowed */
	bool same_user;       /* refuse peers of another uid */
	uint32_t max_samples; /* in one answer; 0: any number */
	unsigned hz;          /* of the session */
	int stop_fd;          /* eventfd of the session; written to when it is to end; borrowed */
	unsigned continuous;  /* of SERVE_TYPES: what is sampled all the time */
	uint64_t window_ns;   /* of these: how far back one can ask */

	struct serve_push_options push;

	/** Writes all threads of a process as text. Returns 0 or a negative errno. */
	int (*write_threads)(pid_t pid, struct sink *sink);
};

/**
 * Listens, and starts to answer. A file in the way of a Unix socket is replaced if it is a socket
 * that nobody listens on.
 *
 * @param session	made with SERVE_TYPES and on_demand, not run yet; borrowed
 * @return 0; -EADDRINUSE and what else bind(2) says; -ENOMEM and others
 */
int serve_new(const struct serve_options *options, struct session *session,
	      struct serve **ret_serve);

/** Ends what runs, answers first. The session has ended when it returns. */
struct serve *serve_free(struct serve *serve);

/** The address to use: "http://127.0.0.1:6060/debug/pprof/", "unix:/run/cprof.sock". */
const char *serve_url(const struct serve *serve);

/**
 * Until stop_fd is readable or the process has ended. Running requests then get what there is by
 * then; it waits for them for some seconds.
 *
 * @param stop_fd	borrowed; a signalfd(2), for instance
 * @return what session_run() said, 0 as long as it runs
 */
int serve_run(struct serve *serve, int stop_fd);
