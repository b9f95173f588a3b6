/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of things, such that being killed anywhere leaves the target with calls that work:
 *
 *	code area, its entries	before a slot points there
 *	wire			noted before the table names it for use, and unmapped when nobody is
 *				inside
 *	slots			each old or new; the table alone tells the old value of a new one
 */
#include "inject/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "inject/inject_priv.h"

/* How often a thread that is fit is looked for among those that run. */
#define THREAD_TRIES 50

/* A thread comes when it gets a CPU, or is done with what cannot be interrupted. */
#define LATE_LIMIT NSEC_PER_SEC

static int check_threads(struct inject *inject)
{
	if (process_tasks_read(inject->process, &inject->tasks) < 0)
		return INJECT_GONE;
	for (size_t i = 0; i < inject->tasks.tids.n; i++) {
		_cleanup_free_ char *status = NULL;
		const char *features;
		pid_t tid = inject->tasks.tids.items[i];

		if (process_status_read(tid, &status) < 0)
			continue;
		if (process_status_number(status, "Seccomp", 10) > 0)
			return INJECT_SECCOMP;
		features = strstr(status, "x86_Thread_features:");
		if (features && memmem(features, strcspn(features, "\n"), "shstk", 5))
			return INJECT_SHADOW_STACK;
	}
	return INJECT_OK;
}

/* Does an import table lead to an allocator, and is it the one that the program uses? */
static int check_slots(const struct inject *inject)
{
	static const char *const own[] = {"malloc", "je_malloc", "tc_malloc", "mi_malloc",
					  "_rjem_malloc"};
	const struct inject_module *main = inject_module_main(inject);

	if (!inject->options.rate)
		return INJECT_OK;
	if (main && module_defines(main->module, own, ARRAY_SIZE(own)))
		return main->slots.n ? INJECT_OWN_ALLOCATOR : INJECT_NO_SLOTS;
	for (size_t i = 0; i < inject->modules.n; i++) {
		const struct inject_module *m = inject->modules.items[i];

		for (size_t k = 0; k < m->slots.n && m->mapped; k++) {
			if (inject->names.items.items[m->slots.items[k].name].kind < AGENT_CALL)
				return INJECT_OK;
		}
	}
	return INJECT_NO_SLOTS;
}

static bool has_slot(const struct inject *inject, size_t name)
{
	for (size_t i = 0; i < inject->modules.n; i++) {
		const struct inject_module *m = inject->modules.items[i];

		for (size_t k = 0; k < m->slots.n && m->mapped; k++) {
			if (m->slots.items[k].name == (int)name)
				return true;
		}
	}
	return false;
}

/* Of each custom profile something has to be there, and what is required. */
static int check_customs(const struct inject *inject)
{
	bool wanted[AGENT_MAX_PROFILES] = {}, found[AGENT_MAX_PROFILES] = {};

	for (size_t i = 0; i < inject->names.items.n; i++) {
		const struct inject_name *name = &inject->names.items.items[i];
		bool here;

		if (name->kind < AGENT_CALL)
			continue;
		here = has_slot(inject, i);
		if (name->required && !here)
			return INJECT_NOT_IMPORTED;
		for (unsigned k = 0; k < AGENT_MAX_ACTIONS; k++) {
			const struct agent_action *action = &name->actions[k];

			if (action->what != AGENT_ADD && action->what != AGENT_COUNT)
				continue;
			wanted[action->profile] = true;
			found[action->profile] |= here;
		}
	}
	return memcmp(wanted, found, sizeof(found)) == 0 ? INJECT_OK : INJECT_NOT_IMPORTED;
}

static int look_first(struct inject *inject)
{
	int r = check_threads(inject);

	process_mark_read(inject->process, &inject->mark);
	inject->inner_pid = process_inner_tid(inject->process, process_pid(inject->process));
	if (r == INJECT_OK && !inject->mark.addr)
		r = INJECT_GONE;
	if (r == INJECT_OK)
		r = inject_look(inject);
	if (r == INJECT_OK)
		r = check_slots(inject);
	if (r == INJECT_OK)
		r = check_customs(inject);
	if (r == INJECT_OK)
		r = inject_find_agent(inject);
	if (r == INJECT_OK && !inject_find_code(inject))
		r = INJECT_NO_CODE;
	return r;
}

int inject_new(struct process *process, const struct inject_options *options,
	       struct inject **ret_inject)
{
	struct inject *inject = calloc(1, sizeof(*inject));
	int r;

