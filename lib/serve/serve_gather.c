/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile of several processes: each is sampled for the same time, on a thread of its own, and
 * the results are put together, each sample with its process. Those that end meanwhile contribute
 * what there was; those that come meanwhile do not.
 */
#include <errno.h>
#include <pthread.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "serve/serve_priv.h"

/* Of all requests. */
#define MAX_THREADS 2048

DEFINE_CLEANUP(struct profile *, profile_free)

struct part {
	const struct serve_entry *entry;
	struct serve_target *target;
	const struct serve_span *span;
	pthread_t thread;
	char name[SERVE_NAME];
	bool started;
	int result;
	struct profile *profile;
};

static void *make_part(void *arg)
{
	struct part *part = arg;

	part->result = serve_profile_make(part->target, part->entry, part->span, &part->profile);
	return NULL;
}

static int start_part(struct serve *serve, struct part *part)
{
	int r;

	if (atomic_fetch_add(&serve->n_gathering, 1) >= MAX_THREADS)
		r = -EAGAIN;
	else
		r = -pthread_create(&part->thread, NULL, make_part, part);
	part->started = r == 0;
	if (r < 0)
		atomic_fetch_sub(&serve->n_gathering, 1);
	return r;
}

static int append_part(struct profile **to, const struct part *part)
{
	const struct profile_word words[] = {{"process", part->name},
					     {"pid", part->target->pid_text}};
	int r = 0;

	if (!*to)
		r = profile_new(profile_get_spec(part->profile), to);
	return r < 0 ? r : profile_unite(*to, part->profile, words, ARRAY_SIZE(words));
}

/* Waits for all. A process that is gone, or has no heap profile, is none; any other error is one of
 * all. */
static int finish_parts(struct serve *serve, struct part *parts, unsigned n,
			struct profile **ret_profile)
{
	_cleanup_(profile_free_cleanup) struct profile *profile = NULL;
	int r = 0, none = SERVE_HUB_ENDED;

	for (unsigned i = 0; i < n; i++) {
		struct part *part = &parts[i];

		if (part->started) {
			pthread_join(part->thread, NULL);
			atomic_fetch_sub(&serve->n_gathering, 1);
		}
		if (part->result == -ESRCH || part->result == SERVE_HUB_ENDED)
			continue;
		if (part->result == SERVE_HUB_NO_HEAP) {
			none = SERVE_HUB_NO_HEAP;
			continue;
		}
		r = r ?: part->result;
		if (r == 0)
			r = append_part(&profile, part);
		part->profile = profile_free(part->profile);
	}
	if (r)
		return r;
	if (!profile)
		return none;
	*ret_profile = take_ptr(profile);
	return 0;
}

int serve_gather(struct serve_request *request, const struct serve_entry *entry,
		 const struct serve_span *span, struct profile **ret_profile)
{
	struct serve *serve = request->serve;
	struct part parts[SERVE_MAX_PROCESSES] = {};
	struct serve_scope scope;
	int r;

	serve_targets_all(&serve->targets, &scope);
	for (unsigned i = 0; i < scope.n; i++) {
		parts[i] = (struct part){.entry = entry, .target = scope.items[i], .span = span};
		serve_target_name(&serve->targets, scope.items[i], parts[i].name);
		r = start_part(serve, &parts[i]);
		if (r < 0)
			parts[i].result = r;
	}
	r = finish_parts(serve, parts, scope.n, ret_profile);
	serve_scope_put(&serve->targets, &scope);
	return r;
}
