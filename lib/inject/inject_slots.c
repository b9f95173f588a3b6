/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which slots are pointed at the agent, and back.
 *
 * A call is to pass the agent once. So left alone are: operator new of a library that gets its
 * memory from malloc(3); an allocator's own slots that lead back into it; and slots that hold the
 * address of an entry in the linkage table of the program, from where the call goes through the
 * slot behind it.
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inject/inject_priv.h"

static bool is_ours(const struct inject *inject, uint64_t addr)
{
	return inject->code && addr >= inject->code + agent_places.stubs &&
	       addr < inject->code + agent_places.stubs + AGENT_STUB_SIZE * AGENT_MAX_ENTRIES;
}

static bool is_canonical(const struct inject *inject, int name, uint64_t addr)
{
	for (size_t i = 0; i < inject->modules.n; i++) {
		const struct inject_module *m = inject->modules.items[i];

		if (m->mapped && m->canonical[name] == addr)
			return true;
	}
	return false;
}

/* Is this implementation one that is to be wrapped? */
static bool is_wanted(const struct inject_module *from, const struct inject_module *of, int name)
{
	switch (inject_names[name].when) {
	case INJECT_ALWAYS:
		break;
	case INJECT_WITH_MALLOC:
		if (!of->defines_malloc)
			return false;
		break;
	case INJECT_NOT_FROM_LIBC:
		if (of->is_libc)
			return false;
		break;
	}
	/* glibc's own functions get their memory through its own slots; none of those that are
	 * wrapped does (malloc/malloc.c, 2.36). musl's calloc(3) does. */
	return of != from || of->is_glibc;
}

/* The stub of an implementation, made if it is new; 0: there is none, or no more. */
static uint64_t stub_for(struct inject *inject, const struct inject_module *of, int name,
			 uint64_t original)
{
	const struct inject_name *what = &inject_names[name];
	struct agent_table *table = &inject->table;
	uint64_t handler = inject->code + inject_name_handler(what), sampled = original;
	uint32_t at;

	if (what->nothrow) {
		sampled = of->exports[inject_name_find(what->nothrow)];
		if (!sampled)
			return 0;
	}
	for (at = 0; at < table->n_entries; at++) {
		const struct agent_entry *entry = &table->entries[at];

		if (entry->original == original && entry->handler == handler &&
		    entry->sampled == sampled && entry->kind == what->kind)
			break;
	}
	if (at == AGENT_MAX_ENTRIES)
		return 0;
	if (at == table->n_entries)
		table->entries[table->n_entries++] = (struct agent_entry){.original = original,
									  .handler = handler,
									  .sampled = sampled,
									  .kind = what->kind,
									  .size = what->size};
	return inject->code + agent_places.stubs + AGENT_STUB_SIZE * at;
}

static bool plan_slot(struct inject *inject, struct inject_module *m, struct inject_slot *slot)
{
	const struct inject_module *of;
	uint64_t original;

	slot->wanted = false;
	if (process_read(inject->process, slot->addr, &slot->old, 8) != 8 || !slot->old ||
	    is_ours(inject, slot->old))
		return false;
	original = slot->old;
	if (slot->lazy && !slot->defined && inject_module_at(inject, original) == m)
		original = inject_resolve(inject, slot->name);
	else if (is_canonical(inject, slot->name, original))
		return false;
	of = original ? inject_module_at(inject, original) : NULL;
	if (!original)
		inject->stats.n_unresolved++;
	if (!of || !is_wanted(m, of, slot->name))
		return false;
	slot->new = stub_for(inject, of, slot->name, original);
	slot->wanted = slot->new != 0;
	return slot->wanted;
}

unsigned inject_plan(struct inject *inject)
{
	unsigned n = 0;

	inject->stats.n_unresolved = 0;
	for (size_t i = 0; i < inject->modules.n; i++) {
		struct inject_module *m = inject->modules.items[i];

		for (size_t k = 0; k < m->slots.n; k++)
			n += m->mapped && plan_slot(inject, m, &m->slots.items[k]);
	}
	return n;
}

unsigned inject_plan_back(struct inject *inject)
{
	unsigned n = 0;

	for (size_t i = 0; i < inject->modules.n; i++) {
		struct inject_module *m = inject->modules.items[i];

		for (size_t k = 0; k < m->slots.n; k++) {
			struct inject_slot *slot = &m->slots.items[k];
			uint64_t at;

			slot->wanted = false;
			if (!m->mapped ||
			    process_read(inject->process, slot->addr, &slot->old, 8) != 8 ||
			    !is_ours(inject, slot->old))
				continue;
			at = (slot->old - inject->code - agent_places.stubs) / AGENT_STUB_SIZE;
			slot->new = inject->table.entries[at].original;
			slot->wanted = slot->new != 0;
			n += slot->wanted;
		}
	}
	return n;
}

/* The very code that this cprof would map? */
static bool is_same_code(struct inject *inject, uint64_t code)
{
	_cleanup_free_ uint8_t *bytes = malloc(agent_image_size);

	return bytes &&
	       process_read(inject->process, code, bytes, agent_image_size) ==
		       (ssize_t)agent_image_size &&
	       memcmp(bytes + AGENT_PAGE, agent_image + AGENT_PAGE,
		      agent_image_size - AGENT_PAGE) == 0;
}

static bool read_table(struct inject *inject, uint64_t code, struct agent_table *ret_table)
{
	return process_read(inject->process, code, ret_table, sizeof(*ret_table)) ==
		       (ssize_t)sizeof(*ret_table) &&
	       memcmp(ret_table->magic, AGENT_MAGIC, strlen("cprof agent ")) == 0;
}

int inject_find_agent(struct inject *inject)
{
	static const char magic[sizeof(inject->table.magic)] = AGENT_MAGIC;
	struct agent_table table;

	for (size_t i = 0; i < inject->maps.mappings.n; i++) {
		const struct process_mapping *m = &inject->maps.mappings.items[i];

		if (m->inode || !m->exec || m->write || !read_table(inject, m->start, &table))
			continue;
		if (memcmp(table.magic, magic, sizeof(magic)) == 0 &&
		    table.n_entries <= AGENT_MAX_ENTRIES && is_same_code(inject, m->start)) {
			inject->code = m->start;
			inject->table = table;
		} else if (table.wire) {
			return INJECT_OTHER_AGENT;
		}
		/* Else it is one that was taken out of use, and passes calls on. */
	}
	return INJECT_OK;
}
