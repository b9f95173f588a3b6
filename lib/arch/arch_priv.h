/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of one CPU share; see struct arch for the meaning. */
#pragma once

#include "arch/arch.h"

bool arch_x86_64_frame_size(const uint8_t *code, size_t size, size_t until, uint64_t *ret_bytes,
			    uint64_t *ret_slack);
bool arch_x86_64_call_before(const uint8_t *end, size_t size, uint64_t pc, uint64_t *ret_target);
int64_t arch_x86_64_syscall_before(const uint8_t *end, size_t size);
void arch_x86_64_call_set(void *user, uint64_t nr, const uint64_t *args, uint64_t pc, uint64_t sp);
size_t arch_x86_64_resume_frame(const struct arch_resume *resume, uint8_t *bytes, size_t cap,
				uint64_t *ret_addr);
