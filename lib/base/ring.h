/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounded queue of variable-sized records between exactly one producer and one consumer thread.
 *
 * Records are contiguous and 8-byte aligned, so that a snapshot is filled where it lies and read
 * where it lies. Neither side ever waits for the other: reserve fails when there is no room, and
 * the caller counts the drop.
 */
#pragma once

#include <stddef.h>

struct ring;

/**
 * Makes a ring.
 *
 * @param size	bytes, rounded up to a power of two of at least 4096
 * @return 0 or -ENOMEM
 */
int ring_new(size_t size, struct ring **ret_ring);
struct ring *ring_free(struct ring *ring);

/** Before first use: has the kernel provide the memory, which else costs a page fault each 4 KiB.
 */
void ring_touch(struct ring *ring);

/** Producer: room for a record of up to `size` bytes, or NULL when there is none. Reserving again
 * without committing gives the place up. */
void *ring_reserve(struct ring *ring, size_t size);

/** Producer: bytes that are free; a record may still not fit in one piece. */
size_t ring_room(const struct ring *ring);

/** Producer: publishes the record reserved last with its true size (at most what was reserved). */
void ring_commit(struct ring *ring, size_t size);

/** Consumer: the oldest record and its size, or NULL when empty. It stays until ring_pop(). */
void *ring_peek(struct ring *ring, size_t *ret_size);

/** Consumer: gives back the record that ring_peek() showed. */
void ring_pop(struct ring *ring);
