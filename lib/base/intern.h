/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interning of byte strings: equal content, equal number.
 *
 * Numbers are dense and start at 0. Content is kept with a NUL behind it. Not thread-safe.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct intern;

/** Makes an empty table. Returns 0 or -ENOMEM. */
int intern_new(struct intern **ret_table);

/** Makes a table with the same contents under the same numbers. Returns 0 or -ENOMEM. */
int intern_clone(const struct intern *from, struct intern **ret_table);

/** Releases the table and all its content; accepts NULL, returns NULL. */
struct intern *intern_free(struct intern *table);

/**
 * Finds or adds `size` bytes at `bytes` (borrowed; copied when new).
 *
 * @param ret_id	its number
 * @return 1 when it was there, 0 when it is new, -ENOMEM
 */
int intern_put(struct intern *table, const void *bytes, size_t size, uint32_t *ret_id);

/** The content of a number, valid for the life of the table; ret_size may be NULL. */
const void *intern_get(const struct intern *table, uint32_t id, size_t *ret_size);

/** How many different contents there are. */
uint32_t intern_count(const struct intern *table);
