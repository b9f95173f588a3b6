/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session_type.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

static const struct session_type table[] = {
	{
		.type = SAMPLER_CPU,
		.name = "cpu",
		.values = {{"samples", "count"}, {"cpu", "nanoseconds"}},
		.n_values = 2,
		.period_type = {"cpu", "nanoseconds"},
		.per_tick = true,
		.label_keys = {"thread", "tid", "process", "pid", "mode"},
	},
	{
		.type = SAMPLER_WALL,
		.name = "wall",
		.values = {{"samples", "count"}, {"wall", "nanoseconds"}},
		.n_values = 2,
		.period_type = {"wall", "nanoseconds"},
		.per_tick = true,
		.label_keys = {"thread", "tid", "process", "pid", "mode", "state", "syscall",
			       "wait"},
	},
	{
		/* As of Go's runtime, src/runtime/pprof/protomem.go and pprof.go. */
		.type = SAMPLER_BLOCK,
		.name = "block",
		.values = {{"contentions", "count"}, {"delay", "nanoseconds"}},
		.n_values = 2,
		.period_type = {"contentions", "count"},
		.label_keys = {"thread", "tid", "process", "pid", "state", "syscall", "wait",
			       "parked"},
	},
	{
		/* Likewise. */
		.type = SAMPLER_MUTEX,
		.name = "mutex",
		.values = {{"contentions", "count"}, {"delay", "nanoseconds"}},
		.n_values = 2,
		.period_type = {"contentions", "count"},
		.label_keys = {"thread", "tid", "process", "pid", "lock", "owner", "waiters"},
	},
	{
		.type = SAMPLER_CREATE,
		.name = "threadcreate",
		.values = {{"threadcreate", "count"}},
		.n_values = 1,
		.period_type = {"threadcreate", "count"},
		.label_keys = {"thread", "tid", "process", "pid"},
	},
	{
		.type = SAMPLER_THREADS,
		.name = "threads",
		.values = {{"threads", "count"}},
		.n_values = 1,
		.period_type = {"threads", "count"},
		.label_keys = {"thread", "tid", "process", "pid", "state", "syscall", "wait"},
	},
};

const struct session_type *session_type_get(unsigned index)
{
	return index < ARRAY_SIZE(table) ? &table[index] : NULL;
}

const struct session_type *session_type_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	}
	return NULL;
}

/* Adds the sample types of a type; the period is that of the last one. */
static void add_spec(struct profile_spec *spec, const struct session_type *type, unsigned hz)
{
	for (uint32_t i = 0; i < type->n_values; i++)
		spec->sample_types[spec->n_sample_types++] = type->values[i];
	spec->period_type = type->period_type;
	spec->period = type->per_tick ? (int64_t)(NSEC_PER_SEC / hz) : 1;
}

int session_types_profile(unsigned types, unsigned hz, struct profile **ret_profile)
{
	struct profile_spec spec = {};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!(types & table[i].type))
			continue;
		if (spec.n_sample_types + table[i].n_values > PROFILE_MAX_TYPES)
			return err_trace(-EINVAL);
		add_spec(&spec, &table[i], hz);
	}
	return profile_new(&spec, ret_profile);
}

int session_types_project(const struct profile *profile, unsigned types, enum sampler_type type,
			  unsigned hz, struct profile **ret_profile)
{
	struct profile_part part = {};
	uint32_t column = 0;

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (table[i].type == type) {
			for (uint32_t k = 0; k < table[i].n_values; k++)
				part.columns[k] = column + k;
			part.label_keys = table[i].label_keys;
			add_spec(&part.spec, &table[i], hz);
		}
		if (types & table[i].type)
			column += table[i].n_values;
	}
	return err_trace(profile_project(profile, &part, ret_profile));
}

bool session_types_values(unsigned types, const struct snapshot *snapshot,
			  int64_t ret_values[static PROFILE_MAX_TYPES])
{
	int64_t waits = snapshot->waits, delay = (int64_t)snapshot->delay_ns;
	bool held = snapshot->kind == SNAPSHOT_HELD;
	const int64_t values[][SESSION_TYPE_MAX_VALUES] = {
		{snapshot->cpu_count, (int64_t)snapshot->cpu_ns},
		{snapshot->count, (int64_t)snapshot->wall_ns},
		{held ? 0 : waits, held ? 0 : delay},
		{held ? waits : 0, held ? delay : 0},
		{snapshot->created},
		{snapshot->count},
	};
	uint32_t n = 0;
	bool any = false;

	_Static_assert(ARRAY_SIZE(values) == ARRAY_SIZE(table), "in the same order");
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (!(types & table[i].type))
			continue;
		for (uint32_t k = 0; k < table[i].n_values; k++) {
			ret_values[n++] = values[i][k];
			any |= values[i][k] != 0;
		}
	}
	return any;
}
