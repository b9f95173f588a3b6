/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ring.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* In front of each record. `pad` marks the rest of the buffer as skipped. */
struct header {
	uint32_t size; /* of the record's bytes, unrounded */
	uint32_t pad;
};

struct ring {
	char *bytes;
	size_t size;
	size_t reserved_at;               /* producer only: place of the header reserved last */
	_Atomic size_t head;              /* written by the producer, grows for ever */
	_Alignas(64) _Atomic size_t tail; /* written by the consumer, grows for ever */
};

static size_t rounded(size_t size)
{
	return (size + 7) & ~(size_t)7;
}

int ring_new(size_t size, struct ring **ret_ring)
{
	struct ring *ring;
	size_t power = 4096;

	while (power < size)
		power *= 2;
	ring = aligned_alloc(64, (sizeof(*ring) + 63) & ~(size_t)63);
	if (!ring)
		return -ENOMEM;
	*ring = (struct ring){.size = power, .bytes = malloc(power)};
	if (!ring->bytes) {
		free(ring);
		return -ENOMEM;
	}
	*ret_ring = ring;
	return 0;
}

struct ring *ring_free(struct ring *ring)
{
	if (ring) {
		free(ring->bytes);
		free(ring);
	}
	return NULL;
}

void ring_touch(struct ring *ring)
{
	memset(ring->bytes, 0, ring->size);
}

void *ring_reserve(struct ring *ring, size_t size)
{
	size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	size_t tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	size_t at = head & (ring->size - 1), to_end = ring->size - at;
	size_t need = sizeof(struct header) + rounded(size);

	if (size > UINT32_MAX || need > ring->size / 2)
		return NULL;
	if (to_end < need) {
		/* Skip the rest; records do not wrap. */
		if (ring->size - (head - tail) < to_end + need)
			return NULL;
		*(struct header *)(ring->bytes + at) = (struct header){.pad = 1};
		head += to_end;
		atomic_store_explicit(&ring->head, head, memory_order_release);
		at = 0;
	} else if (ring->size - (head - tail) < need) {
		return NULL;
	}
	ring->reserved_at = at;
	return ring->bytes + at + sizeof(struct header);
}

size_t ring_room(const struct ring *ring)
{
	return ring->size - (atomic_load_explicit(&ring->head, memory_order_relaxed) -
			     atomic_load_explicit(&ring->tail, memory_order_acquire));
}

void ring_commit(struct ring *ring, size_t size)
{
	size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	*(struct header *)(ring->bytes + ring->reserved_at) = (struct header){(uint32_t)size, 0};
	atomic_store_explicit(&ring->head, head + sizeof(struct header) + rounded(size),
			      memory_order_release);
}

void *ring_peek(struct ring *ring, size_t *ret_size)
{
	size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	size_t head = atomic_load_explicit(&ring->head, memory_order_acquire);

	while (tail != head) {
		size_t at = tail & (ring->size - 1);
		const struct header *header = (struct header *)(ring->bytes + at);

		if (!header->pad) {
			*ret_size = header->size;
			return ring->bytes + at + sizeof(*header);
		}
		tail += ring->size - at;
		atomic_store_explicit(&ring->tail, tail, memory_order_release);
	}
	return NULL;
}

void ring_pop(struct ring *ring)
{
	size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	const struct header *header = (struct header *)(ring->bytes + (tail & (ring->size - 1)));

	atomic_store_explicit(&ring->tail, tail + sizeof(*header) + rounded(header->size),
			      memory_order_release);
}
