/* SPDX-License-Identifier: Apache-2.0 */
/* The list of threads, those that are blocked, and the thread that does it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "source/census_priv.h"

#define READ_TRIES 5
/* What is copied of a blocked thread at first; of very many less, for our memory's sake. */
#define FIRST_COPY (256 * 1024UL)
#define SMALL_COPY (16 * 1024UL)
#define MANY_BYTES (512UL << 20)
/* Reading the maps takes the target's mmap_lock: for a stack that is not in them, but not always.
 */
#define MAPS_EVERY (20 * NSEC_PER_MSEC)
/* No progress for so long: a page that never comes (userfaultfd, FUSE). */
#define STUCK_AFTER (2 * NSEC_PER_SEC)
#define WATCH_EVERY (100 * NSEC_PER_MSEC)

DEFINE_CLEANUP(struct census *, census_free)

static bool find_stack(struct census *c, uint64_t sp, uint64_t *ret_start, uint64_t *ret_end)
{
	struct process_maps maps = {};
	uint64_t now;

	if (source_stack_bounds(&c->maps, sp, ret_start, ret_end))
		return true;
	now = clock_now_ns();
	if (now - c->maps_at < MAPS_EVERY || process_maps_read(c->process, &maps) < 0)
		return false;
	process_maps_deinit(&c->maps);
	c->maps = maps;
	c->maps_at = now;
	return source_stack_bounds(&c->maps, sp, ret_start, ret_end);
}

struct snapshot *census_snapshot_new(struct census *c, const struct census_thread *thread,
				     uint64_t sp, size_t most, size_t *ret_wanted)
{
	uint64_t start, end = 0, from = 0;
	struct snapshot *snapshot;
	size_t wanted = 0;

	if (find_stack(c, sp, &start, &end)) {
		from = MAX(sp - c->arch->red_zone, start);
		wanted = MIN(end - from, (uint64_t)most);
	}
	snapshot = calloc(1, sizeof(*snapshot) + wanted);
	if (!snapshot)
		return NULL;
	snapshot->kind = SNAPSHOT_STACK;
	snapshot->pid = process_pid(c->process);
	snapshot->tid = thread->tid;
	snapshot->stack_addr = from;
	snapshot->stack_end = end;
	memcpy(snapshot->name, thread->name, sizeof(snapshot->name));
	*ret_wanted = wanted;
	return snapshot;
}

/* Registers and stack of a blocked thread, which may move meanwhile. */
static struct snapshot *copy_blocked(struct census *c, const struct census_thread *thread,
				     size_t most)
{
	const struct process_syscall *call = &thread->call;
	size_t wanted;
	struct snapshot *snapshot = census_snapshot_new(c, thread, call->sp, most, &wanted),
			*fitting;
	ssize_t n;

	if (!snapshot)
		return NULL;
	arch_reg_set(&snapshot->regs, c->arch->pc, call->pc);
	arch_reg_set(&snapshot->regs, c->arch->sp, call->sp);
	snapshot->syscall = call->nr < 0 ? -1 : (int32_t)call->nr;
	n = process_read(c->process, snapshot->stack_addr, snapshot->bytes, wanted);
	snapshot->n_bytes = n > 0 ? (uint32_t)n : 0;
	fitting = realloc(snapshot, snapshot_size(snapshot));
	return fitting ? fitting : snapshot;
}

static bool same_turns(const struct process_turns *a, const struct process_turns *b)
{
	return a->run_ns == b->run_ns && a->slices == b->slices;
}

/* One try. Returns an enum census_read, or -EAGAIN when the thread moved meanwhile. */
static int try_read(struct census *c, struct census_thread *thread)
{
	size_t most = c->bytes > MANY_BYTES ? SMALL_COPY : FIRST_COPY;
	struct snapshot *snapshot;
	struct process_turns after;
	struct process_stat stat;
	int r;

	if (process_turns_read(c->process, thread->tid, &thread->turns) < 0 ||
	    process_thread_stat_read(c->process, thread->tid, &stat) < 0) {
		thread->how = CENSUS_GONE;
		return CENSUS_READ_DONE;
	}
	thread->state = stat.state;
	memcpy(thread->name, stat.name, sizeof(thread->name));
	if (stat.state == 'Z' || stat.state == 'X') {
		thread->how = CENSUS_ENDED;
		return CENSUS_READ_DONE;
	}
	r = process_syscall_read(c->process, thread->tid, &thread->call);
	if (r != 0) {
		thread->how = r == PROCESS_SYSCALL_RUNNING ? CENSUS_UNREAD : CENSUS_GONE;
		return r == PROCESS_SYSCALL_RUNNING ? CENSUS_READ_RUNS : CENSUS_READ_DONE;
	}
	snapshot = copy_blocked(c, thread, most);
	/* Who gave up reads what there is by now. */
	if (atomic_load(&c->gave_up))
		return CENSUS_READ_DONE;
	if (!snapshot) {
		thread->how = CENSUS_NO_MEMORY;
		return CENSUS_READ_DONE;
	}
	r = process_turns_read(c->process, thread->tid, &after);
	if (r < 0 || !same_turns(&thread->turns, &after)) {
		free(snapshot);
		thread->how = r < 0 ? CENSUS_GONE : CENSUS_UNREAD;
		return r < 0 ? CENSUS_READ_DONE : -EAGAIN;
	}
	c->bytes += snapshot->n_bytes;
	thread->snapshot = snapshot;
	thread->how = CENSUS_READ;
	return CENSUS_READ_DONE;
}

