/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded queue of variable-sized records between exactly one producer and one consumer thread: two
 * rings.
 *
 * A small one, whose memory is there from the beginning and stays in the cache, takes all records
 * as long as the consumer keeps up; a large one, whose memory comes when it is first used, takes
 * what the small one has no room for. Records come out in the order in which they went in. As in a
 * ring, they are filled and read where they lie, and neither side waits for the other.
 */
#pragma once

#include <stddef.h>

struct queue;

/**
 * Makes a queue.
 *
 * @param small	bytes of the small ring
 * @param large	bytes of the large one; both as of ring_new()
 * @return 0 or -ENOMEM
 */
int queue_new(size_t small, size_t large, struct queue **ret_queue);
struct queue *queue_free(struct queue *queue);

/** Producer: room for a record of up to `size` bytes, or NULL when there is none. Reserving again
 * without committing gives the place up. */
void *queue_reserve(struct queue *queue, size_t size);

/** Producer: bytes that are free in the large ring; a record may still not fit in one piece. */
size_t queue_room(const struct queue *queue);

/** Producer: publishes the record reserved last with its true size (at most what was reserved). */
void queue_commit(struct queue *queue, size_t size);

/** Consumer: the oldest record and its size, or NULL when empty. It stays until queue_pop(). */
void *queue_peek(struct queue *queue, size_t *ret_size);

/** Consumer: gives back the record that queue_peek() showed. */
void queue_pop(struct queue *queue);
