/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session_call.h"

#include "arch/arch.h"

int32_t session_call(const struct module_map *map, uint64_t pc, int32_t nr)
{
	const struct arch *arch = arch_native();
	const struct module_mapping *m;
	size_t before, after;
	const uint8_t *code;
	int64_t found = -1;

	if (nr < 0 || (uint64_t)nr != arch->restart_syscall)
		return nr;
	m = module_map_find(map, pc);
	code = m ? module_text(m->module, pc, &before, &after) : NULL;
	if (code)
		found = arch_syscall_before(arch, code, before);
	return found < 0 ? nr : (int32_t)found;
}
