/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arch.h"

void arch_regs_load(const struct arch *arch, const void *user, struct arch_regs *ret_regs)
{
	*ret_regs = (struct arch_regs){};
	for (unsigned reg = 0; reg < arch->n_regs; reg++)
		arch_reg_set(ret_regs, reg, arch_user_word(user, arch->user_offset[reg]));
}

bool arch_plt_slot(const struct arch *arch, const uint8_t *code, size_t size, uint64_t svma,
		   uint64_t *ret_slot)
{
	return arch->plt_slot(code, size, svma, ret_slot);
}

bool arch_frame_size(const struct arch *arch, const uint8_t *code, size_t size, size_t until,
		     uint64_t *ret_bytes, uint64_t *ret_slack)
{
	return arch->frame_size(code, size, until, ret_bytes, ret_slack);
}

bool arch_call_before(const struct arch *arch, const uint8_t *end, size_t size, uint64_t pc,
		      uint64_t *ret_target)
{
	return arch->call_before(end, size, pc, ret_target);
}

int64_t arch_syscall_before(const struct arch *arch, const uint8_t *end, size_t size)
{
	return arch->syscall_before(end, size);
}

const char *arch_syscall_name(const struct arch *arch, int nr)
{
	if (nr < 0 || (unsigned)nr >= arch->n_syscalls || !arch->syscalls[nr])
		return "syscall";
	return arch->syscalls[nr];
}

const struct arch_restart *arch_restart_find(const struct arch *arch, int nr)
{
	for (unsigned i = 0; i < arch->n_restarts; i++) {
		if (arch->restarts[i].nr == nr)
			return &arch->restarts[i];
	}
	return NULL;
}

/* More are not looked at: a call with so many is not judged. */
#define MAX_IOVECS 64

/* struct iovec and struct msghdr of 64-bit kernels, include/uapi/linux/uio.h and socket.h. */
static bool sum_iovecs(uint64_t addr, uint64_t n, arch_read read, void *from, uint64_t *ret_sum)
{
	struct {
		uint64_t base, size;
	} iovecs[MAX_IOVECS];

	if (n > MAX_IOVECS || !read(from, addr, iovecs, n * sizeof(iovecs[0])))
		return false;
	*ret_sum = 0;
	for (uint64_t i = 0; i < n; i++)
		*ret_sum += iovecs[i].size;
	return true;
}

static bool count_of(const struct arch *arch, const struct arch_transfer *transfer,
		     const void *user, arch_read read, void *from, uint64_t *ret_count)
{
	uint64_t value = arch_user_word(user, arch->user_args[transfer->count_arg]);
	struct {
		uint64_t name, name_size, iovecs, n_iovecs;
	} message;

	switch (transfer->count) {
	case ARCH_COUNT_ARG:
		*ret_count = value;
		return true;
	case ARCH_COUNT_IOVEC:
		return sum_iovecs(value,
				  arch_user_word(user, arch->user_args[transfer->count_arg + 1]),
				  read, from, ret_count);
	case ARCH_COUNT_MSGHDR:
		return read(from, value, &message, sizeof(message)) &&
		       sum_iovecs(message.iovecs, message.n_iovecs, read, from, ret_count);
	}
	return false;
}

const struct arch_transfer *arch_transfer_short(const struct arch *arch, const void *user,
						arch_read read, void *from)
{
	int64_t nr = (int64_t)arch_user_word(user, arch->user_syscall);
	int64_t result = (int64_t)arch_user_word(user, arch->user_result);
	uint64_t count;

	for (unsigned i = 0; i < arch->n_transfers && result > 0; i++) {
		const struct arch_transfer *transfer = &arch->transfers[i];

		if (transfer->nr != nr)
			continue;
		if (transfer->flag &&
		    !(arch_user_word(user, arch->user_args[transfer->flag_arg]) & transfer->flag))
			return NULL;
		if (count_of(arch, transfer, user, read, from, &count) && (uint64_t)result < count)
			return transfer;
		return NULL;
	}
	return NULL;
}
