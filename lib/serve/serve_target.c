/* SPDX-License-Identifier: Apache-2.0 */
#include "serve/serve_target.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "process/process.h"
#include "serve/serve_priv.h"
#include "serve/serve_push.h"
#include "session/session_dump.h"

/* For what is to be pushed when a process, or all, ends. */
#define PUSH_WITHIN (5 * NSEC_PER_SEC)

DEFINE_CLEANUP(struct process *, process_close)

void serve_targets_init(struct serve_targets *targets, const struct serve_options *options)
{
	targets->options = options;
	pthread_mutex_init(&targets->lock, NULL);
}

void serve_targets_deinit(struct serve_targets *targets)
{
	while (targets->n)
		serve_targets_remove(targets, targets->items[targets->n - 1]);
	pthread_mutex_destroy(&targets->lock);
}

void serve_target_name(struct serve_targets *targets, struct serve_target *target,
		       char ret_name[static SERVE_NAME])
{
	_cleanup_(process_close_cleanup) struct process *process = NULL;
	struct process_stat stat = {};

	if (process_open(target->pid, &process) >= 0)
		(void)process_stat_read(process, &stat);
	(void)text_clean(ret_name, SERVE_NAME, stat.name, strlen(stat.name));
	pthread_mutex_lock(&targets->lock);
	if (ret_name[0])
		memcpy(target->last_name, ret_name, SERVE_NAME);
	else
		memcpy(ret_name, target->last_name, SERVE_NAME);
	pthread_mutex_unlock(&targets->lock);
}

/* Of a process that is gone: what came last is sent, and what was sent still counts. */
static void end_pushes(struct serve_targets *targets, struct serve_target *target)
{
	if (target->pusher) {
		serve_hub_finish(target->hub);
		serve_push_finish(target->pusher, clock_now_ns() + PUSH_WITHIN);
		pthread_mutex_lock(&targets->lock);
		serve_push_count(target->pusher, &targets->gone);
		pthread_mutex_unlock(&targets->lock);
	}
	serve_push_free(target->pusher);
	push_free(target->process.push);
}

static void free_target(struct serve_targets *targets, struct serve_target *target)
{
	end_pushes(targets, target);
	serve_hub_free(target->hub);
	/* Behind the sampler, which may have all threads. */
	session_heap_free(target->heap);
	serve_names_free(target->names);
	dump_source_free(target->dump_source);
	pthread_mutex_destroy(&target->dump_lock);
	if (session_stats(target->process.session)->watchdog)
		atomic_store(&targets->tracer_hangs, true);
	session_free(target->process.session);
	if (target->process.stop_fd >= 0)
		close(target->process.stop_fd);
	if (target->process.claim_fd >= 0)
		close(target->process.claim_fd);
	free(target);
}

static int start(struct serve_target *target, const struct serve_options *options)
{
	int r = serve_names_new(target->pid, &target->names);

	/* Before the sampler, likewise: which may have all of them from its beginning on. */
	if (r >= 0 && (options->heap_rate || options->n_customs))
		r = serve_heap_start(target, options);
	if (r >= 0 && target->heap && (options->continuous & SAMPLER_CREATE))
		(void)session_heap_await(target->heap);
	if (r >= 0)
		r = serve_hub_new(target->process.session, target->process.stop_fd,
				  options->continuous, options->window_ns, &target->hub);
	if (r >= 0 && target->process.push)
		r = serve_push_new(target->hub, target->heap, target->process.push, &options->push,
				   &target->pusher);
	return r;
}

