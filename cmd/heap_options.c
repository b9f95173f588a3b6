/* SPDX-License-Identifier: Apache-2.0 */
#include "heap_options.h"

#include <stdio.h>

#include "base/parse.h"
#include "session/session_heap.h"

#define MAX_RATE (1ULL << 40)

bool heap_options_parse_rate(const char *text, uint64_t *ret_rate)
{
	if (parse_u64(text, 1, MAX_RATE, ret_rate) == 0)
		return true;
	fprintf(stderr, "cprof: --heap-rate wants bytes, from 1 to %llu, not '%s'.\n", MAX_RATE,
		text);
	return false;
}

void heap_options_explain(pid_t pid, int why)
{
	char text[512];

	session_heap_explain(pid, why, text, sizeof(text));
	fprintf(stderr, "cprof: %s\n", text);
}
