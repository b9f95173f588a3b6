/* SPDX-License-Identifier: Apache-2.0 */
/* The thread and its queue; namer.h tells who owns what. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/namer_priv.h"

#define RING_SIZE (64UL << 10)
/* How long the thread sleeps when nothing is asked. */
#define NAMER_NAP_MS 100
/* A weight of 110 against 1024: kernel/sched/core.c sched_prio_to_weight. */
#define NAMER_NICE 10
/* While somebody waits for it: the consumer's. */
#define AWAITED_NICE (-10)
#define MAX_BATCH 4096
#define AWAIT_LOOK (2 * NSEC_PER_MSEC)

DEFINE_CLEANUP(struct namer *, namer_free)

static int by_address(const void *left, const void *right)
{
	const struct namer_message *a = left, *b = right;

	if (a->module != b->module)
		return (uintptr_t)a->module < (uintptr_t)b->module ? -1 : 1;
	return (a->pc > b->pc) - (a->pc < b->pc);
}

/* Takes what is asked, up to the end of an image, which must wait for it. Returns whether there is
 * anything to name. */
static bool take_batch(struct namer *n)
{
	const struct namer_message *message;
	size_t size;

	n->done = n->batch.n = 0;
	while (n->result >= 0 && n->batch.n < MAX_BATCH && (message = ring_peek(n->ring, &size))) {
		struct namer_message *slot;

		if (!message->module) {
			if (n->batch.n)
				break;
			n->result = namer_drop_image(n, message->image, message->keep);
			ring_pop(n->ring);
			continue;
		}
		slot = vec_push(&n->batch);
		if (!slot) {
			n->result = -ENOMEM;
			break;
		}
		*slot = *message;
		ring_pop(n->ring);
	}
	/* Neighbours share what has to be read for them, and pages of the file. */
	if (n->batch.n)
		qsort(n->batch.items, n->batch.n, sizeof(*n->batch.items), by_address);
	return n->batch.n > 0;
}

static void name_next(struct namer *n)
{
	const struct namer_message *message = &n->batch.items[n->done++];
	struct symbol_lines lines;
	int r;

	r = symbolizer_lookup(n->symbolizer, message->module, message->pc, &lines);
	if (r >= 0)
		r = namer_add_lines(n, message->location, &lines);
	if (r < 0)
		n->result = r;
	atomic_fetch_add(&n->named, 1);
}

static void nap(struct namer *n)
{
	struct pollfd fd = {.fd = n->wake_fd, .events = POLLIN};
	eventfd_t ignored;

	if (poll(&fd, 1, NAMER_NAP_MS) > 0)
		(void)eventfd_read(n->wake_fd, &ignored);
}

static void *namer_main(void *arg)
{
	struct namer *n = arg;

	atomic_store(&n->tid, gettid());
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NAMER_NICE);
	while (!atomic_load(&n->stop) && n->result >= 0) {
		if (n->done < n->batch.n)
			name_next(n);
		else if (!take_batch(n))
			nap(n);
	}
	n->cpu_ns = clock_thread_cpu_ns();
	pthread_mutex_lock(&n->lock);
	atomic_store(&n->tid, 0);
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

int namer_new(bool inlines, struct namer **ret_namer)
{
	_cleanup_(namer_free_cleanup) struct namer *n = calloc(1, sizeof(*n));
	struct profile_spec spec = {};
	int r;

	if (!n)
		return err_trace(-ENOMEM);
	n->inlines = inlines;
	pthread_mutex_init(&n->lock, NULL);
	n->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (n->wake_fd < 0)
		return err_trace(err_errno());
	r = ring_new(RING_SIZE, &n->ring);
	if (r >= 0)
		r = symbolizer_new(inlines, &n->symbolizer);
	if (r >= 0)
		r = profile_new(&spec, &n->names);
	if (r >= 0)
		r = -pthread_create(&n->thread, NULL, namer_main, n);
	if (r < 0)
		return err_trace(r);
	n->running = true;
	*ret_namer = take_ptr(n);
	return 0;
}

struct namer *namer_free(struct namer *n)
{
	size_t size;

	if (!n)
		return NULL;
	namer_finish(n);
	if (n->ring) {
		const struct namer_message *message;

		while ((message = ring_peek(n->ring, &size))) {
			namer_image_free(message->image);
			ring_pop(n->ring);
		}
	}
	symbolizer_free(n->symbolizer);
	for (size_t i = 0; i < n->kept.n; i++)
		namer_image_free(n->kept.items[i]);
	for (size_t i = 0; i < n->problems.n; i++)
		free(n->problems.items[i].text);
	vec_deinit(&n->kept);
	vec_deinit(&n->problems);
	vec_deinit(&n->locations);
	vec_deinit(&n->batch);
	map64_deinit(&n->texts);
	profile_free(n->names);
	ring_free(n->ring);
	if (n->wake_fd >= 0)
		close(n->wake_fd);
	pthread_mutex_destroy(&n->lock);
	free(n);
	return NULL;
}

static bool put(struct namer *n, const struct namer_message *message)
{
	struct namer_message *slot = ring_reserve(n->ring, sizeof(*slot));

	if (!slot)
		return false;
	*slot = *message;
	ring_commit(n->ring, sizeof(*slot));
	if (message->module)
		atomic_fetch_add(&n->asked, 1);
	return true;
}

bool namer_ask(struct namer *n, uint32_t location, struct module *module, uint64_t pc)
{
	return put(n, &(struct namer_message){.module = module, .location = location, .pc = pc});
}

bool namer_end_image(struct namer *n, struct namer_image *take_image, bool keep)
{
	return put(n, &(struct namer_message){.image = take_image, .keep = keep});
}

/* Somebody waits for it, or nobody any more. Without the right to raise a priority it stays low. */
static void await(struct namer *n, int by)
{
	pid_t tid;

	pthread_mutex_lock(&n->lock);
	n->awaiting += (unsigned)by;
	tid = atomic_load(&n->tid);
	if (tid && n->awaiting == (by > 0 ? 1 : 0))
		(void)setpriority(PRIO_PROCESS, (id_t)tid, by > 0 ? AWAITED_NICE : NAMER_NICE);
	pthread_mutex_unlock(&n->lock);
}

bool namer_await(struct namer *n, uint64_t until, bool urgent)
{
	struct timespec look = ns_timespec(AWAIT_LOOK);
	uint64_t asked = atomic_load(&n->asked);

	if (urgent)
		await(n, 1);
	(void)eventfd_write(n->wake_fd, 1);
	while (atomic_load(&n->named) < asked && atomic_load(&n->tid) && clock_now_ns() < until)
		(void)nanosleep(&look, NULL);
	if (urgent)
		await(n, -1);
	return atomic_load(&n->named) >= asked;
}

void namer_finish(struct namer *n)
{
	pid_t tid = atomic_load(&n->tid);

	if (!n->running)
		return;
	atomic_store(&n->stop, true);
	/* Without the right to raise a priority it takes the longer for the address it is at. */
	if (tid)
		(void)setpriority(PRIO_PROCESS, (id_t)tid, 0);
	(void)eventfd_write(n->wake_fd, 1);
	pthread_join(n->thread, NULL);
	n->running = false;
}

int namer_rest(struct namer *n)
{
	do {
		while (n->result >= 0 && n->done < n->batch.n)
			name_next(n);
	} while (n->result >= 0 && take_batch(n));
	return err_trace(n->result);
}

uint64_t namer_cpu_ns(const struct namer *n)
{
	return n->cpu_ns;
}
