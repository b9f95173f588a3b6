/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A day of cprof serve --continuous, as fast as it goes.
 *
 *	continuous PID HOURS
 *
 * Samples the process for some seconds, all types at 100 Hz, and keeps the snapshots. Then gives
 *them to a session again and again, every 500 ticks of which make a piece, as they do in five
 *seconds. The threads are others every second: they have other ids and names. A reader takes what
 *came every two minutes. Prints a line "HOUR KIB" of its own memory for each hour, and at the end
 *"ticks PER_SECOND".
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/queue.h"
#include "base/vec.h"
#include "module/module.h"
#include "serve/serve_pieces.h"
#include "session/session_priv.h"

#define HZ 100
#define TYPES (SAMPLER_CPU | SAMPLER_WALL | SAMPLER_BLOCK | SAMPLER_MUTEX)
#define SAMPLED_NS (3 * NSEC_PER_SEC)
#define TICK_NS (NSEC_PER_SEC / HZ)
#define TICKS_PER_PIECE 500
#define PIECES_PER_READ 24

struct recorded {
	VEC(struct snapshot *) items;
	uint64_t begun_at;
};

static void check(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "continuous: %s: %s\n", what, strerror(-r));
	exit(2);
}

static void keep(struct recorded *recorded, struct queue *queue)
{
	const struct snapshot *snapshot;
	size_t size;

	while ((snapshot = queue_peek(queue, &size))) {
		struct snapshot **slot = vec_push(&recorded->items);

		if (!slot || !(*slot = malloc(size)))
			exit(2);
		memcpy(*slot, snapshot, size);
		queue_pop(queue);
	}
}

static void record(pid_t pid, struct recorded *recorded)
{
	static struct sampler_shared shared;
	struct sampler_options options = {.pid = pid,
					  .hz = HZ,
					  .duration_ns = SAMPLED_NS,
					  .types = TYPES,
					  .stop_fd = -1,
					  .suspend_fd = -1,
					  .types_fd = -1,
					  .types_done_fd = -1};
	struct sampler *sampler;
	struct queue *queue;

	options.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(queue_new(64UL << 20, 64UL << 20, &queue), "queue_new");
	check(sampler_new(&options, queue, &shared, &sampler), "sampler_new");
	recorded->begun_at = clock_now_ns();
	check(sampler_run(sampler), "sampler_run");
	keep(recorded, queue);
	sampler_free(sampler);
	queue_free(queue);
	close(options.wake_fd);
}

/* As if a thread of another life had it. */
static void put(struct session *s, const struct snapshot *recorded, uint64_t life)
{
	size_t size = snapshot_size(recorded);
	struct snapshot *snapshot;

	while (!(snapshot = queue_reserve(s->queue, size))) {
		(void)eventfd_write(s->wake_fd, 1);
		sched_yield();
	}
	memcpy(snapshot, recorded, size);
	snapshot->time_ns = clock_now_ns();
	if (snapshot->tid) {
		snapshot->tid = 100000 + (int)(life * 1000 % 4000000) + snapshot->tid % 1000;
		snprintf(snapshot->name, sizeof(snapshot->name), "worker %llu",
			 (unsigned long long)life);
	}
	queue_commit(s->queue, size);
}

/* The snapshots of one tick; back to the first behind the last. */
static void put_tick(struct session *s, const struct recorded *recorded, uint64_t tick)
{
	static size_t at;
	uint64_t until = recorded->begun_at + (tick % (SAMPLED_NS / TICK_NS) + 1) * TICK_NS;

	if (tick % (SAMPLED_NS / TICK_NS) == 0)
		at = 0;
	while (at < recorded->items.n && recorded->items.items[at]->time_ns < until) {
		/* The image goes on; what is an end of it is one of the sampler only. */
		if (recorded->items.items[at]->kind != SNAPSHOT_IMAGE_ENDS)
			put(s, recorded->items.items[at], tick / HZ);
		at++;
	}
}

static uint64_t memory_kib(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[256];
	unsigned long kib = 0;

	while (file && fgets(line, sizeof(line), file) && sscanf(line, "RssAnon: %lu", &kib) != 1)
		;
	if (file)
		fclose(file);
	return kib;
}

static void replay(struct session *session, const struct recorded *recorded, uint64_t hours)
{
	struct serve_pieces pieces = {};
	struct serve_reader reader;
	uint64_t begun = clock_now_ns(), tick = 0, n = 0;
	struct profile *profile;

	check(serve_pieces_init(&pieces, session, 0), "serve_pieces_init");
	check(serve_reader_begin(&reader, &pieces, SAMPLER_CPU), "serve_reader_begin");
	printf("0 %lu\n", (unsigned long)memory_kib());
	while (tick < hours * 3600 * HZ) {
		put_tick(session, recorded, tick++);
		if (tick % TICKS_PER_PIECE == 0) {
			check(serve_pieces_take(&pieces), "serve_pieces_take");
			if (++n % PIECES_PER_READ == 0) {
				check(serve_reader_take(&reader, &profile), "serve_reader_take");
				profile_free(profile);
			}
		}
		if (tick % (3600 * HZ) == 0) {
			printf("%lu %lu\n", (unsigned long)(tick / (3600 * HZ)),
			       (unsigned long)memory_kib());
			fflush(stdout);
		}
	}
	printf("ticks %.0f\n", (double)tick / ((double)(clock_now_ns() - begun) / 1e9));
	check(serve_pieces_total(&pieces, SAMPLER_BLOCK, &profile), "serve_pieces_total");
	printf("total %u\n", profile_n_samples(profile));
	profile_free(profile);
	serve_reader_end(&reader);
	serve_pieces_deinit(&pieces);
}

static void *run(void *session)
{
	check(session_run(session), "session_run");
	return NULL;
}

int main(int argc, char **argv)
{
	struct session_options options = {.sampler = {.hz = HZ,
						      .types = TYPES | SAMPLER_CREATE,
						      .on_demand = true,
						      .suspend_fd = -1},
					  .inlines = true};
	struct recorded recorded = {};
	struct session *session;
	uint64_t pid, hours;
	pthread_t thread;
	sigset_t signals;

	if (argc != 3 || parse_u64(argv[1], 1, INT32_MAX, &pid) < 0 ||
	    parse_u64(argv[2], 1, 1000, &hours) < 0) {
		fputs("usage: continuous PID HOURS\n", stderr);
		return 64;
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	check(module_sigbus_guard(), "module_sigbus_guard");
	record((pid_t)pid, &recorded);
	options.sampler.pid = (pid_t)pid;
	options.sampler.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	check(session_new(&options, &session), "session_new");
	check(-pthread_create(&thread, NULL, run, session), "pthread_create");
	while (!atomic_load(&session->begun_at))
		sched_yield();
	replay(session, &recorded, hours);
	session_abandon(session);
	(void)eventfd_write(options.sampler.stop_fd, 1);
	pthread_join(thread, NULL);
	session_free(session);
	close(options.sampler.stop_fd);
	for (size_t i = 0; i < recorded.items.n; i++)
		free(recorded.items.items[i]);
	vec_deinit(&recorded.items);
	return 0;
}