	if (!inject)
		return err_trace(-ENOMEM);
	inject->process = process;
	inject->arch = arch_native();
	inject->options = *options;
	inject->mem_fd = openat(process_dirfd(process), "mem", O_RDWR | O_CLOEXEC);
	/* Without its descriptors it is looked for stops now and then. */
	(void)tracee_wake_init(&inject->wake);
	r = inject->mem_fd < 0 ? INJECT_DENIED : tracee_set_new(&inject->set);
	if (r == 0)
		r = inject_names_fill(&inject->names, options);
	if (r == 0)
		r = module_map_new(process, &inject->map);
	if (r == 0)
		r = look_first(inject);
	if (r != INJECT_OK) {
		inject_free(inject, NULL);
		return r < 0 ? err_trace(r) : r;
	}
	*ret_inject = inject;
	return INJECT_OK;
}

static void count_slots(struct inject *inject)
{
	inject->stats.n_slots = inject->stats.n_modules = 0;
	inject->stats.n_left = 0;
	for (size_t i = 0; i < inject->modules.n; i++) {
		const struct inject_module *m = inject->modules.items[i];
		uint32_t n = 0;

		for (size_t k = 0; k < m->slots.n; k++)
			n += m->slots.items[k].wanted;
		inject->stats.n_slots += n;
		inject->stats.n_modules += n > 0;
	}
}

/* Entries and their number, then the wire; each in one place that the agent reads. */
static bool write_table(struct inject *inject)
{
	struct agent_table *table = &inject->table;

	return inject_write(inject, inject->code + AGENT_TABLE_FRAME, &table->frame,
			    sizeof(table->frame)) &&
	       inject_write(inject, inject->code + AGENT_TABLE_ENTRIES, table->entries,
			    table->n_entries * sizeof(*table->entries)) &&
	       inject_write(inject, inject->code + offsetof(struct agent_table, n_entries),
			    &table->n_entries, sizeof(table->n_entries));
}

static bool write_wire(struct inject *inject, uint64_t wire)
{
	inject->table.wire = wire;
	return inject_write(inject, inject->code + AGENT_TABLE_WIRE, &wire, sizeof(wire));
}

static void restore(struct inject *inject)
{
	inject_write_slots(inject);
	(void)write_wire(inject, 0);
}

/* Until it was mapped, the code area was planned to be at address 0. */
static void rebase(struct inject *inject)
{
	for (uint32_t i = 0; i < inject->table.n_entries; i++) {
		struct agent_entry *entry = &inject->table.entries[i];

		entry->handler += inject->code;
		if (entry->kind == AGENT_PROBE) {
			entry->original += inject->code;
			entry->sampled += inject->code;
		}
	}
	for (size_t i = 0; i < inject->modules.n; i++) {
		struct inject_module *m = inject->modules.items[i];

		for (size_t k = 0; k < m->slots.n; k++)
			m->slots.items[k].new += inject->code;
	}
}

static void map(struct inject *inject)
{
	inject->result = inject_map(inject);
}

static void bring_in(struct inject *inject)
{
	if (write_wire(inject, inject->wire))
		inject_write_slots(inject);
	else
		inject->result = INJECT_DENIED;
}

static void unmap(struct inject *inject)
{
	inject->result = inject_unmap(inject);
}

int inject_stop(struct inject *inject)
{
	int r;

	if (!inject->patched)
		return INJECT_OK;
	if (inject_is_gone(inject))
		return INJECT_GONE;
	r = inject_look(inject);
	if (r != INJECT_OK)
		return r;
	inject->stats.n_left = 0;
	inject_plan_back(inject);
	r = inject_stopped(inject, restore, &inject->stats.stop_ns);
	if (r == INJECT_OK)
		inject->patched = false;
	return r;
}

/* By a thread of the target, as soon as there is one that can be used. */
static int with_thread(struct inject *inject, void (*then)(struct inject *inject), uint64_t *ret_ns)
{
	int r = INJECT_OK;

	inject->result = INJECT_NO_THREAD;
	for (unsigned tries = 0; tries < THREAD_TRIES && r == INJECT_OK; tries++) {
		r = inject_use_one(inject, then, ret_ns);
		if (inject->result != INJECT_NO_THREAD)
			break;
	}
	return r != INJECT_OK ? r : inject->result;
}

