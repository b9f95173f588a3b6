/* SPDX-License-Identifier: Apache-2.0 */
#include "tracee/tracee_unwind.h"

#include <errno.h>
#include <libunwind-ptrace.h>
#include <stdlib.h>

#include "base/err.h"

struct tracee_unwinder {
	unw_addr_space_t space;
};

int tracee_unwinder_new(struct tracee_unwinder **ret_unwinder)
{
	struct tracee_unwinder *unwinder = calloc(1, sizeof(*unwinder));

	if (!unwinder)
		return err_trace(-ENOMEM);
	unwinder->space = unw_create_addr_space(&_UPT_accessors, 0);
	if (!unwinder->space) {
		free(unwinder);
		return err_trace(-ENOMEM);
	}
	unw_set_caching_policy(unwinder->space, UNW_CACHE_GLOBAL);
	*ret_unwinder = unwinder;
	return 0;
}

struct tracee_unwinder *tracee_unwinder_free(struct tracee_unwinder *unwinder)
{
	if (unwinder) {
		unw_destroy_addr_space(unwinder->space);
		free(unwinder);
	}
	return NULL;
}

static enum trace_end walk(unw_cursor_t *cursor, struct trace *trace)
{
	bool exact = true;
	int r;

	while (trace->n_frames < TRACE_MAX_FRAMES) {
		unw_word_t pc;

		if (unw_get_reg(cursor, UNW_REG_IP, &pc) < 0)
			return TRACE_BAD_MEMORY;
		if (pc == 0)
			return TRACE_ROOT;
		/* Tells of this frame whether it is the trampoline, whose own pc is exact too. */
		if (unw_is_signal_frame(cursor) > 0)
			exact = true;
		trace->frames[trace->n_frames++] = (struct frame){.pc = pc, .exact = exact};
		exact = unw_is_signal_frame(cursor) > 0;
		r = unw_step(cursor);
		if (r == 0)
			return TRACE_ROOT;
		if (r == -UNW_ENOINFO)
			return TRACE_NO_CFI;
		if (r < 0)
			return TRACE_BAD_MEMORY;
	}
	return TRACE_DEPTH;
}

int tracee_unwinder_run(struct tracee_unwinder *unwinder, pid_t tid, struct trace *ret_trace)
{
	void *upt = _UPT_create(tid);
	unw_cursor_t cursor;

	if (!upt)
		return err_trace(-ENOMEM);
	ret_trace->n_frames = 0;
	if (unw_init_remote(&cursor, unwinder->space, upt) < 0)
		ret_trace->end = TRACE_BAD_MEMORY;
	else
		ret_trace->end = walk(&cursor, ret_trace);
	_UPT_destroy(upt);
	return 0;
}
