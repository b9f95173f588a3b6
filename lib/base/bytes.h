/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cursor over bytes in the encodings of DWARF. Little endian only, as all that cprof can sample.
 * Reading behind the end gives zeroes and leaves the cursor at the end: loops over a cursor end by
 * that.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const uint8_t *at, *end;
};

static inline bool bytes_at_end(const struct bytes *b)
{
	return b->at >= b->end;
}

/** An unsigned number of up to 8 bytes. */
static inline uint64_t bytes_fixed(struct bytes *b, unsigned size)
{
	uint64_t value = 0;

	if ((size_t)(b->end - b->at) < size) {
		b->at = b->end;
		return 0;
	}
	memcpy(&value, b->at, size);
	b->at += size;
	return value;
}

static inline uint64_t bytes_uleb(struct bytes *b)
{
	uint64_t value = 0;

	for (unsigned shift = 0; b->at < b->end; shift += 7) {
		uint8_t byte = *b->at++;

		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			break;
	}
	return value;
}

static inline int64_t bytes_sleb(struct bytes *b)
{
	uint64_t value = 0;

	for (unsigned shift = 0; b->at < b->end;) {
		uint8_t byte = *b->at++;

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

static inline void bytes_skip(struct bytes *b, uint64_t size)
{
	if (size > (uint64_t)(b->end - b->at))
		b->at = b->end;
	else
		b->at += size;
}

/** A string that ends before the cursor's end; NULL (and the cursor at its end) when it does not.
 */
static inline const char *bytes_string(struct bytes *b)
{
	const uint8_t *start = b->at, *zero;

	zero = start < b->end ? memchr(start, 0, (size_t)(b->end - start)) : NULL;
	b->at = zero ? zero + 1 : b->end;
	return zero ? (const char *)start : NULL;
}
