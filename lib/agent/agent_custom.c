/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Custom profiles: calls that add an entry under a key, or remove it. Every one of them counts.
 *
 * What removes does so before the call: from then on another thread may get the same key. What the
 * call turns out not to have removed is put back. A call may last: the wire is not held meanwhile,
 * and looked for again behind it.
 */
#include "agent/agent_priv.h"

static const uint8_t arg_regs[AGENT_MAX_ARGS] = {AGENT_REG_ARG0, AGENT_REG_ARG1, AGENT_REG_ARG2,
						 AGENT_REG_ARG3, AGENT_REG_ARG4, AGENT_REG_ARG5};

/* glibc: flags of struct pthread_attr, behind its two ints of scheduling (2.36,
 * sysdeps/nptl/internaltypes.h); bit 0 is ATTR_FLAG_DETACHSTATE. */
#define ATTR_FLAGS 8
#define ATTR_DETACHED 1

/* fcntl.h */
#define F_DUPFD 0
#define F_DUPFD_CLOEXEC 1030

static uint64_t arg(const struct agent_call *call, unsigned n)
{
	return call->regs[arg_regs[n % AGENT_MAX_ARGS]];
}

uint32_t agent_skip(const struct agent_call *call, const struct agent_action *action)
{
	int32_t skip = (int32_t)arg(call, action->skip_arg - 1u);

	return skip > 0 ? (uint32_t)skip : 0;
}

/* False: it is what stands for nothing, as NULL and a negative descriptor do. */
static int key_of(const struct agent_action *action, uint64_t value, uint64_t *ret_key)
{
	if (action->flags & AGENT_INT) {
		*ret_key = agent_live_key(action->profile, (uint32_t)value);
		return (int32_t)value >= 0;
	}
	*ret_key = agent_live_key(action->profile, value);
	/* The last one is what an int of -1 leaves in its register. */
	return value != 0 && value != UINT64_MAX && value != UINT32_MAX;
}

static void add(struct agent_wire *wire, struct agent_call *call, const struct agent_action *action,
		uint64_t value)
{
	struct agent_profile *profile = &wire->head.profiles[action->profile % AGENT_MAX_PROFILES];
	uint64_t key, id, size = action->size_arg ? arg(call, action->size_arg - 1u) : 1;
	struct agent_live stale;

	if (!key_of(action, value, &key))
		return;
	if (!(action->flags & AGENT_MANY)) {
		for (unsigned i = 0; i < AGENT_LIVE_PROBES && agent_live_take(wire, key, &stale);
		     i++)
			__atomic_fetch_add(&profile->twice, 1, __ATOMIC_RELAXED);
	}
	id = __atomic_add_fetch(&wire->head.n_samples, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&profile->added, 1, __ATOMIC_RELAXED);
	if (!agent_live_put(wire, key, size, id))
		__atomic_fetch_add(&profile->not_live, 1, __ATOMIC_RELAXED);
	agent_put_sample(wire, call, action, size, id);
}

static void count(struct agent_wire *wire, struct agent_call *call,
		  const struct agent_action *action)
{
	struct agent_profile *profile = &wire->head.profiles[action->profile % AGENT_MAX_PROFILES];
	uint64_t n = arg(call, action->key_arg), id;

	if (n == 0)
		return;
	id = __atomic_add_fetch(&wire->head.n_samples, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&profile->counted, n, __ATOMIC_RELAXED);
	agent_put_sample(wire, call, action, n, id);
}

static void take(struct agent_wire *wire, struct agent_call *call,
		 const struct agent_action *action, struct agent_live *ret_was)
{
	struct agent_profile *profile = &wire->head.profiles[action->profile % AGENT_MAX_PROFILES];
	uint64_t key;

	ret_was->addr = 0;
	if (!key_of(action, arg(call, action->key_arg), &key))
		return;
	if (agent_live_take(wire, key, ret_was))
		ret_was->addr = key;
	else if (!(action->flags & AGENT_PERHAPS))
		__atomic_fetch_add(&profile->unknown, 1, __ATOMIC_RELAXED);
}

static int has_dollar(uint64_t text)
{
	for (const char *c = (const char *)text; c && *c; c++) {
		if (*c == '$')
			return 1;
	}
	return 0;
}

