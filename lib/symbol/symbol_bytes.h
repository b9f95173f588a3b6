/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading bytes of DWARF. Little endian only, as all that cprof can sample. Reading behind the end
 * gives zeroes and leaves the cursor at the end: loops over a cursor end by that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct symbol_cursor {
	const uint8_t *at, *end;
};

static inline bool symbol_at_end(const struct symbol_cursor *c)
{
	return c->at >= c->end;
}

static inline uint64_t symbol_read_fixed(struct symbol_cursor *c, unsigned size)
{
	uint64_t value = 0;

	if ((size_t)(c->end - c->at) < size) {
		c->at = c->end;
		return 0;
	}
	memcpy(&value, c->at, size);
	c->at += size;
	return value;
}

static inline uint64_t symbol_read_uleb(struct symbol_cursor *c)
{
	uint64_t value = 0;

	for (unsigned shift = 0; c->at < c->end; shift += 7) {
		uint8_t byte = *c->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	return value;
}

static inline int64_t symbol_read_sleb(struct symbol_cursor *c)
{
	uint64_t value = 0;

	for (unsigned shift = 0; c->at < c->end;) {
		uint8_t byte = *c->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80)) {
			if (shift < 64 && byte & 0x40)
				value |= ~UINT64_C(0) << shift;
			break;
		}
	}
	return (int64_t)value;
}

static inline void symbol_skip(struct symbol_cursor *c, uint64_t size)
{
	if (size > (uint64_t)(c->end - c->at))
		c->at = c->end;
	else
		c->at += size;
}

/** A string that ends before the cursor's end; NULL (and the cursor at its end) when it does not.
 */
static inline const char *symbol_read_string(struct symbol_cursor *c)
{
	const uint8_t *start = c->at, *zero;

	zero = start < c->end ? memchr(start, 0, (size_t)(c->end - start)) : NULL;
	c->at = zero ? zero + 1 : c->end;
	return zero ? (const char *)start : NULL;
}
