/* SPDX-License-Identifier: Apache-2.0 */
/* What a cprof that was killed has left in a process, and how it is taken out. */
#include "base/cleanup.h"
#include "base/err.h"
#include "inject/inject_priv.h"

int inject_take_over(struct inject *inject)
{
	/* It had written no slot yet, or given all back, if no wire is mapped. */
	int r = inject->code && inject->table.mapped_size ? inject_find_left(inject) : 0;

	if (r < 0)
		return err_trace(r);
	if (!inject->code || !(inject->table.mapped_size || inject_plan_back(inject)))
		return INJECT_OK;
	inject->wire = inject->table.mapped;
	inject->wire_left = inject->table.mapped_size;
	inject->stats.took_over = true;
	inject->patched = true;
	r = inject_stop(inject);
	if (r == INJECT_OK)
		inject_remove_wire(inject);
	return r;
}

/* Nothing is asked for. */
static const struct inject_options nothing;

int inject_left(struct process *process, enum inject_remains *ret_remains)
{
	struct inject *inject;
	int r = inject_new(process, &nothing, &inject);

	*ret_remains = INJECT_REMAINS_NONE;
	if (r == INJECT_OTHER_AGENT) {
		*ret_remains = INJECT_REMAINS_OTHER;
		return INJECT_OK;
	}
	if (r != INJECT_OK)
		return r < 0 ? err_trace(r) : r;
	if (inject->table.mapped_size || (inject->code && inject_plan_back(inject)))
		*ret_remains = INJECT_REMAINS_IN_USE;
	else if (inject->code)
		*ret_remains = INJECT_REMAINS_CODE;
	inject_free(inject, NULL);
	return INJECT_OK;
}

int inject_cleanup(struct process *process, struct inject_stats *ret_stats)
{
	struct inject *inject;
	int r = inject_new(process, &nothing, &inject);

	if (r != INJECT_OK)
		return r < 0 ? err_trace(r) : r;
	r = inject_take_over(inject);
	inject_free(inject, ret_stats);
	return r < 0 ? err_trace(r) : r;
}
