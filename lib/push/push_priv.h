/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "push/push.h"

/* push_query.c */
/**
 * The whole address with its parameters.
 *
 * @param from, until	nanoseconds since the epoch; sent in seconds, which every version of the
 *			server reads
 * @param is_form	the body is a form; with `format=pprof` the server takes even a form for the
 *			bare profile
 * @return 0 or -ENOMEM; the caller frees *ret_url
 */
int push_query_make(const char *url, const char *name, const struct push_label *labels,
		    unsigned n_labels, int64_t from, int64_t until, bool is_form, char **ret_url);

/* push_retry.c */
enum push_verdict {
	PUSH_TAKEN,
	PUSH_AGAIN,
	PUSH_REFUSED,
};

/** What to do after this status of HTTP. */
enum push_verdict push_retry_verdict(unsigned status);

/**
 * How long to wait before the next try.
 *
 * @param failures	tries in a row that failed, from 1 on
 * @param random	any number; the wait is spread by it
 * @param retry_after_ns	what the server asked for; 0: nothing
 */
uint64_t push_retry_wait_ns(unsigned failures, uint32_t random, uint64_t retry_after_ns);

/* push_pack.c */
struct push_bytes {
	char *bytes; /* owned */
	size_t size;
};

/** The profile as it is sent; see push_add(). Returns 0, PUSH_EMPTY, -ENOMEM and others. */
int push_pack(const struct profile *profile, uint32_t max_samples, struct push_bytes *ret_bytes);

/** What tells the server the names of a type's values, as JSON; NULL: it knows them. */
const char *push_pack_config(const char *type);

/* push_queue.c */
struct push_item {
	struct push_item *next;
	char *url;
	struct push_bytes body;
	const char *config; /* see push_pack_config() */
};

struct push_item *push_item_free(struct push_item *item);

/** Oldest first. */
struct push_queue {
	struct push_item *head, **tail;
	size_t n, bytes;
};

void push_queue_init(struct push_queue *queue);
void push_queue_deinit(struct push_queue *queue);
/** Takes an item, to the end or (of an earlier one that is tried again) to the beginning. Returns
 * how many were dropped to make room for it. */
unsigned push_queue_put(struct push_queue *queue, struct push_item *take_item);
unsigned push_queue_return(struct push_queue *queue, struct push_item *take_item);
/** The oldest, now the caller's; NULL: none. */
struct push_item *push_queue_take(struct push_queue *queue);

/* push_http.c */
struct push_http;

/** What came of a try. */
struct push_answer {
	enum push_verdict verdict;
	unsigned status;
	bool distrusted;
	uint64_t retry_after_ns;
	char text[256]; /* one clean line */
};

/** Copies what it needs. @param is_over called about once a second while it sends, by the thread
 * that does; true ends the try. Returns 0, -ELIBACC, -ENOMEM. */
int push_http_new(const struct push_options *options, bool (*is_over)(void *user), void *user,
		  struct push_http **ret_http);
struct push_http *push_http_free(struct push_http *http);

/** One exchange, 15 s at most. */
void push_http_send(struct push_http *http, const struct push_item *item,
		    struct push_answer *ret_answer);
