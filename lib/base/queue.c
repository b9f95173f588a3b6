/* SPDX-License-Identifier: Apache-2.0 */
#include "base/queue.h"

#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/ring.h"

/* In front of each record's bytes: its place in the order of all. */
#define PREFIX sizeof(uint64_t)

struct queue {
	struct ring *small, *large;
	struct ring *reserved; /* producer only, like the next */
	uint64_t *place;
	uint64_t put;
	alignas(64) uint64_t taken; /* consumer only, like the next */
	struct ring *shown;
};

int queue_new(size_t small, size_t large, struct queue **ret_queue)
{
	struct queue *queue = aligned_alloc(64, (sizeof(*queue) + 63) & ~(size_t)63);

	if (!queue)
		return -ENOMEM;
	*queue = (struct queue){};
	if (ring_new(small, &queue->small) < 0 || ring_new(large, &queue->large) < 0) {
		queue_free(queue);
		return -ENOMEM;
	}
	ring_touch(queue->small);
	*ret_queue = queue;
	return 0;
}

struct queue *queue_free(struct queue *queue)
{
	if (queue) {
		ring_free(queue->small);
		ring_free(queue->large);
		free(queue);
	}
	return NULL;
}

void *queue_reserve(struct queue *queue, size_t size)
{
	queue->reserved = queue->small;
	queue->place = ring_reserve(queue->small, PREFIX + size);
	if (!queue->place) {
		queue->reserved = queue->large;
		queue->place = ring_reserve(queue->large, PREFIX + size);
	}
	return queue->place ? queue->place + 1 : NULL;
}

size_t queue_room(const struct queue *queue)
{
	return ring_room(queue->large);
}

void queue_commit(struct queue *queue, size_t size)
{
	*queue->place = queue->put++;
	ring_commit(queue->reserved, PREFIX + size);
}

static void *peek(struct queue *queue, struct ring *ring, size_t *ret_size)
{
	size_t size;
	uint64_t *place = ring_peek(ring, &size);

	/* A later one waits here for those before it, which lie in the other ring. */
	if (!place || *place != queue->taken)
		return NULL;
	queue->shown = ring;
	*ret_size = size - PREFIX;
	return place + 1;
}

void *queue_peek(struct queue *queue, size_t *ret_size)
{
	void *record = peek(queue, queue->small, ret_size);

	return record ? record : peek(queue, queue->large, ret_size);
}

void queue_pop(struct queue *queue)
{
	queue->taken++;
	ring_pop(queue->shown);
}
