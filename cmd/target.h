/* SPDX-License-Identifier: Apache-2.0 */
/* From what a person typed to a process, or a sentence that says why not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/**
 * Finds the one process whose name, or executable's name, is `name`. Prints why when there is none
 * or more than one.
 */
bool target_find(const char *name, pid_t *ret_pid);

/** Is it called so? The kernel's name is cut at 15 bytes, so that of the executable counts, too. */
bool target_has_name(pid_t pid, const char *name);

/** Reads a process or thread id as an option's argument. Prints what is wrong with it. */
bool target_parse_pid(const char *text, const char *option, pid_t *ret_pid);

/** Prints the sentence for an enum session_target other than OK, with its newline. */
void target_explain(FILE *to, pid_t pid, int why, int64_t other);

/** Can it be profiled? Prints why not, and the way out. */
bool target_check(pid_t pid);

/** Claims it, so that only one cprof samples it; the claim ends with the process of the caller.
 * Prints who has it when it is taken. */
bool target_claim(pid_t pid);

/** Prints a hint when the process is in a state in which nothing will be seen. */
void target_hint(pid_t pid);

/** The kernel's name for the process, made fit for a file name; "unknown" when it is gone. */
void target_name(pid_t pid, char name[static 64]);
