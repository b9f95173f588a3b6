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
		     uint64_t *ret_bytes)
{
	return arch->frame_size(code, size, until, ret_bytes);
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

bool arch_transfer_short(const struct arch *arch, const void *user)
{
	int64_t nr = (int64_t)arch_user_word(user, arch->user_syscall);
	int64_t result = (int64_t)arch_user_word(user, arch->user_result);

	for (unsigned i = 0; i < arch->n_transfers; i++) {
		const struct arch_transfer *transfer = &arch->transfers[i];

		if (transfer->nr == nr &&
		    (!transfer->flag ||
		     arch_user_word(user, arch->user_args[transfer->flag_arg]) & transfer->flag))
			return result > 0 &&
			       (uint64_t)result <
				       arch_user_word(user, arch->user_args[transfer->count_arg]);
	}
	return false;
}
