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

const struct arch_transfer *arch_transfer_short(const struct arch *arch, const void *user)
{
	int64_t nr = (int64_t)arch_user_word(user, arch->user_syscall);
	int64_t result = (int64_t)arch_user_word(user, arch->user_result);

	for (unsigned i = 0; i < arch->n_transfers; i++) {
		const struct arch_transfer *transfer = &arch->transfers[i];

		if (transfer->nr != nr)
			continue;
		if (transfer->flag &&
		    !(arch_user_word(user, arch->user_args[transfer->flag_arg]) & transfer->flag))
			return NULL;
		if (result > 0 &&
		    (uint64_t)result < arch_user_word(user, arch->user_args[transfer->count_arg]))
			return transfer;
		return NULL;
	}
	return NULL;
}
