/* SPDX-License-Identifier: Apache-2.0 */
/* What is put right before a thread that was stopped goes on. */
#include "source/source_priv.h"

struct reader {
	struct process *process;
	const struct process_maps *maps;
};

/* Only what surely lies in memory is read while the thread is held, see source_stack.c. */
static bool read_memory(void *from, uint64_t addr, void *bytes, size_t size)
{
	const struct reader *reader = from;
	uint64_t start, end;

	return source_stack_bounds(reader->maps, addr, &start, &end) &&
	       process_read(reader->process, addr, bytes, size) == (ssize_t)size;
}

struct source_mend source_mend(struct tracee_set *set, pid_t tid, const struct arch *arch,
			       const void *user, struct process *process,
			       const struct process_maps *maps)
{
	struct reader reader = {process, maps};
	bool plain = tracee_needs_restart_syscall(arch, user) && process_thread_is_filtered(tid);
	const struct arch_transfer *transfer =
		arch_transfer_short(arch, user, read_memory, &reader);
	struct source_mend mend = {.cut_short = transfer != NULL};

	mend.repair = tracee_repair(set, tid, arch, user, plain);
	if (transfer && transfer->keeps_error)
		(void)tracee_mend_socket(tid, arch, user);
	return mend;
}