void inject_remove_wire(struct inject *inject)
{
	if (!inject->wire || inject_is_gone(inject))
		return;
	inject->stats.left_wire = !inject_await_outside(inject) ||
				  with_thread(inject, unmap, &inject->stats.unmap_ns) != INJECT_OK;
	inject->wire = 0;
}

/* Without a place for exceptions to pass through, functions that somebody has declared, and that
 * may throw, are not called by the agent. */
static int check_frame(const struct inject *inject)
{
	for (size_t i = 0; i < inject->names.items.n && !inject->table.frame; i++) {
		const struct inject_name *name = &inject->names.items.items[i];

		for (unsigned k = 0; k < AGENT_MAX_ACTIONS && name->required; k++) {
			const struct agent_action *action = &name->actions[k];

			if ((action->what == AGENT_ADD && action->key != AGENT_KEY_ARG) ||
			    action->flags & AGENT_IF_ZERO)
				return INJECT_NO_FRAME;
		}
	}
	return INJECT_OK;
}

static int start(struct inject *inject)
{
	int r = inject_take_over(inject);
	bool is_new = !inject->code;

	inject->table.frame = inject_find_frame(inject);
	if (r == INJECT_OK)
		r = check_frame(inject);
	/* What custom ones did belongs to earlier times. */
	for (uint32_t i = 0; i < inject->table.n_entries; i++)
		memset(inject->table.entries[i].actions, 0,
		       sizeof(inject->table.entries[i].actions));
	if (r == INJECT_OK && inject_plan(inject) == 0)
		r = INJECT_NO_SLOTS;
	if (r == INJECT_OK)
		r = with_thread(inject, map, &inject->stats.map_ns);
	if (r != INJECT_OK)
		return r;
	if (is_new)
		rebase(inject);
	if (!write_table(inject))
		return INJECT_DENIED;
	inject->patched = true;
	r = inject_stopped(inject, bring_in, &inject->stats.start_ns);
	if (r != INJECT_OK || inject->result != INJECT_OK)
		return r != INJECT_OK ? r : inject->result;
	count_slots(inject);
	return inject->stats.n_slots ? INJECT_OK : INJECT_DENIED;
}

int inject_start(struct inject *inject)
{
	int r = start(inject);

	/* Its memory is what we may not write to any more. */
	return r == INJECT_DENIED && inject_is_gone(inject) ? INJECT_GONE : r;
}

int inject_renew(struct inject *inject)
{
	uint64_t ns;
	int r;

	if (inject_is_gone(inject))
		return INJECT_GONE;
	r = inject_look(inject);
	if (r != INJECT_OK || inject_plan(inject) == 0)
		return r;
	if (!write_table(inject))
		return INJECT_OK;
	r = inject_stopped(inject, inject_write_slots, &ns);
	inject->stats.renewals++;
	inject->stats.renewal_ns = MAX(inject->stats.renewal_ns, ns);
	/* Somebody else traces it for the moment: the next time. */
	return r == INJECT_DENIED || r == INJECT_SHARED ? INJECT_OK : r;
}

uint64_t inject_wire_addr(const struct inject *inject)
{
	return inject->wire;
}

void inject_get_stats(const struct inject *inject, struct inject_stats *ret_stats)
{
	*ret_stats = inject->stats;
}

struct inject *inject_free(struct inject *inject, struct inject_stats *ret_stats)
{
	if (!inject)
		return NULL;
	if (inject_stop(inject) == INJECT_OK)
		inject_remove_wire(inject);
	else
		inject->stats.left_wire = inject->wire && !inject_is_gone(inject);
	if (inject->set)
		inject_release_late(inject, LATE_LIMIT);
	if (ret_stats)
		*ret_stats = inject->stats;
	for (size_t i = 0; i < inject->modules.n; i++)
		inject_module_free(inject->modules.items[i]);
	vec_deinit(&inject->modules);
	vec_deinit(&inject->names.items);
	vec_deinit(&inject->order);
	vec_deinit(&inject->stopped);
	process_tasks_deinit(&inject->tasks);
	process_tasks_deinit(&inject->checked);
	process_maps_deinit(&inject->maps);
	module_map_free(inject->map);
	tracee_set_free(inject->set);
	tracee_wake_deinit(&inject->wake);
	if (inject->mem_fd >= 0)
		close(inject->mem_fd);
	free(inject);
	return NULL;
}
