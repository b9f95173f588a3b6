/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable arrays: any struct with the members `items`, `n` and `cap`.
 *
 *	struct { struct foo *items; size_t n, cap; } foos = {};
 *	struct foo *f = vec_push(&foos);        NULL when out of memory; the new item is zeroed
 *	vec_deinit(&foos);
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *items;                                                                       \
		size_t n, cap;                                                                     \
	}

/** Makes room for `want` items of `size` bytes. Returns 0 or -ENOMEM; items stay valid on error. */
int vec_reserve_raw(void **items, size_t *cap, size_t want, size_t size);

#define vec_reserve(v, want)                                                                       \
	vec_reserve_raw((void **)&(v)->items, &(v)->cap, (want), sizeof(*(v)->items))

#define vec_push(v)                                                                                \
	({                                                                                         \
		__typeof__((v)->items) slot_ = NULL;                                               \
		if (vec_reserve((v), (v)->n + 1) == 0) {                                           \
			slot_ = &(v)->items[(v)->n++];                                             \
			memset(slot_, 0, sizeof(*slot_));                                          \
		}                                                                                  \
		slot_;                                                                             \
	})

#define vec_deinit(v)                                                                              \
	do {                                                                                       \
		free((v)->items);                                                                  \
		(v)->items = NULL;                                                                 \
		(v)->n = (v)->cap = 0;                                                             \
	} while (0)
