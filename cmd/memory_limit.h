/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Last words when memory is limited.
 *
 * libdw does not survive a failed allocation everywhere (elfutils 0.188: a null pointer in
 * dwarf_getsrclines, an assertion in its hash tables, error(3) from dwarf_attr), and a stack that
 * cannot grow is a SIGSEGV. Under a limit (RLIMIT_AS or RLIMIT_DATA) a crash is
 * taken for that, and said. Without one it is a bug, and is left to dump core.
 */
#pragma once

/** From here on a crash of this process prints what happened, and it ends with CMD_FAILED.
 *
 * @param temporary	file to remove then; borrowed for good; may be NULL
 */
void memory_limit_guard(const char *temporary);

/** The temporary file is gone or has its name. */
void memory_limit_forget(void);
