/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vec.h"

#include <errno.h>
#include <stdint.h>

int vec_reserve_raw(void **items, size_t *cap, size_t want, size_t size)
{
	size_t grown;
	void *moved;

	if (want <= *cap)
		return 0;
	grown = *cap ? *cap : 8;
	while (grown < want) {
		if (grown > SIZE_MAX / 2)
			return -ENOMEM;
		grown *= 2;
	}
	moved = reallocarray(*items, grown, size);
	if (!moved)
		return -ENOMEM;
	*items = moved;
	*cap = grown;
	return 0;
}