int census_read_blocked(struct census *c, struct census_thread *thread)
{
	for (int i = 0; i < READ_TRIES; i++) {
		int r = try_read(c, thread);

		atomic_fetch_add(&c->progress, 1);
		if (r >= 0)
			return r;
	}
	return CENSUS_READ_RUNS;
}

bool census_is_same(const struct census *c, const struct census_thread *thread)
{
	struct process_turns now;

	return thread->how == CENSUS_READ &&
	       process_turns_read(c->process, thread->tid, &now) == 0 &&
	       same_turns(&thread->turns, &now);
}

bool census_read_more(struct census *c, struct census_thread *thread)
{
	struct snapshot *more;

	if (!census_is_same(c, thread))
		return false;
	more = copy_blocked(c, thread, SNAPSHOT_MAX_STACK);
	if (!more || more->n_bytes <= thread->snapshot->n_bytes || !census_is_same(c, thread)) {
		free(more);
		return false;
	}
	free(thread->snapshot);
	thread->snapshot = more;
	return true;
}

static int list_threads(struct census *c)
{
	_cleanup_(process_tasks_deinit) struct process_tasks tasks = {};
	int r = process_tasks_read(c->process, &tasks);

	if (r < 0)
		return r;
	c->stats.n_threads = (uint32_t)tasks.tids.n;
	for (size_t i = 0; i < tasks.tids.n && c->threads.n < CENSUS_MAX_THREADS; i++) {
		struct census_thread *thread;

		if (c->options.tid && tasks.tids.items[i] != c->options.tid)
			continue;
		thread = vec_push(&c->threads);
		if (!thread)
			return err_trace(-ENOMEM);
		thread->tid = tasks.tids.items[i];
		thread->how = CENSUS_UNREAD;
		thread->call.nr = -1;
	}
	if (c->threads.n == 0)
		return -ESRCH;
	return vec_reserve(&c->running, c->threads.n);
}

static void *census_main(void *arg)
{
	struct census *c = arg;

	(void)source_raise_priority();
	for (size_t i = 0; i < c->threads.n && !atomic_load(&c->gave_up); i++) {
		struct census_thread *thread = &c->threads.items[i];

		if (census_read_blocked(c, thread) == CENSUS_READ_RUNS)
			*vec_push(&c->running) = (uint32_t)i;
	}
	census_stop_running(c);
	pthread_mutex_lock(&c->lock);
	c->done = true;
	pthread_cond_signal(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

static bool wait_until(struct census *c, uint64_t until)
{
	struct timespec deadline = ns_timespec(until);
	bool done;

	pthread_mutex_lock(&c->lock);
	while (!c->done && pthread_cond_timedwait(&c->changed, &c->lock, &deadline) != ETIMEDOUT)
		;
	done = c->done;
	pthread_mutex_unlock(&c->lock);
	return done;
}

/* Waits for the thread; false when it is stuck, and then it is left to itself. */
static bool await(struct census *c, pthread_t thread)
{
	uint64_t now = clock_now_ns(), moved_at = now, progress = 0;

	while (!wait_until(c, now + WATCH_EVERY)) {
		uint64_t seen = atomic_load(&c->progress);

		now = clock_now_ns();
		if (seen != progress) {
			progress = seen;
			moved_at = now;
		} else if (now - moved_at > STUCK_AFTER) {
			atomic_store(&c->gave_up, true);
			pthread_detach(thread);
			return false;
		}
	}
	pthread_join(thread, NULL);
	return true;
}

static bool is_other_image(struct census *c)
{
	struct process_mark now;

	process_mark_read(c->process, &now);
	return c->mark.addr && now.addr &&
	       (now.addr != c->mark.addr ||
		memcmp(now.bytes, c->mark.bytes, sizeof(now.bytes)) != 0);
}

static void drop_gone(struct census *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->threads.n; i++) {
		if (c->threads.items[i].how != CENSUS_GONE)
			c->threads.items[kept++] = c->threads.items[i];
	}
	c->threads.n = kept;
}

int census_new(struct process *process, const struct census_options *options,
	       struct census **ret_census)
{
	_cleanup_(census_free_cleanup) struct census *c = calloc(1, sizeof(*c));
	pthread_condattr_t monotonic;
	pthread_t thread;
	int r;

	if (!c)
		return err_trace(-ENOMEM);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	c->process = process;
	c->options = *options;
	c->arch = arch_native();
	process_mark_read(process, &c->mark);
	r = process_maps_read(process, &c->maps);
	c->maps_at = clock_now_ns();
	if (r >= 0)
		r = list_threads(c);
	if (r >= 0)
		r = -pthread_create(&thread, NULL, census_main, c);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : r;
	c->stats.stuck = !await(c, thread);
	c->stats.ended = process_has_ended(process);
	c->stats.exec = !c->stats.ended && is_other_image(c);
	if (!c->stats.stuck)
		drop_gone(c);
	*ret_census = take_ptr(c);
	return 0;
}

struct census *census_free(struct census *c)
{
	if (!c)
		return NULL;
	/* A thread of ours that is stuck still uses it: it goes with the process. */
	if (atomic_load(&c->gave_up))
		return NULL;
	for (size_t i = 0; i < c->threads.n; i++)
		free(c->threads.items[i].snapshot);
	vec_deinit(&c->threads);
	vec_deinit(&c->running);
	process_maps_deinit(&c->maps);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

struct census_thread *census_at(const struct census *c, size_t index)
{
	return &c->threads.items[index];
}

size_t census_count(const struct census *c)
{
	return c->threads.n;
}

const struct census_stats *census_stats(const struct census *c)
{
	return &c->stats;
}
