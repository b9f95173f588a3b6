/* SPDX-License-Identifier: Apache-2.0 */
/* The one question that the decoded message cannot answer: does a field occur twice? */
#include "pprof/pprof_priv.h"

#define FIELD_TIME_NANOS 9

/* Wire types of https://protobuf.dev/programming-guides/encoding/ */
enum wire_type {
	WIRE_VARINT = 0,
	WIRE_64 = 1,
	WIRE_BYTES = 2,
	WIRE_32 = 5,
};

struct cursor {
	const uint8_t *next, *end;
};

static bool read_varint(struct cursor *cursor, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64 && cursor->next < cursor->end; shift += 7) {
		uint8_t byte = *cursor->next++;

		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool skip_bytes(struct cursor *cursor, uint64_t n)
{
	if (n > (uint64_t)(cursor->end - cursor->next))
		return false;
	cursor->next += n;
	return true;
}

/* Passes over one field of the message. A varint's value is handed out, others as 0. */
static bool next_field(struct cursor *cursor, uint64_t *ret_field, uint64_t *ret_value)
{
	uint64_t tag, value = 0;

	if (!read_varint(cursor, &tag))
		return false;
	*ret_field = tag >> 3;
	*ret_value = 0;
	switch (tag & 7) {
	case WIRE_VARINT:
		return read_varint(cursor, ret_value);
	case WIRE_64:
		return skip_bytes(cursor, 8);
	case WIRE_BYTES:
		return read_varint(cursor, &value) && skip_bytes(cursor, value);
	case WIRE_32:
		return skip_bytes(cursor, 4);
	default:
		return false; /* groups, which proto3 does not have */
	}
}

bool pprof_is_joined(const uint8_t *bytes, size_t size)
{
	struct cursor cursor = {bytes, bytes + size};
	uint64_t field, value, time_nanos = 0;

	while (next_field(&cursor, &field, &value)) {
		if (field != FIELD_TIME_NANOS)
			continue;
		if (time_nanos != 0)
			return true;
		time_nanos = value;
	}
	return false;
}
