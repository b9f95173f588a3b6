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

/* Called by the agent, whom the dynamic linker does not know, a function that looks at its caller
 * takes the main program for it (glibc 2.36, elf/dl-open.c). Is that the same for this module? */
static bool is_like_main(const struct inject *inject, const struct inject_module *m)
{
	const struct inject_module *main = inject_module_main(inject);
	bool loaded = false;

	if (m == main)
		return true;
	for (size_t i = 0; i < inject->order.n; i++)
		loaded |= inject->order.items[i] == m;
	return main && loaded && !main->has_path && !m->has_path;
}

/* Is this implementation one that is to be wrapped? */
static bool is_wanted(struct inject *inject, const struct inject_module *from,
		      const struct inject_module *of, int name)
{
	switch (inject->names.items.items[name].when) {
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
	case INJECT_CUSTOM:
		return true;
	case INJECT_AS_MAIN:
		if (is_like_main(inject, from))
			return true;
		inject->stats.n_left_out++;
		return false;
	}
	/* glibc's own functions get their memory through its own slots; none of those that are
	 * wrapped does (malloc/malloc.c, 2.36). musl's calloc(3) does. */
	return of != from || of->is_glibc;
}

static bool has_actions(const struct agent_entry *entry)
{
	return entry->actions[0].what != AGENT_NOTHING;
}

/* The stub of an entry, which may be there already; 0: there are no more. What a custom one does is
 * told anew each time, and other stubs of its function are left over from before. */
static uint64_t stub_of(struct inject *inject, const struct agent_entry *wanted)
{
	struct agent_table *table = &inject->table;
	uint32_t at;

	for (at = 0; at < table->n_entries; at++) {
		const struct agent_entry *entry = &table->entries[at];

		if (entry->original == wanted->original && entry->handler == wanted->handler &&
		    entry->sampled == wanted->sampled && entry->kind == wanted->kind &&
		    (!has_actions(entry) ||
		     memcmp(entry->actions, wanted->actions, sizeof(entry->actions)) == 0))
			break;
	}
	if (at == AGENT_MAX_ENTRIES)
		return 0;
	table->entries[at] = *wanted;
	table->n_entries = MAX(table->n_entries, at + 1);
	return inject->code + agent_places.stubs + AGENT_STUB_SIZE * at;
}

/* The stub of an implementation; 0: there is none, or no more. of: NULL for a probe. */
static uint64_t stub_for(struct inject *inject, const struct inject_module *of, int name,
			 uint64_t original)
{
	const struct inject_name *what = &inject->names.items.items[name];
	struct agent_entry entry = {.original = original,
				    .handler = inject->code + inject_name_handler(what),
				    .sampled = original,
				    .kind = what->kind,
				    .size = what->size};

	if (what->nothrow) {
		entry.sampled = of->exports[inject_name_find(&inject->names, what->nothrow)];
		if (!entry.sampled)
			return 0;
	}
	memcpy(entry.actions, what->actions, sizeof(entry.actions));
	return stub_of(inject, &entry);
}

static bool plan_probe(struct inject *inject, struct inject_slot *slot)
{
	if (slot->old)
		return false;
	slot->new = stub_for(inject, NULL, slot->name, inject->code + agent_places.back);
	slot->wanted = slot->new != 0;
	return slot->wanted;
}

static bool is_code(const struct inject *inject, uint64_t addr)
{
	const struct process_mapping *m = process_maps_find(&inject->maps, addr);

	return m && m->exec;
}

static bool plan_slot(struct inject *inject, struct inject_module *m, struct inject_slot *slot)
{
	const struct inject_module *of;
	uint64_t original;

	slot->wanted = false;
	if (slot->name < 0 || process_read(inject->process, slot->addr, &slot->old, 8) != 8 ||
	    is_ours(inject, slot->old))
		return false;
	if (inject->names.items.items[slot->name].kind == AGENT_PROBE)
		return plan_probe(inject, slot);
	if (!slot->old)
		return false;
	original = slot->old;
	if (slot->lazy && !slot->defined && inject_module_at(inject, original) == m)
		original = inject_resolve(inject, slot->name);
	else if (is_canonical(inject, slot->name, original))
		return false;
	of = original ? inject_module_at(inject, original) : NULL;
	if (!original)
		inject->stats.n_unresolved++;
	if (!of || !is_code(inject, original) || !is_wanted(inject, m, of, slot->name))
		return false;
	slot->new = stub_for(inject, of, slot->name, original);
	slot->wanted = slot->new != 0;
	return slot->wanted;
}

unsigned inject_plan(struct inject *inject)
{
	unsigned n = 0;

	inject->stats.n_unresolved = inject->stats.n_left_out = 0;
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
			const struct agent_entry *entry;

			slot->wanted = false;
			if (!m->mapped ||
			    process_read(inject->process, slot->addr, &slot->old, 8) != 8 ||
			    !is_ours(inject, slot->old))
				continue;
			entry = &inject->table
					 .entries[(slot->old - inject->code - agent_places.stubs) /
						  AGENT_STUB_SIZE];
			slot->new = entry->kind == AGENT_PROBE ? 0 : entry->original;
			slot->wanted = entry->original != 0;
			n += slot->wanted;
		}
	}
	return n;
}

int inject_find_left(struct inject *inject)
{
	for (size_t i = 0; i < inject->modules.n; i++) {
		struct inject_module *m = inject->modules.items[i];

		for (size_t k = 0; k < m->others.n && m->mapped; k++) {
			struct inject_slot *slot;
			uint64_t found;

			if (process_read(inject->process, m->others.items[k], &found, 8) != 8 ||
			    !is_ours(inject, found))
				continue;
			slot = vec_push(&m->slots);
			if (!slot)
				return err_trace(-ENOMEM);
			slot->addr = m->others.items[k];
			slot->name = -1;
		}
	}
	return 0;
}

/* The very code that this cprof would map? */
static bool is_same_code(struct inject *inject, uint64_t code)
{
	_cleanup_free_ uint8_t *bytes = malloc(agent_image_size);

	return bytes &&
	       process_read(inject->process, code, bytes, agent_image_size) ==
		       (ssize_t)agent_image_size &&
	       memcmp(bytes + AGENT_TABLE_SIZE, agent_image + AGENT_TABLE_SIZE,
		      agent_image_size - AGENT_TABLE_SIZE) == 0;
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
