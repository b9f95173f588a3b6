/* SPDX-License-Identifier: Apache-2.0 */
#include "session/namer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/map64.h"
#include "base/ring.h"
#include "base/vec.h"
#include "symbol/symbol.h"

#define RING_SIZE (64UL << 10)
/* How long the thread sleeps when nothing is asked. */
#define NAMER_NAP_MS 100
/* A weight of 110 against 1024: kernel/sched/core.c sched_prio_to_weight. */
#define NAMER_NICE 10
#define MAX_BATCH 4096
/* Strings known by their place: then the table begins anew. */
#define MAX_TEXTS (1u << 18)

struct namer_clone {
	struct module *module;
	uint32_t tag;
};

struct namer_image {
	struct process *process; /* owned */
	VEC(struct namer_clone) clones;
};

struct message {
	struct module *module;     /* asked of; NULL: the image ends */
	struct namer_image *image; /* that ends, taken */
	uint64_t pc;
	uint32_t location;
	bool keep;
};

struct namer_problem {
	uint32_t tag;
	char *text; /* owned */
};

struct namer {
	struct ring *ring;
	int wake_fd;
	pthread_t thread;
	bool running;
	_Atomic bool stop;
	_Atomic pid_t tid;

	/* The thread's own, until namer_finish(). */
	struct symbolizer *symbolizer;
	struct profile *names;
	VEC(uint32_t) locations;   /* in names, by location - 1 */
	VEC(struct message) batch; /* taken from the ring, in order of their addresses */
	size_t done;               /* of the batch */
	struct map64 texts;        /* where a string lies → its id in names */
	VEC(struct namer_image *) kept;
	VEC(struct namer_problem) problems;
	uint64_t cpu_ns;
	int result;
};

DEFINE_CLEANUP(struct namer *, namer_free)
DEFINE_CLEANUP(struct namer_image *, namer_image_free)

int namer_image_new(const struct process *process, struct namer_image **ret_image)
{
	_cleanup_(namer_image_free_cleanup) struct namer_image *image = calloc(1, sizeof(*image));
	int r;

	if (!image)
		return err_trace(-ENOMEM);
	r = process_clone(process, &image->process);
	if (r < 0)
		return err_trace(r);
	*ret_image = take_ptr(image);
	return 0;
}

struct namer_image *namer_image_free(struct namer_image *image)
{
	if (!image)
		return NULL;
	for (size_t i = 0; i < image->clones.n; i++)
		module_free(image->clones.items[i].module);
	vec_deinit(&image->clones);
	process_close(image->process);
	free(image);
	return NULL;
}

int namer_image_add(struct namer_image *image, struct module *module, uint32_t tag,
		    struct module **ret_module)
{
	struct namer_clone *slot = vec_push(&image->clones);
	int r = slot ? module_clone(module, image->process, &slot->module) : -ENOMEM;

	if (r < 0) {
		if (slot)
			image->clones.n--;
		return err_trace(r);
	}
	slot->tag = tag;
	*ret_module = slot->module;
	return 0;
}

static int add_text(struct namer *n, const char *text, uint32_t *ret_id)
{
	uint64_t *known;
	int r;

	*ret_id = 0;
	if (!text)
		return 0;
	if (n->texts.n >= MAX_TEXTS)
		map64_clear(&n->texts);
	r = map64_put(&n->texts, (uintptr_t)text, &known);
	if (r < 0)
		return err_trace(r);
	if (!*known) {
		uint32_t id = 0;

		r = profile_string(n->names, text, &id);
		if (r < 0)
			return r;
		*known = id;
	}
	*ret_id = (uint32_t)*known;
	return 0;
}

static int add_lines(struct namer *n, uint32_t location, const struct symbol_lines *lines)
{
	struct profile_line out[SYMBOL_MAX_INLINED];
	uint32_t id;
	int r = 0;

	for (uint32_t i = 0; i < lines->n_lines && r >= 0; i++) {
		const struct symbol_line *line = &lines->lines[i];
		struct profile_function function = {.start_line = line->start_line};

		/* pprof demangles and shortens a name that equals the system name. */
		r = add_text(n, line->system_name, &function.system_name);
		function.name = function.system_name;
		if (r >= 0)
			r = add_text(n, line->file, &function.file);
		if (r >= 0)
			r = profile_function_intern(n->names, &function, &out[i].function);
		out[i].line = line->line;
		out[i].column = line->column;
	}
	if (r < 0 || !lines->n_lines)
		return r;
	r = profile_location_add(n->names, 0, location, out, lines->n_lines, &id);
	while (r >= 0 && n->locations.n < location) {
		if (!vec_push(&n->locations))
			r = -ENOMEM;
	}
	if (r >= 0)
		n->locations.items[location - 1] = id;
	return err_trace(r);
}

