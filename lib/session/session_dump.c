/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session_dump_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/session_call.h"

/* What a blocked thread waits for; a running one waits for nothing. */
static void describe(struct dump_maker *m, const struct census_thread *from,
		     struct dump_thread *thread)
{
	struct process_syscall call = from->call;

	thread->syscall = -1;
	thread->wait.fd = -1;
	if (from->how != CENSUS_READ && from->how != CENSUS_STOPPED)
		return;
	if (from->snapshot)
		call.nr =
			session_call(m->source->map, from->snapshot->regs.values[arch_native()->pc],
				     (int32_t)call.nr);
	thread->syscall = (int32_t)call.nr;
	if (from->how == CENSUS_READ)
		process_wait_read(m->source->waits, thread->tid, &call, &thread->wait);
}

static int add_thread(struct dump_maker *m, struct census_thread *from)
{
	struct dump_thread *thread = vec_push(&m->dump.threads);
	int r;

	if (!thread)
		return err_trace(-ENOMEM);
	thread->tid = from->tid;
	thread->how = from->how;
	thread->state = from->how == CENSUS_STOPPED || !from->state ? 'R' : from->state;
	memcpy(thread->name, from->name, sizeof(thread->name));
	thread->owner = thread->stack = thread->cycle = DUMP_NONE;
	describe(m, from, thread);
	if (!from->snapshot)
		return 0;
	r = dump_add_stack(m, from, thread);
	if (r >= 0)
		dump_find_lock(m, from, thread);
	return r;
}

static int open_source(struct dump_source *source)
{
	int r = process_open(source->pid, &source->process);

	if (r >= 0)
		r = module_map_new(source->process, &source->map);
	if (r >= 0)
		r = unwinder_new(source->map, arch_native(), &source->unwinder);
	if (r >= 0)
		r = symbolizer_new(source->inlines, &source->symbolizer);
	if (r >= 0)
		r = process_waits_new(source->process, &source->waits);
	source->lock_finder =
		(struct session_locks){.process = source->process, .map = source->map};
	return r;
}

static void close_source(struct dump_source *source)
{
	source->waits = process_waits_free(source->waits);
	source->symbolizer = symbolizer_free(source->symbolizer);
	source->unwinder = unwinder_free(source->unwinder);
	source->map = module_map_free(source->map);
	source->process = process_close(source->process);
}

int dump_source_new(pid_t pid, bool inlines, struct dump_source **ret_source)
{
	struct dump_source *source = calloc(1, sizeof(*source));
	int r;

	if (!source)
		return err_trace(-ENOMEM);
	source->pid = pid;
	source->inlines = inlines;
	r = open_source(source);
	if (r < 0) {
		dump_source_free(source);
		return r == -ENOMEM ? err_trace(r) : r;
	}
	*ret_source = source;
	return 0;
}

struct dump_source *dump_source_free(struct dump_source *source)
{
	if (!source || source->stuck)
		return NULL;
	close_source(source);
	free(source);
	return NULL;
}

/* What it has mapped by now. */
static int refresh(struct dump_maker *m)
{
	struct dump_source *source = m->source;
	struct process_stat stat;
	int r = process_stat_read(source->process, &stat);

	if (r < 0)
		return r;
	memcpy(m->dump.name, stat.name, sizeof(m->dump.name));
	r = module_map_refresh(source->map);
	/* Another program, maybe, of which nothing that is known holds. */
	if (r == MODULE_REFRESH_REPLACED) {
		close_source(source);
		r = open_source(source);
		r = r < 0 ? r : module_map_refresh(source->map);
	}
	/* Before the threads: its files cannot be had any more if it ends. */
	for (uint32_t i = 0; r >= 0 && i < module_map_count(source->map); i++)
		(void)module_is_elf(module_map_at(source->map, i)->module);
	return r;
}

static int make(struct dump_maker *m, pid_t tid)
{
	struct census_options options = {.tid = tid};
	int r = refresh(m);

	if (r >= 0)
		r = intern_new(&m->stacks);
	if (r >= 0) {
		m->dump.time_ns = clock_wall_ns();
		r = census_new(m->source->process, &options, &m->census);
	}
	if (r < 0)
		return r;
	m->dump.census = *census_stats(m->census);
	m->source->stuck = m->dump.census.stuck;
	for (size_t i = 0; i < census_count(m->census) && r >= 0; i++)
		r = add_thread(m, census_at(m->census, i));
	if (r >= 0)
		r = dump_find_deadlocks(m);
	m->dump.census.ended |= process_has_ended(m->source->process);
	return r;
}

int dump_make(struct dump_source *source, pid_t tid, struct dump **ret_dump)
{
	_cleanup_free_ struct dump_maker *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_trace(-ENOMEM);
	if (source->stuck)
		return err_trace(-EBUSY);
	m->source = source;
	m->dump.pid = source->pid;
	m->trace = malloc(sizeof(*m->trace));
	r = m->trace ? make(m, tid) : -ENOMEM;
	if (r < 0) {
		dump_free(&take_ptr(m)->dump);
		return r == -ENOMEM ? err_trace(r) : r;
	}
	*ret_dump = &take_ptr(m)->dump;
	return 0;
}

int dump_new(pid_t pid, const struct dump_options *options, struct dump **ret_dump)
{
	struct dump_source *source;
	int r = dump_source_new(pid, options->inlines, &source);

	if (r < 0)
		return r;
	r = dump_make(source, options->tid, ret_dump);
	if (r < 0)
		dump_source_free(source);
	else
		((struct dump_maker *)*ret_dump)->owns_source = true;
	return r;
}

struct dump *dump_free(struct dump *dump)
{
	struct dump_maker *m = (struct dump_maker *)dump;

	/* A thread that is stuck still uses the process, and the census. */
	if (!m || dump->census.stuck)
		return NULL;
	census_free(m->census);
	if (m->owns_source)
		dump_source_free(m->source);
	intern_free(m->stacks);
	map64_deinit(&m->places);
	map64_deinit(&m->locks);
	for (size_t i = 0; i < dump->places.n; i++)
		free(dump->places.items[i].lines);
	for (size_t i = 0; i < dump->stacks.n; i++)
		free(dump->stacks.items[i].places);
	vec_deinit(&dump->threads);
	vec_deinit(&dump->stacks);
	vec_deinit(&dump->places);
	vec_deinit(&dump->cycles);
	free(m->trace);
	free(m);
	return NULL;
}

uint32_t dump_count_deadlocks(const struct dump *dump)
{
	uint32_t n = 0;

	for (size_t i = 0; i < dump->cycles.n; i++)
		n += !dump->cycles.items[i].timed;
	for (size_t i = 0; i < dump->threads.n; i++) {
		const struct process_lock *lock = &dump->threads.items[i].lock;

		n += lock->kind == PROCESS_LOCK_REFUSED && !lock->timed;
	}
	return n;
}
