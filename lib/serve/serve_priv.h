/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the server, its connections, and one request. */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/sink.h"
#include "serve/serve.h"
#include "serve/serve_hub.h"
#include "serve/serve_names.h"
#include "serve/serve_target.h"

/* One more than that waits to be accepted. */
#define SERVE_MAX_CLIENTS 512
/* With more than these, the oldest without a request goes. */
#define SERVE_CROWD 384
#define SERVE_MAX_BODY (1UL << 20)
#define SERVE_MAX_HEADER (32 * 1024UL)
/* The longest profile. */
#define SERVE_MAX_SECONDS 3600

/* What requests are counted by: an entry's number, or one of these. */
enum {
	SERVE_PATH_INDEX = 12,
	SERVE_PATH_CUSTOM, /* all of them */
	SERVE_PATH_METRICS,
	SERVE_PATH_OTHER,
	SERVE_PATHS,
};
#define SERVE_CODES 12

/** What is served under a name. */
enum serve_what {
	SERVE_RATE,        /* for some time, 30 s if nothing is said: profile */
	SERVE_COUNT,       /* what was counted so far, or for some time: block */
	SERVE_EVERY,       /* all threads now: goroutine */
	SERVE_HEAP,        /* heap, allocs: what was counted so far, or for some time */
	SERVE_CUSTOM,      /* what is there now */
	SERVE_UNSUPPORTED, /* what Go has and we have not */
	SERVE_CMDLINE,
	SERVE_SYMBOL,
};

/** What there is below /debug/pprof/. */
struct serve_entry {
	const char *name;
	enum serve_what what;
	enum sampler_type type; /* of RATE and COUNT */
	bool has_delta;         /* takes `seconds` */
	const char *about;      /* for the index; of UNSUPPORTED: why */
	bool is_hidden;         /* not in the index */
	bool allocs;            /* of HEAP: by what was allocated */
	unsigned custom;        /* of CUSTOM: its number */
};

/** A connection. */
struct serve_client {
	struct serve *serve;
	struct serve_client *next, *previous; /* newest first */
	int fd;
	uint64_t since; /* CLOCK_MONOTONIC: of the state that it is in */
	enum serve_client_state {
		SERVE_CLIENT_READING,   /* the request is not all here */
		SERVE_CLIENT_ANSWERING, /* we work */
		SERVE_CLIENT_WRITING,   /* the answer is not all gone */
		SERVE_CLIENT_IDLE,      /* between two requests */
		SERVE_CLIENT_CLOSED,    /* by us: its time was over */
	} state;
	bool is_checked, is_welcome; /* see serve_guard_peer() */
};

struct serve_clients {
	pthread_mutex_t lock;
	struct serve_client *newest, *oldest;
	unsigned n, busy; /* busy: with a request that is being answered or written */
};

struct serve {
	struct serve_options options;
	struct serve_targets targets;
	_Atomic unsigned n_gathering; /* see serve_gather.c */
	struct serve_clients clients;
	struct MHD_Daemon *daemon;
	int listen_fd;
	_Atomic uint64_t counts[SERVE_PATHS][SERVE_CODES]; /* see serve_metrics.c */
	char url[512];
	char host_name[256]; /* of this machine */
	struct serve_entry customs[AGENT_MAX_PROFILES];
};

/** A request. Made when its first line is here. */
struct serve_request {
	struct serve *serve;
	struct serve_client *client;
	struct serve_target *process; /* held; NULL: all processes together */
	struct MHD_Connection *connection;
	char *target; /* as it came, with what follows the '?' */
	const char *method;
	unsigned path; /* that it is counted by */
	bool has_headers, is_head;
	struct sink_memory body;
};

/* serve_clients.c: who is connected, and since when. */
void serve_clients_init(struct serve_clients *clients);
void serve_clients_deinit(struct serve_clients *clients);
/** MHD_NotifyConnectionCallback; `user` is the server. */
void serve_clients_notify(void *user, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code);
void serve_client_enter(struct serve_client *client, enum serve_client_state state);
/** Shuts those down whose time is over. */
void serve_clients_reap(struct serve_clients *clients);
/** Requests that are being answered or written. */
unsigned serve_clients_busy(struct serve_clients *clients);

/* serve_request.c: the daemon's callbacks. */
/** Starts to answer. Returns 0 or a negative errno. */
int serve_requests_start(struct serve *serve);

/** The processes that it is about; to be released with serve_scope_put(). */
void serve_request_scope(const struct serve_request *request, struct serve_scope *ret_scope);

/** A parameter of the request, the first one of that name; NULL: none. */
const char *serve_request_param(const struct serve_request *request, const char *name);

/** A whole number as Go's strconv.ParseInt(s, 10, 64) reads it: 0; -EINVAL with 0; -ERANGE with the
 * nearest there is. NULL is no number. */
int serve_parse_int(const char *text, int64_t *ret_number);

/* serve_reply.c: answers; each may be given once, and takes the bytes. */
enum MHD_Result serve_reply_error(struct serve_request *request, unsigned status,
				  const char *format, ...) __attribute__((format(printf, 3, 4)));
enum MHD_Result serve_reply_text(struct serve_request *request, struct sink_memory *take_text);
/** As of Prometheus. */
enum MHD_Result serve_reply_metrics(struct serve_request *request, struct sink_memory *take_text);
enum MHD_Result serve_reply_html(struct serve_request *request, struct sink_memory *take_text);
/** The page for people. The header Cprof-Window says how many seconds of the past can be asked for.
 */
