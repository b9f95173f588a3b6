/* SPDX-License-Identifier: Apache-2.0 */
#include "base/trace.h"

const char *trace_end_name(enum trace_end end)
{
	switch (end) {
	case TRACE_ROOT:
		return "root";
	case TRACE_DEPTH:
		return "depth";
	case TRACE_CUT:
		return "cut";
	case TRACE_NO_CFI:
		return "no-cfi";
	case TRACE_BAD_MEMORY:
		return "bad-memory";
	case TRACE_NO_REGISTER:
		return "no-register";
	case TRACE_LOOP:
		return "loop";
	case TRACE_ENDS:
		break;
	}
	return "unknown";
}