int serve_targets_add(struct serve_targets *targets, const struct serve_process *take_process)
{
	struct serve_target *target = calloc(1, sizeof(*target));
	char name[SERVE_NAME];
	int r;

	if (!target) {
		session_free(take_process->session);
		push_free(take_process->push);
		return err_trace(-ENOMEM);
	}
	pthread_mutex_init(&target->dump_lock, NULL);
	target->process = *take_process;
	target->pid = session_pid(take_process->session);
	target->holders = 1;
	snprintf(target->pid_text, sizeof(target->pid_text), "%d", (int)target->pid);
	strcpy(target->last_name, "unknown");
	serve_target_name(targets, target, name);
	r = start(target, targets->options);
	pthread_mutex_lock(&targets->lock);
	if (r >= 0 && targets->n == SERVE_MAX_PROCESSES)
		r = -ENOSPC;
	if (r >= 0)
		targets->items[targets->n++] = target;
	pthread_mutex_unlock(&targets->lock);
	if (r < 0)
		free_target(targets, target);
	return r;
}

void serve_targets_remove(struct serve_targets *targets, struct serve_target *target)
{
	bool found = false;

	pthread_mutex_lock(&targets->lock);
	/* In the order in which they came. */
	for (unsigned i = 0; i < targets->n; i++) {
		found |= targets->items[i] == target;
		if (found && i + 1 < targets->n)
			targets->items[i] = targets->items[i + 1];
	}
	targets->n -= found;
	pthread_mutex_unlock(&targets->lock);
	if (found)
		serve_target_put(targets, target);
}

struct serve_target *serve_targets_find(struct serve_targets *targets, pid_t pid)
{
	struct serve_target *found = NULL;

	pthread_mutex_lock(&targets->lock);
	for (unsigned i = 0; i < targets->n && !found; i++) {
		if (targets->items[i]->pid == pid)
			found = targets->items[i];
	}
	if (found)
		atomic_fetch_add(&found->holders, 1);
	pthread_mutex_unlock(&targets->lock);
	return found;
}

struct serve_target *serve_target_put(struct serve_targets *targets, struct serve_target *target)
{
	if (target && atomic_fetch_sub(&target->holders, 1) == 1)
		free_target(targets, target);
	return NULL;
}

void serve_targets_all(struct serve_targets *targets, struct serve_scope *ret_scope)
{
	pthread_mutex_lock(&targets->lock);
	ret_scope->n = targets->n;
	for (unsigned i = 0; i < targets->n; i++) {
		ret_scope->items[i] = targets->items[i];
		atomic_fetch_add(&targets->items[i]->holders, 1);
	}
	pthread_mutex_unlock(&targets->lock);
}

void serve_scope_one(struct serve_target *target, struct serve_scope *ret_scope)
{
	atomic_fetch_add(&target->holders, 1);
	ret_scope->items[0] = target;
	ret_scope->n = 1;
}

void serve_scope_put(struct serve_targets *targets, struct serve_scope *scope)
{
	for (unsigned i = 0; i < scope->n; i++)
		serve_target_put(targets, scope->items[i]);
	scope->n = 0;
}

void serve_targets_finish(struct serve_targets *targets)
{
	uint64_t until = clock_now_ns() + PUSH_WITHIN;
	struct serve_scope scope;

	serve_targets_all(targets, &scope);
	for (unsigned i = 0; i < scope.n; i++)
		serve_hub_finish(scope.items[i]->hub);
	for (unsigned i = 0; i < scope.n; i++)
		serve_push_finish(scope.items[i]->pusher, until);
	serve_scope_put(targets, &scope);
}

int serve_targets_write_pushes(struct serve_targets *targets, struct sink *sink)
{
	struct push_stats stats;
	struct serve_scope scope;

	if (!targets->options->push.types && !targets->options->push.heap)
		return 0;
	serve_targets_all(targets, &scope);
	pthread_mutex_lock(&targets->lock);
	stats = targets->gone;
	pthread_mutex_unlock(&targets->lock);
	for (unsigned i = 0; i < scope.n; i++) {
		if (scope.items[i]->pusher)
			serve_push_count(scope.items[i]->pusher, &stats);
	}
	serve_scope_put(targets, &scope);
	return serve_push_write(&stats, sink);
}
