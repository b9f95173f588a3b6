/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Import slots are written, of which the target may have many hundreds: 2 µs each through
 * /proc/PID/mem, the only way past RELRO. What they hold is read many at a time.
 */
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inject/inject_priv.h"

#define BATCH 256 /* below IOV_MAX */

struct batch {
	struct inject_slot *slots[BATCH];
	struct iovec local[BATCH], remote[BATCH];
	uint64_t found[BATCH];
	unsigned n;
};

bool inject_write(struct inject *inject, uint64_t addr, const void *bytes, size_t size)
{
	/* The descriptor belongs to the memory, not to the process: after an execve it is nobody's.
	 */
	return pwrite(inject->mem_fd, bytes, size, (off_t)addr) == (ssize_t)size;
}

static void write_batch(struct inject *inject, struct batch *batch)
{
	ssize_t n = process_vm_readv(process_pid(inject->process), batch->local, batch->n,
				     batch->remote, batch->n, 0);

	for (unsigned i = 0; i < batch->n; i++) {
		struct inject_slot *slot = batch->slots[i];
		/* It ends at the first one that is not mapped any more. */
		bool known = (ssize_t)((i + 1) * sizeof(uint64_t)) <= n ||
			     pread(inject->mem_fd, &batch->found[i], sizeof(uint64_t),
				   (off_t)slot->addr) == sizeof(uint64_t);

		slot->wanted = known && batch->found[i] == slot->old &&
			       inject_write(inject, slot->addr, &slot->new, sizeof(slot->new));
		inject->stats.n_left += known && !slot->wanted;
	}
	batch->n = 0;
}

void inject_write_slots(struct inject *inject)
{
	struct batch batch = {};

	for (size_t i = 0; i < inject->modules.n; i++) {
		struct inject_module *m = inject->modules.items[i];

		for (size_t k = 0; k < m->slots.n && m->mapped; k++) {
			struct inject_slot *slot = &m->slots.items[k];

			if (!slot->wanted)
				continue;
			batch.slots[batch.n] = slot;
			batch.local[batch.n] = (struct iovec){&batch.found[batch.n], 8};
			batch.remote[batch.n] = (struct iovec){(void *)(uintptr_t)slot->addr, 8};
			if (++batch.n == BATCH)
				write_batch(inject, &batch);
		}
	}
	if (batch.n)
		write_batch(inject, &batch);
}