static int note_problems(struct namer *n, const struct namer_image *image)
{
	for (size_t i = 0; i < image->clones.n; i++) {
		const char *text = module_problem(image->clones.items[i].module);
		struct namer_problem *problem = text ? vec_push(&n->problems) : NULL;

		if (!text)
			continue;
		if (!problem)
			return err_trace(-ENOMEM);
		problem->tag = image->clones.items[i].tag;
		problem->text = strdup(text);
	}
	return 0;
}

static int end_image(struct namer *n, const struct message *message)
{
	_cleanup_(namer_image_free_cleanup) struct namer_image *image = message->image;
	struct namer_image **slot;
	int r;

	if (message->keep) {
		/* Many are kept: not with descriptors of processes that have ended. */
		if (process_has_ended(image->process))
			process_leave(image->process);
		slot = vec_push(&n->kept);
		if (!slot)
			return err_trace(-ENOMEM);
		*slot = take_ptr(image);
		return 0;
	}
	r = note_problems(n, image);
	for (size_t i = 0; i < image->clones.n; i++)
		symbolizer_forget(n->symbolizer, image->clones.items[i].module);
	/* Other strings may come to lie where those of these modules were. */
	map64_clear(&n->texts);
	return r;
}

static int by_address(const void *left, const void *right)
{
	const struct message *a = left, *b = right;

	if (a->module != b->module)
		return (uintptr_t)a->module < (uintptr_t)b->module ? -1 : 1;
	return (a->pc > b->pc) - (a->pc < b->pc);
}

/* Takes what is asked, up to the end of an image, which must wait for it. Returns whether there is
 * anything more in the ring. */
static bool take_batch(struct namer *n)
{
	const struct message *message;
	size_t size;

	n->done = n->batch.n = 0;
	while (n->result >= 0 && n->batch.n < MAX_BATCH && (message = ring_peek(n->ring, &size))) {
		struct message *slot;

		if (!message->module) {
			if (n->batch.n)
				break;
			n->result = end_image(n, message);
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
	const struct message *message = &n->batch.items[n->done++];
	struct symbol_lines lines;
	int r;

	r = symbolizer_lookup(n->symbolizer, message->module, message->pc, &lines);
	if (r >= 0)
		r = add_lines(n, message->location, &lines);
	if (r < 0)
		n->result = r;
}

static void *namer_main(void *arg)
{
	struct namer *n = arg;
	struct pollfd fd = {.fd = n->wake_fd, .events = POLLIN};
	struct timespec used;

	atomic_store(&n->tid, gettid());
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NAMER_NICE);
	while (!atomic_load(&n->stop) && n->result >= 0) {
		if (n->done < n->batch.n)
			name_next(n);
		else if (!take_batch(n))
			(void)poll(&fd, 1, NAMER_NAP_MS);
	}
	if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used) == 0)
		n->cpu_ns = timespec_ns(used);
	return NULL;
}

int namer_new(bool inlines, struct namer **ret_namer)
{
	_cleanup_(namer_free_cleanup) struct namer *n = calloc(1, sizeof(*n));
	struct profile_spec spec = {};
	int r;

	if (!n)
		return err_trace(-ENOMEM);
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
		const struct message *message;

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
	free(n);
	return NULL;
}

static bool put(struct namer *n, const struct message *message)
{
	struct message *slot = ring_reserve(n->ring, sizeof(*slot));

	if (!slot)
		return false;
	*slot = *message;
	ring_commit(n->ring, sizeof(*slot));
	return true;
}

bool namer_ask(struct namer *n, uint32_t location, struct module *module, uint64_t pc)
{
	return put(n, &(struct message){.module = module, .location = location, .pc = pc});
}

bool namer_end_image(struct namer *n, struct namer_image *take_image, bool keep)
{
	return put(n, &(struct message){.image = take_image, .keep = keep});
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

const struct profile *namer_names(const struct namer *n)
{
	return n->names;
}

uint32_t namer_location(const struct namer *n, uint32_t location)
{
	return location - 1 < n->locations.n ? n->locations.items[location - 1] : 0;
}

uint64_t namer_cpu_ns(const struct namer *n)
{
	return n->cpu_ns;
}

void namer_problems(const struct namer *n,
		    void (*fn)(void *user, uint32_t tag, const char *problem), void *user)
{
	for (size_t i = 0; i < n->problems.n; i++) {
		if (n->problems.items[i].text)
			fn(user, n->problems.items[i].tag, n->problems.items[i].text);
	}
	for (size_t i = 0; i < n->kept.n; i++) {
		const struct namer_image *image = n->kept.items[i];

		for (size_t k = 0; k < image->clones.n; k++) {
			const char *problem = module_problem(image->clones.items[k].module);

			if (problem)
				fn(user, image->clones.items[k].tag, problem);
		}
	}
}