enum MHD_Result serve_reply_page(struct serve_request *request);
/** For that page. */
enum MHD_Result serve_reply_json(struct serve_request *request, char *take_text, size_t size);
/** To another place: 301. */
enum MHD_Result serve_reply_redirect(struct serve_request *request, const char *path);
/** A file; bytes NULL: only its head. @param suffix of the name */
enum MHD_Result serve_reply_file(struct serve_request *request, const char *name,
				 const char *suffix, struct sink_memory *take_bytes);
/** Writes text as it may stand in HTML. Returns 0 or the sink's error. */
int serve_reply_escape(struct sink *sink, const char *text);
/** 401. */
enum MHD_Result serve_reply_who(struct serve_request *request);
/** 405; @param allowed e.g. "GET, HEAD" */
enum MHD_Result serve_reply_not_allowed(struct serve_request *request, const char *allowed);

/* serve_guard.c: who may ask. */
/** May this connection ask at all? */
bool serve_guard_peer(struct serve *serve, struct serve_client *client);
/** Is the Host header one that we are called by? A page of another site that resolves its name to
 * our address (DNS rebinding) has its own. */
bool serve_guard_host(const struct serve *serve, const char *host);
/** Does the request have the token? */
bool serve_guard_token(const struct serve_request *request);

/* serve_route.c */
/** Answers a request that is all here. */
enum MHD_Result serve_route(struct serve_request *request, const char *path);

/** Those that there always are, then the custom ones; NULL: no more. */
const struct serve_entry *serve_entry_get(const struct serve *serve, unsigned index);

/** Is it in the index? */
bool serve_entry_is_listed(const struct serve *serve, const struct serve_entry *entry);

/* serve_custom.c */
/** Makes the entries of custom profiles. */
void serve_custom_init(struct serve *serve);
/** The entry of a name, or NULL. */
const struct serve_entry *serve_custom_find(const struct serve *serve, const char *name);
/** As serve_profile_make(). */
int serve_custom_make(struct serve_target *target, const struct serve_entry *entry,
		      struct profile **ret_profile);

/* serve_profile.c */
enum MHD_Result serve_profile_reply(struct serve_request *request, const struct serve_entry *entry);

/** What is wanted of a profile. */
struct serve_span {
	uint64_t ns;  /* for so long; 0: what was counted so far, or of this moment */
	bool is_past; /* the last ones, instead of the next ones */
	int client_fd;
};

/** Makes a profile of one process. Returns 0, an enum serve_hub_outcome, a negative errno. */
int serve_profile_make(struct serve_target *target, const struct serve_entry *entry,
		       const struct serve_span *span, struct profile **ret_profile);

/* serve_gather.c */
/** As serve_profile_make(), of all processes together; SERVE_HUB_ENDED when there is none; -EAGAIN
 * when too many ask. */
int serve_gather(struct serve_request *request, const struct serve_entry *entry,
		 const struct serve_span *span, struct profile **ret_profile);

/* serve_text.c */
/** Writes a profile as Go's debug=1. Returns 0 or the sink's error. */
int serve_text_write(const struct profile *profile, const char *name, enum sampler_type type,
		     struct sink *sink);
/** Parts of it: the addresses of a stack; a line for each of its functions, and an empty one; a
 * string of the profile, cleaned. */
int serve_text_addresses(const struct profile *profile, uint32_t stack, struct sink *sink);
int serve_text_frames(const struct profile *profile, uint32_t stack, struct sink *sink);
int serve_text_name(struct sink *sink, const struct profile *profile, uint32_t string);

/* serve_text_heap.c */
/** The same for profiles of heaps. */
int serve_text_write_heap(const struct profile *profile, struct sink *sink);

/* serve_heap.c */
/** Starts to count. Returns 0 or a negative errno. */
int serve_heap_start(struct serve_target *target, const struct serve_options *options);
/** As serve_profile_make(). */
int serve_heap_make(struct serve_target *target, bool allocs, const struct serve_span *span,
		    struct profile **ret_profile);
/** Why there is none, after SERVE_HUB_NO_HEAP; of a target with `heap`. */
void serve_heap_explain(struct serve_target *target, char *text, size_t size);
/** Logs that, once it is known; on the thread of serve_run(). */
void serve_heap_tell(const struct serve *serve, struct serve_target *target);

/* serve_threads.c */
/** Every thread's stack. Returns 0; -ESRCH; -ENOMEM and others. */
int serve_threads_profile(struct serve_target *target, const char *value_type,
			  struct profile **ret_profile);
/** Writes them as text. Returns likewise. */
int serve_threads_write(const struct serve *serve, struct serve_target *target, struct sink *sink);

/* serve_metrics.c */
enum MHD_Result serve_metrics_reply(struct serve_request *request);
/** Counts an answer. */
void serve_metrics_count(struct serve_request *request, unsigned code);

/* serve_discovery.c */
/** /targets: the processes, for scrapers. */
enum MHD_Result serve_discovery_reply(struct serve_request *request);

/* serve_index.c */
/** @param pid	of the path; "": it names no process */
enum MHD_Result serve_index_reply(struct serve_request *request, const char *pid);
