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

#define MEMORY_LIMIT_FILES 8

/** From here on a crash of this process prints what happened, and it ends with CMD_FAILED.
 *
 * @param temporary	files to remove then, MEMORY_LIMIT_FILES at most; the names are borrowed
 *			until memory_limit_forget(); NULL for none
 */
void memory_limit_guard(const char *const *temporary, unsigned n);

/** The temporary files are gone or have their names. */
void memory_limit_forget(void);
