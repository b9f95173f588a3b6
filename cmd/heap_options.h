/* SPDX-License-Identifier: Apache-2.0 */
/* What commands that profile heaps have in common. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/** The number of bytes behind --heap-rate. False after saying what is wrong with it. */
bool heap_options_parse_rate(const char *text, uint64_t *ret_rate);

/** Says why a process cannot have a heap profile: an enum inject_result. */
void heap_options_explain(pid_t pid, int why);
