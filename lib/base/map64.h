/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash table from uint64_t to uint64_t: open addressing, linear probing, no deletion.
 *
 * Every key but MAP64_EMPTY can be stored. Not thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MAP64_EMPTY UINT64_MAX

struct map64_slot {
	uint64_t key, value;
};

struct map64 {
	struct map64_slot *slots; /* NULL while empty */
	size_t n, mask;
};

/** The empty map is all zeroes; there is no init. Releases the slots and empties the map. */
void map64_deinit(struct map64 *map);

/** Forgets every key and keeps the memory. */
void map64_clear(struct map64 *map);

/** Makes a map with the same keys and values. Returns 0 or -ENOMEM. */
int map64_clone(const struct map64 *from, struct map64 *ret_map);

/** The value of a key, or NULL. The pointer is valid until the next map64_put(). */
uint64_t *map64_get(const struct map64 *map, uint64_t key);

/**
 * Finds or adds a key. A new key has the value 0.
 *
 * @param ret_value	the value's place, valid until the next map64_put()
 * @return 1 when the key was there, 0 when it is new, -ENOMEM, -EINVAL for MAP64_EMPTY
 */
int map64_put(struct map64 *map, uint64_t key, uint64_t **ret_value);

/** Mixes the bits of a key (the 64-bit finalizer of MurmurHash3, in the public domain). */
static inline uint64_t hash64(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}
