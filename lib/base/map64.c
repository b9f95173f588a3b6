/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map64.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void map64_deinit(struct map64 *map)
{
	free(map->slots);
	*map = (struct map64){};
}

int map64_clone(const struct map64 *from, struct map64 *ret_map)
{
	struct map64 map = *from;

	if (from->slots) {
		map.slots = malloc((from->mask + 1) * sizeof(*map.slots));
		if (!map.slots)
			return -ENOMEM;
		memcpy(map.slots, from->slots, (from->mask + 1) * sizeof(*map.slots));
	}
	*ret_map = map;
	return 0;
}

void map64_clear(struct map64 *map)
{
	/* MAP64_EMPTY is all ones. */
	if (map->slots)
		memset(map->slots, 0xff, (map->mask + 1) * sizeof(*map->slots));
	map->n = 0;
}

static struct map64_slot *probe(const struct map64 *map, uint64_t key)
{
	size_t i = hash64(key) & map->mask;

	while (map->slots[i].key != MAP64_EMPTY && map->slots[i].key != key)
		i = (i + 1) & map->mask;
	return &map->slots[i];
}

static int grow(struct map64 *map)
{
	size_t size = map->slots ? (map->mask + 1) * 2 : 64;
	struct map64 grown = {.mask = size - 1, .n = map->n};

	grown.slots = malloc(size * sizeof(*grown.slots));
	if (!grown.slots)
		return -ENOMEM;
	memset(grown.slots, 0xff, size * sizeof(*grown.slots));
	for (size_t i = 0; map->slots && i <= map->mask; i++) {
		if (map->slots[i].key != MAP64_EMPTY)
			*probe(&grown, map->slots[i].key) = map->slots[i];
	}
	free(map->slots);
	*map = grown;
	return 0;
}

uint64_t *map64_get(const struct map64 *map, uint64_t key)
{
	struct map64_slot *slot;

	if (!map->slots || key == MAP64_EMPTY)
		return NULL;
	slot = probe(map, key);
	return slot->key == key ? &slot->value : NULL;
}

int map64_put(struct map64 *map, uint64_t key, uint64_t **ret_value)
{
	struct map64_slot *slot;
	int r;

	if (key == MAP64_EMPTY)
		return -EINVAL;
	/* At most three quarters full, so that a probe ends. */
	if (!map->slots || (map->n + 1) * 4 > (map->mask + 1) * 3) {
		r = grow(map);
		if (r < 0)
			return r;
	}
	slot = probe(map, key);
	*ret_value = &slot->value;
	if (slot->key == key)
		return 1;
	slot->key = key;
	slot->value = 0;
	map->n++;
	return 0;
}
