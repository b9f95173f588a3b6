/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Profiles sent to a Pyroscope server.
 *
 *	push_url_make()		what a person wrote becomes the address that is posted to
 *	push_new()		starts a thread that sends what is queued
 *	push_add()		packs a profile and queues it; never waits for the network
 *	push_finish()		sends what is left, within a time
 *
 * A profile that a server could not take now is sent again, later and later, in the order in which
 * they came; one that it refuses is given up. The queue has bounds, beyond which the oldest go.
 * What happens is told through a hook, from the sending thread.
 *
 * Facts about the server are of grafana/pyroscope: pkg/ingester/pyroscope/ingest_handler.go
 * (parameters), pkg/og/convert/pprof/profile.go (names of the types, gzip),
 * api/model/labelset (names and labels), pkg/og/util/attime (times), pkg/validation (limits).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "profile/profile.h"

struct push;

/* Pyroscope's defaults (pkg/validation/limits.go): samples of a profile, bytes before packing. */
#define PUSH_MAX_SAMPLES 16000
#define PUSH_MAX_BYTES (4UL << 20)
/* Of 30 names of a series some are the server's own, and some come from the samples. */
#define PUSH_MAX_LABELS 16

/* For how long a server may be away: with a profile each 15 s an hour, and older ones Pyroscope
 * does not take (validation.reject-older-than). */
#define PUSH_MAX_QUEUED 240
#define PUSH_MAX_QUEUED_BYTES (32UL << 20)

enum push_url_outcome {
	PUSH_URL_MALFORMED = 1,
	PUSH_URL_SCHEME,      /* neither http nor https */
	PUSH_URL_CREDENTIALS, /* a user or a password in it */
	PUSH_URL_QUERY,       /* a query or a fragment in it */
};

/**
 * The address to post to: "/ingest" is appended unless the path ends with it.
 *
 * @param ret_url	the caller's
 * @return 0, an enum push_url_outcome, -ENOMEM
 */
int push_url_make(const char *text, char **ret_url);

/** Does what is sent to an address of push_url_make() leave this machine unencrypted? */
bool push_url_is_open(const char *url);

struct push_label {
	const char *key, *value; /* borrowed */
};

enum push_label_outcome {
	PUSH_LABEL_KEY = 1, /* letters, digits, dots and underscores; no digit first, not "__…" */
	PUSH_LABEL_VALUE,   /* the server's parser would end it at its ',' or '}'; or no UTF-8 */
	PUSH_LABEL_TOO_LONG, /* 1024 bytes for a key, 2048 for a value */
};

/** Does the server take this name of a program? Letters, digits, '-', '.', '/' and '_'
 * (IsServiceNameRuneAllowed). */
bool push_name_is_valid(const char *name);

/** Makes one that it takes: other characters become '_'. */
void push_name_clean(char *name);

/** Does the server take this label? Returns 0 or an enum push_label_outcome. */
int push_label_check(const char *key, const char *value);

enum push_event_kind {
	PUSH_EVENT_FAILING,   /* a profile could not be sent; it will be tried again */
	PUSH_EVENT_REFUSED,   /* a profile was refused for good; told once for each status */
	PUSH_EVENT_DROPPED,   /* profiles were dropped for want of room; told now and then */
	PUSH_EVENT_RECOVERED, /* a profile was sent after one of the above */
};

struct push_event {
	enum push_event_kind kind;
	unsigned status;  /* of HTTP; 0: there was no answer */
	bool distrusted;  /* the server's certificate is not trusted */
	const char *text; /* a line: what the server or libcurl said, or where it redirects to */
	uint64_t n;       /* DROPPED: how many since it was told last */
};

struct push_options {
	const char *url;  /* of push_url_make(); copied, as the rest */
	const char *name; /* of the program */
	const struct push_label *labels;
	unsigned n_labels;    /* PUSH_MAX_LABELS at most */
	const char *tenant;   /* header X-Scope-OrgID; NULL: none */
	const char *auth;     /* "USER:PASSWORD", "Bearer TOKEN" or "TOKEN"; NULL: none */
	const char *ca_path;  /* file of certificates to trust; NULL: the system's */
	uint32_t max_samples; /* of a profile; 0: PUSH_MAX_SAMPLES */

	/** Called by the thread that sends; the event is borrowed for the call. */
	void (*on_event)(void *user, const struct push_event *event);
	void *user;
};

/** Is libcurl on this machine? */
bool push_is_available(void);

/** Returns 0; -ELIBACC without libcurl; -ENOMEM and others. */
int push_new(const struct push_options *options, struct push **ret_push);

/** Gives up at once what push_finish() has not waited for. */
struct push *push_free(struct push *push);

enum push_outcome {
	PUSH_EMPTY = 1, /* it has no samples; the server would store nothing */
};

/**
 * Queues a profile. Of the labels of its samples only those of few values are kept (thread,
 * process, mode, state), because the server makes a series of each combination
 * (pkg/model/pprofsplit); names are demangled, which the server does not do. Small samples are
 * merged where there are too many, or too many bytes.
 *
 * @param type		by the name of session_type: tells the server block and mutex apart
 * @param profile	of one type, with times; borrowed
 * @return 0, an enum push_outcome, -ENOMEM and others
 */
int push_add(struct push *push, const char *type, const struct profile *profile);

/**
 * Sends what is queued, the next one at once, and tries again as long as there is time. Nothing may
 * be added any more.
 *
 * @param ns		for so long at most
 * @param stop_fd	when it is readable, no longer; -1: none
 * @return how many profiles were given up: refused, dropped or left over, since push_new()
 */
uint64_t push_finish(struct push *push, uint64_t ns, int stop_fd);

struct push_stats {
	uint64_t pushed, bytes; /* taken by the server; bytes of their bodies */
	uint64_t failed;        /* refused for good */
	uint64_t dropped;       /* no room, or no time at the end */
	uint64_t retries;       /* tries that failed and were or will be repeated */
	uint64_t queued;        /* now */
};

/** From any thread. */
void push_get_stats(struct push *push, struct push_stats *ret_stats);
