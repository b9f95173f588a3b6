/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles of processes over HTTP, as Go's net/http/pprof serves those of its own program.
 *
 *	serve_address_parse()	where to listen
 *	serve_new()		listens
 *	serve_add()		a process that is served from now on
 *	serve_start()		answers from now on
 *	serve_run()		until it is told to stop, or the processes have ended
 *
 * One recording of a process serves all requests: each counts its type in while it runs, and the
 * process is not looked at when there is none. Every connection has a thread of its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/sink.h"
#include "serve/serve_push.h"
#include "session/custom.h"
#include "session/session.h"

struct serve;
struct dump;

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

/** Served at once: each has four threads, some twenty descriptors and some megabytes here. */
#define SERVE_MAX_PROCESSES 64

/** A process to be served. */
struct serve_process {
	struct session *session; /* made with SERVE_TYPES and on_demand, not run yet */
	int stop_fd;             /* eventfd(2) that ends the session */
	int claim_fd;            /* closed when it is served no more; -1: none */
	struct push *push;       /* where its profiles are pushed to; NULL: nowhere */
};

struct serve_options {
	struct serve_address address;
	const char *token;    /* what clients must know; NULL: nothing; borrowed */
	bool same_user;       /* refuse peers of another uid */
	uint32_t max_samples; /* in one answer; 0: any number */
	unsigned hz;          /* of the session */
	unsigned continuous;  /* of SERVE_TYPES: what is sampled all the time */
	uint64_t window_ns;   /* of these: how far back one can ask */
	uint64_t heap_rate;   /* mean bytes between samples of allocations; 0: the heaps
				 are not looked at, which takes code in the target */
	/* Custom profiles, each served at its name; borrowed. They take that code, too. */
	const struct custom *const *customs;
	unsigned n_customs;             /* at most AGENT_MAX_PROFILES */
	bool inlines;                   /* likewise: expand inlined calls */
	const char *command_line;       /* of cprof, for their comments; borrowed */
	struct serve_push_options push; /* of processes that have a `push` */
	/* The plain paths are of all processes together, also when there is one. */
	bool is_many;
	bool stays; /* does not end when there is no process */

	/** Writes all threads of a process as text. Returns 0 or a negative errno. */
	int (*write_threads)(const struct dump *dump, struct sink *sink);

	/* Both NULL, or called on the thread of serve_run(): each second, for serve_add() with what
	 * has come; when a process has ended (is_last: the server ends with it), with what
	 * session_run() said. */
	void (*on_look)(void *user);
	void (*on_end)(void *user, pid_t pid, const char *name, int result, bool is_last);
	void *user;
};

/** Is something else served under this name? */
bool serve_has_name(const char *name);

/**
 * Listens. A file in the way of a Unix socket is replaced if it is a socket that nobody listens
 * on.
 *
 * @return 0; -EADDRINUSE and what else bind(2) says; -ENOMEM and others
 */
int serve_new(const struct serve_options *options, struct serve **ret_serve);

/** Ends what runs, answers first. The sessions have ended when it returns. */
struct serve *serve_free(struct serve *serve);

/**
 * Serves a process, until it ends. On the thread of serve_run(), or before that.
 *
 * @param take_process	its session and descriptors are ours, on failure, too
 * @return 0; -ENOSPC when there are SERVE_MAX_PROCESSES; -ENOMEM and others
 */
int serve_add(struct serve *serve, const struct serve_process *take_process);

/** How many are served now, and whether one is. On the thread of serve_add(). */
unsigned serve_count(const struct serve *serve);
bool serve_has(const struct serve *serve, pid_t pid);
/** The process that was added first; 0: none. */
pid_t serve_first_pid(const struct serve *serve);

/** Starts to answer. Returns 0 or a negative errno. */
int serve_start(struct serve *serve);

/** Was a tracer given up (session.h: watchdog)? What it holds is released with this process, which
 * must then end by _exit(2). To be asked after serve_stop(). */
bool serve_is_stuck(const struct serve *serve);

/** Ends all sessions, answers first; before serve_free(), for serve_is_stuck(). */
void serve_stop(struct serve *serve);

/** The address to use: "http://127.0.0.1:6060/debug/pprof/", "unix:/run/cprof.sock". */
const char *serve_url(const struct serve *serve);

/**
 * Until stop_fd is readable or, unless it stays, all processes have ended. Running requests then
 * get what there is by then; it waits for them for some seconds.
 *
 * @param stop_fd	borrowed; a signalfd(2), for instance
 * @return what session_run() said of the last process, 0 as long as it runs
 */
int serve_run(struct serve *serve, int stop_fd);
