/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "module/module.h"

/** The system call that a thread is in: where it is restart_syscall(2), the one that this
 * continues, told by the instructions that the thread is behind.
 *
 * @param pc	of user mode
 * @param nr	as the kernel tells it; -1: none
 */
int32_t session_call(const struct module_map *map, uint64_t pc, int32_t nr);