/* Is it one of the calls that the action is for? */
static int is_meant(const struct agent_call *call, const struct agent_action *action)
{
	uint64_t second = arg(call, 1);

	if (action->flags & AGENT_JOINABLE && second &&
	    *(const uint32_t *)(second + ATTR_FLAGS) & ATTR_DETACHED)
		return 0;
	if (action->flags & AGENT_IF_DUP && (uint32_t)second != F_DUPFD &&
	    (uint32_t)second != F_DUPFD_CLOEXEC)
		return 0;
	return !(action->flags & AGENT_NO_ORIGIN) || !has_dollar(arg(call, 0));
}

/* Returns whether the result is needed. */
static int before(struct agent_wire *wire, struct agent_call *call)
{
	int needed = 0;

	/* A child of vfork(2) has this memory, but descriptors of its own. */
	if (agent_pid() != wire->head.pid)
		return 0;
	for (unsigned i = 0; i < AGENT_MAX_ACTIONS; i++) {
		const struct agent_action *action = &call->entry->actions[i];

		call->taken[i].addr = 0;
		switch ((enum agent_what)action->what) {
		case AGENT_NOTHING:
			break;
		case AGENT_REMOVE:
			take(wire, call, action, &call->taken[i]);
			needed |= action->flags & AGENT_IF_ZERO;
			break;
		case AGENT_COUNT:
			count(wire, call, action);
			break;
		case AGENT_ADD:
			if (action->key != AGENT_KEY_ARG)
				needed |= is_meant(call, action);
			else
				add(wire, call, action, arg(call, action->key_arg));
			break;
		}
	}
	return needed;
}

int agent_custom_before(struct agent_wire *wire, struct agent_call *call)
{
	int needed;

	/* Its stack begins at the caller, within the instruction that calls. */
	if (call->entry->kind == AGENT_PROBE) {
		call->regs[AGENT_REG_PC] = *(const uint64_t *)call->regs[AGENT_REG_SP] - 1;
		call->regs[AGENT_REG_SP] += 8;
	}
	needed = before(wire, call);
	if (needed) {
		call->seed = wire->head.seed;
		(void)agent_copy(wire->head.pid, call->args, call->regs[AGENT_REG_SP] + 8,
				 sizeof(call->args));
	}
	__atomic_fetch_sub(&wire->head.inside, 1, __ATOMIC_RELEASE);
	if (!needed)
		return AGENT_STRAIGHT;
	/* Who looks at its caller must find nobody. */
	return agent_table.frame && !(call->entry->actions[0].flags & AGENT_NO_ORIGIN)
		       ? AGENT_BY_FRAME
		       : AGENT_CALLED;
}

/* Has the call done what its key says? */
static int has_added(struct agent_wire *wire, struct agent_call *call,
		     const struct agent_action *action)
{
	uint64_t result = call->result, ignored;

	switch ((enum agent_key)action->key) {
	case AGENT_KEY_ARG:
		return 1;
	case AGENT_KEY_RET:
		if (!key_of(action, result, &ignored))
			return 0;
		add(wire, call, action, result);
		return 1;
	case AGENT_KEY_OUT:
		if ((uint32_t)result != 0)
			return 0;
		add(wire, call, action, *(const uint64_t *)arg(call, action->key_arg));
		return 1;
	case AGENT_KEY_PAIR:
		if ((uint32_t)result != 0)
			return 0;
		for (unsigned i = 0; i < 2; i++)
			add(wire, call, action, ((const uint32_t *)arg(call, action->key_arg))[i]);
		return 1;
	}
	return 0;
}

void agent_custom_after(struct agent_call *call)
{
	struct agent_wire *wire = agent_wire_now();
	int added = 0, failed = 0;

	/* The wire of that time is gone, or this is a child of fork(2). */
	if (!wire || !wire->head.on || wire->head.seed != call->seed)
		return;
	__atomic_fetch_add(&wire->head.inside, 1, __ATOMIC_ACQUIRE);
	for (unsigned i = 0; i < AGENT_MAX_ACTIONS; i++) {
		const struct agent_action *action = &call->entry->actions[i];

		if (action->what != AGENT_ADD || !is_meant(call, action))
			continue;
		if (has_added(wire, call, action))
			added = 1;
		else
			failed = 1;
	}
	for (unsigned i = 0; i < AGENT_MAX_ACTIONS; i++) {
		const struct agent_action *action = &call->entry->actions[i];
		const struct agent_live *was = &call->taken[i];
		int done = action->flags & AGENT_IF_ZERO ? (uint32_t)call->result == 0
							 : added || !failed;

		if (was->addr && !done)
			(void)agent_live_put(wire, was->addr, was->size, was->id);
	}
	__atomic_fetch_sub(&wire->head.inside, 1, __ATOMIC_RELEASE);
}
