/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for whom.
 *
 * Each thread waits for one lock at most, and a lock has one owner at most: threads and their
 * owners are chains, and a chain that comes back to one of its threads is a deadlock. It is
 * believed if none of its threads has moved since its stack was read: nobody but an owner gives its
 * lock up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "session/session_dump_priv.h"

/* Each address once. */
static void name_lock(struct dump_maker *m, struct dump_thread *thread)
{
	uint64_t *known;
	int r = map64_put(&m->locks, thread->lock.addr, &known);

	if (r < 0)
		return;
	if (*known) {
		memcpy(thread->lock_name, m->dump.threads.items[*known - 1].lock_name,
		       sizeof(thread->lock_name));
		return;
	}
	*known = (uint64_t)(thread - m->dump.threads.items) + 1;
	session_lock_name(&m->source->lock_finder, thread->lock.addr, thread->lock_name,
			  sizeof(thread->lock_name));
}

void dump_find_lock(struct dump_maker *m, const struct census_thread *from,
		    struct dump_thread *thread)
{
	session_lock_read(&m->source->lock_finder, m->trace, &thread->wait, &thread->lock);
	if (thread->lock.kind == PROCESS_LOCK_NONE)
		return;
	/* What was read may be of another time than its stack. */
	if (!census_is_same(m->census, from))
		thread->lock = (struct process_lock){};
	else if (thread->lock.addr && thread->lock.kind != PROCESS_LOCK_THREAD)
		name_lock(m, thread);
}

static bool is_renamed(const struct dump_maker *m)
{
	pid_t inner = process_inner_tid(m->source->process, m->dump.pid);

	return inner && inner != m->dump.pid;
}

static void find_owners(struct dump_maker *m)
{
	struct dump *dump = &m->dump;

	dump->renamed = is_renamed(m);
	for (size_t i = 0; i < dump->threads.n; i++) {
		struct dump_thread *thread = &dump->threads.items[i];

		thread->inner_tid = dump->renamed
					    ? process_inner_tid(m->source->process, thread->tid)
					    : thread->tid;
	}
	for (size_t i = 0; i < dump->threads.n; i++) {
		struct dump_thread *thread = &dump->threads.items[i];

		for (size_t k = 0; k < dump->threads.n && thread->lock.owner > 0; k++) {
			if (dump->threads.items[k].inner_tid != thread->lock.owner)
				continue;
			thread->owner = (uint32_t)k;
			break;
		}
	}
}

/* The ring that begins and ends at a thread, if all of it stands still; else no threads. */
static struct dump_cycle follow(const struct dump_maker *m, uint32_t first)
{
	struct dump_cycle cycle = {.first = first};
	uint32_t at = first;

	do {
		const struct dump_thread *thread = &m->dump.threads.items[at];

		if (!census_is_same(m->census, census_at(m->census, at)))
			return (struct dump_cycle){.first = first};
		cycle.timed |= thread->lock.timed;
		cycle.n_threads++;
		at = thread->owner;
	} while (at != first);
	return cycle;
}

static int add_cycle(struct dump_maker *m, uint32_t first)
{
	struct dump_cycle cycle = follow(m, first), *slot;
	uint32_t at = first;

	if (!cycle.n_threads)
		return 0;
	slot = vec_push(&m->dump.cycles);
	if (!slot)
		return err_trace(-ENOMEM);
	*slot = cycle;
	do {
		m->dump.threads.items[at].cycle = (uint32_t)m->dump.cycles.n - 1;
		at = m->dump.threads.items[at].owner;
	} while (at != first);
	return 0;
}

/* Every thread is walked over once: by which walk is noted, and a walk that meets its own mark has
 * found a ring. */
static int find_cycles(struct dump_maker *m)
{
	size_t n = m->dump.threads.n;
	_cleanup_free_ uint32_t *walks = calloc(n + 1, sizeof(*walks));
	int r = 0;

	if (!walks)
		return err_trace(-ENOMEM);
	for (uint32_t i = 0; i < n && r >= 0; i++) {
		uint32_t at = i;

		while (at != DUMP_NONE && !walks[at]) {
			walks[at] = i + 1;
			at = m->dump.threads.items[at].owner;
		}
		if (at != DUMP_NONE && walks[at] == i + 1)
			r = add_cycle(m, at);
	}
	return r;
}

int dump_find_deadlocks(struct dump_maker *m)
{
	bool any = false;

	for (size_t i = 0; i < m->dump.threads.n; i++)
		any |= m->dump.threads.items[i].lock.owner > 0;
	if (!any)
		return 0;
	find_owners(m);
	return find_cycles(m);
}
