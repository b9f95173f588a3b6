/* SPDX-License-Identifier: Apache-2.0 */
#include "base/intern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/map64.h"
#include "base/vec.h"

#define ARENA_BLOCK (64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	char bytes[];
};

struct entry {
	const char *bytes;
	size_t size;
	uint64_t hash;
};

struct intern {
	struct arena_block *blocks;
	VEC(struct entry) entries;
	uint32_t *slots; /* id + 1, 0 = empty; linear probing */
	size_t mask;
};

int intern_new(struct intern **ret_table)
{
	struct intern *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	*ret_table = table;
	return 0;
}

DEFINE_CLEANUP(struct intern *, intern_free)

int intern_clone(const struct intern *from, struct intern **ret_table)
{
	_cleanup_(intern_free_cleanup) struct intern *table = calloc(1, sizeof(*table));
	size_t size = 0;

	if (!table)
		return -ENOMEM;
	if (!from->entries.n) {
		*ret_table = take_ptr(table);
		return 0;
	}
	for (size_t i = 0; i < from->entries.n; i++)
		size += from->entries.items[i].size + 1;
	/* All of it in one block. */
	table->blocks = malloc(sizeof(*table->blocks) + size);
	table->slots = malloc((from->mask + 1) * sizeof(*table->slots));
	if (table->blocks)
		*table->blocks = (struct arena_block){.size = size, .used = size};
	if (!table->blocks || !table->slots || vec_reserve(&table->entries, from->entries.n) < 0)
		return -ENOMEM;
	memcpy(table->slots, from->slots, (from->mask + 1) * sizeof(*table->slots));
	table->mask = from->mask;
	size = 0;
	for (size_t i = 0; i < from->entries.n; i++) {
		const struct entry *entry = &from->entries.items[i];
		char *copy = table->blocks->bytes + size;

		memcpy(copy, entry->bytes, entry->size + 1);
		table->entries.items[i] = (struct entry){copy, entry->size, entry->hash};
		size += entry->size + 1;
	}
	table->entries.n = from->entries.n;
	*ret_table = take_ptr(table);
	return 0;
}

struct intern *intern_free(struct intern *table)
{
	if (!table)
		return NULL;
	while (table->blocks) {
		struct arena_block *next = table->blocks->next;

		free(table->blocks);
		table->blocks = next;
	}
	vec_deinit(&table->entries);
	free(table->slots);
	free(table);
	return NULL;
}

/* FNV-1a, its weak low bits mixed afterwards. */
static uint64_t hash_bytes(const unsigned char *bytes, size_t size)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (size_t i = 0; i < size; i++)
		h = (h ^ bytes[i]) * 0x100000001b3ULL;
	return hash64(h);
}

static char *arena_copy(struct intern *table, const void *bytes, size_t size)
{
	struct arena_block *block = table->blocks;
	char *copy;

	if (!block || block->size - block->used < size + 1) {
		size_t room = size + 1 > ARENA_BLOCK ? size + 1 : ARENA_BLOCK;

		block = malloc(sizeof(*block) + room);
		if (!block)
			return NULL;
		block->used = 0;
		block->size = room;
		block->next = table->blocks;
		table->blocks = block;
	}
	copy = block->bytes + block->used;
	if (size)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	block->used += size + 1;
	return copy;
}

static int rehash(struct intern *table)
{
	size_t size = table->slots ? (table->mask + 1) * 2 : 256;
	uint32_t *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t id = 0; id < table->entries.n; id++) {
		size_t i = table->entries.items[id].hash & (size - 1);

		while (slots[i])
			i = (i + 1) & (size - 1);
		slots[i] = (uint32_t)id + 1;
	}
	free(table->slots);
	table->slots = slots;
	table->mask = size - 1;
	return 0;
}

int intern_put(struct intern *table, const void *bytes, size_t size, uint32_t *ret_id)
{
	uint64_t hash = hash_bytes(bytes, size);
	struct entry *entry;
	const char *copy;
	size_t i;
	int r;

	if (!table->slots || (table->entries.n + 1) * 2 > table->mask + 1) {
		r = rehash(table);
		if (r < 0)
			return r;
	}
	for (i = hash & table->mask; table->slots[i]; i = (i + 1) & table->mask) {
		entry = &table->entries.items[table->slots[i] - 1];
		if (entry->hash == hash && entry->size == size &&
		    (size == 0 || memcmp(entry->bytes, bytes, size) == 0)) {
			*ret_id = table->slots[i] - 1;
			return 1;
		}
	}
	if (table->entries.n >= UINT32_MAX - 1)
		return -ENOMEM;
	copy = arena_copy(table, bytes, size);
	if (!copy)
		return -ENOMEM;
	entry = vec_push(&table->entries);
	if (!entry)
		return -ENOMEM;
	*entry = (struct entry){copy, size, hash};
	table->slots[i] = (uint32_t)table->entries.n;
	*ret_id = (uint32_t)table->entries.n - 1;
	return 0;
}

const void *intern_get(const struct intern *table, uint32_t id, size_t *ret_size)
{
	const struct entry *entry = &table->entries.items[id];

	if (ret_size)
		*ret_size = entry->size;
	return entry->bytes;
}

uint32_t intern_count(const struct intern *table)
{
	return (uint32_t)table->entries.n;
}
