/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent: what runs inside the target when an allocation is sampled, or an address freed that
 * may be a sampled one. Everything else is arch/agent_x86_64.S.
 *
 * Reached from wrapped functions on the program's own threads and in its signal handlers, so: no
 * libc, no lock, no writable data of its own, no wait, no memory but the wire's, nothing that
 * touches errno or vector registers. It may be interrupted anywhere, by itself too, and be left
 * by longjmp(3): the cost is a place in the wire, never a wrong answer to the program.
 */
#include "agent/agent_priv.h"

/* Fixed-point bits of logarithms; a mean of 2^40 bytes still fits. */
#define LOG_BITS 16

/* Marsaglia's xorshift64*: enough for distances. */
static uint64_t next_random(struct agent_slot *slot)
{
	uint64_t x = slot->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	slot->random = x;
	return x * 0x2545f4914f6cdd1dULL;
}

/* 64 - log2(u) with LOG_BITS of fraction, by squaring: a bit of the logarithm at a time. */
static uint64_t minus_log2(uint64_t u)
{
	unsigned exponent = 63 - (unsigned)__builtin_clzll(u);
	uint64_t mantissa = u << (63 - exponent) >> 32, log = exponent;

	for (int i = 0; i < LOG_BITS; i++) {
		mantissa = mantissa * mantissa >> 31;
		log <<= 1;
		if (mantissa >> 32) {
			log |= 1;
			mantissa >>= 1;
		}
	}
	return (64ULL << LOG_BITS) - log;
}

/* Bytes to the next sample: exponentially distributed, so that every byte is as likely to be
 * sampled, as in Go's runtime (src/runtime/malloc.go nextSample). 45426 / 65536: ln 2. */
static int64_t draw(const struct agent_wire *wire, struct agent_slot *slot)
{
	uint64_t log;

	if (wire->head.rate <= 1)
		return 0;
	/* The bits of the logarithm that were not computed are as good as random. */
	log = (minus_log2(next_random(slot) | 1) << 16) - (next_random(slot) >> 48);
	log = log * 45426 >> 16;
	return (int64_t)((unsigned __int128)log * wire->head.rate >> 32);
}

static struct agent_slot *own_slot(struct agent_wire *wire, uint64_t owner)
{
	uint64_t at = agent_hash(owner, 12), nobody;
	struct agent_slot *slot = &wire->slots[at];

	for (unsigned i = 0; i < 8; i++) {
		struct agent_slot *other = &wire->slots[(at + i) % AGENT_N_SLOTS];

		nobody = 0;
		if (other->owner == owner)
			return other;
		if (other->owner ||
		    !__atomic_compare_exchange_n(&other->owner, &nobody, owner, 0, __ATOMIC_ACQUIRE,
						 __ATOMIC_RELAXED))
			continue;
		other->random = (wire->head.seed ^ owner * 0x9e3779b97f4a7c15ULL) | 1;
		other->left = draw(wire, other);
		return other;
	}
	/* One that ended may have had it: threads that share one lose a few bytes now and then. */
	__atomic_fetch_add(&wire->head.n_shared, 1, __ATOMIC_RELAXED);
	return slot;
}

static void filter_add(struct agent_wire *wire, uint64_t addr, int change)
{
	uint8_t *place = &wire->filter[agent_hash(addr, AGENT_FILTER_BITS)];
	uint8_t was = __atomic_load_n(place, __ATOMIC_RELAXED);

	/* It is for free(3). */
	if (addr >> AGENT_KEY_BITS)
		return;
	while (was != 255 && !__atomic_compare_exchange_n(place, &was, (uint8_t)(was + change), 0,
							  __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

struct agent_wire *agent_wire_now(void)
{
	/* As it is now: the assembly may have read it long ago. */
	return (struct agent_wire *)*(const volatile uint64_t *)&agent_table.wire;
}

static struct agent_live *live_at(struct agent_wire *wire, uint64_t addr, unsigned i)
{
	return &wire->live[(agent_hash(addr, 16) + i) % AGENT_N_LIVE];
}

int agent_live_take(struct agent_wire *wire, uint64_t addr, struct agent_live *ret_was)
{
	if (addr <= AGENT_LIVE_BUSY)
		return 0;
	for (unsigned i = 0; i < AGENT_LIVE_PROBES; i++) {
		struct agent_live *live = live_at(wire, addr, i);
		uint64_t found = __atomic_load_n(&live->addr, __ATOMIC_ACQUIRE);

		if (found == 0)
			return 0;
		if (found != addr)
			continue;
		ret_was->size = live->size;
		ret_was->id = live->id;
		if (!__atomic_compare_exchange_n(&live->addr, &found, AGENT_LIVE_FREED, 0,
						 __ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return 0;
		filter_add(wire, addr, -1);
		return 1;
	}
	return 0;
}

int agent_live_put(struct agent_wire *wire, uint64_t addr, uint64_t size, uint64_t id)
{
	for (unsigned i = 0; i < AGENT_LIVE_PROBES; i++) {
		struct agent_live *live = live_at(wire, addr, i);
		uint64_t found = __atomic_load_n(&live->addr, __ATOMIC_RELAXED);

		if (found > AGENT_LIVE_FREED ||
		    !__atomic_compare_exchange_n(&live->addr, &found, AGENT_LIVE_BUSY, 0,
						 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		live->size = size;
		live->id = id;
		filter_add(wire, addr, 1);
		__atomic_store_n(&live->addr, addr, __ATOMIC_RELEASE);
		return 1;
	}
	return 0;
}

static void put_alloc(struct agent_wire *wire, uint64_t addr, uint64_t size, uint64_t id)
{
	struct agent_live stale;

	/* Freed where we do not see it, for instance by a module that was just loaded. */
	while (agent_live_take(wire, addr, &stale))
		;
	if (!agent_live_put(wire, addr, size, id))
		__atomic_fetch_add(&wire->head.n_not_live, 1, __ATOMIC_RELAXED);
}

/* The stack is copied by the kernel, which knows where it ends. */
void agent_put_sample(struct agent_wire *wire, const struct agent_call *call,
		      const struct agent_action *action, uint64_t size, uint64_t id)
{
	struct agent_lost *lost;

	/* Always the first free one: most of the memory is never touched. */
	for (unsigned i = 0; i < AGENT_N_SAMPLES; i++) {
		struct agent_sample *sample = &wire->samples[i];
		uint32_t state = AGENT_SAMPLE_FREE;

		if (__atomic_load_n(&wire->head.states[i], __ATOMIC_RELAXED) != state ||
		    !__atomic_compare_exchange_n(&wire->head.states[i], &state, AGENT_SAMPLE_BUSY,
						 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		sample->id = id;
		sample->size = size;
		sample->profile = action ? (uint16_t)(action->profile + 1) : 0;
		sample->what = action ? action->what : 0;
		sample->skip = action && action->skip_arg ? agent_skip(call, action) : 0;
		for (unsigned k = 0; k < AGENT_N_REGS; k++)
			sample->regs[k] = call->regs[k];
		sample->n_bytes = agent_copy(wire->head.pid, sample->bytes,
					     call->regs[AGENT_REG_SP], AGENT_STACK_MAX);
		__atomic_store_n(&wire->head.states[i], AGENT_SAMPLE_READY, __ATOMIC_RELEASE);
		return;
	}
	if (action) {
		__atomic_fetch_add(&wire->head.profiles[action->profile].no_stack, 1,
				   __ATOMIC_RELAXED);
		return;
	}
	lost = &wire->lost[agent_lost_class(call->size)];
	__atomic_fetch_add(&lost->count, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&lost->bytes, call->size, __ATOMIC_RELAXED);
	__atomic_fetch_add(&wire->head.n_no_room, 1, __ATOMIC_RELAXED);
}

/* False when the product is too large: the call will fail. */
static int size_of(const struct agent_call *call, uint64_t *ret_size)
{
	const uint64_t *regs = call->regs;

	switch ((enum agent_size)call->entry->size) {
	case AGENT_SIZE_ARG0:
		*ret_size = regs[AGENT_REG_ARG0];
		return 1;
	case AGENT_SIZE_ARG1:
		*ret_size = regs[AGENT_REG_ARG1];
		return 1;
	case AGENT_SIZE_ARG2:
		*ret_size = regs[AGENT_REG_ARG2];
		return 1;
	case AGENT_SIZE_ARGS01:
		return !__builtin_mul_overflow(regs[AGENT_REG_ARG0], regs[AGENT_REG_ARG1],
					       ret_size);
	case AGENT_SIZE_ARGS12:
		return !__builtin_mul_overflow(regs[AGENT_REG_ARG1], regs[AGENT_REG_ARG2],
					       ret_size);
	}
	return 0;
}

static int before(struct agent_wire *wire, struct agent_call *call)
{
	struct agent_slot *slot;

	if (call->entry->kind != AGENT_FREE && !size_of(call, &call->size))
		return 0;
	/* Before it is freed: from then on another thread may get the same address. */
	if (call->entry->kind == AGENT_FREE || call->entry->kind == AGENT_REALLOC)
		call->moved =
			(uint64_t)agent_live_take(wire, call->regs[AGENT_REG_ARG0], &call->old);
	if (call->entry->kind == AGENT_FREE)
		return 0;
	slot = own_slot(wire, call->owner);
	if (!call->counted)
		slot->left -= (int64_t)call->size;
	if (slot->left <= 0) {
		slot->left = draw(wire, slot);
		call->sampled = 1;
	}
	return call->sampled || call->moved;
}

int agent_before(struct agent_call *call)
{
	struct agent_wire *wire = agent_wire_now();

	call->wire = wire;
	call->sampled = call->moved = 0;
	if (!wire || !wire->head.on)
		return 0;
	__atomic_fetch_add(&wire->head.inside, 1, __ATOMIC_ACQUIRE);
	if (call->entry->kind >= AGENT_CALL)
		return agent_custom_before(wire, call);
	if (before(wire, call))
		return 1;
	__atomic_fetch_sub(&wire->head.inside, 1, __ATOMIC_RELEASE);
	return 0;
}

int agent_after(struct agent_call *call)
{
	struct agent_wire *wire = call->wire;
	uint64_t addr = call->result, id;

	if (call->entry->kind >= AGENT_CALL) {
		agent_custom_after(call);
		return 0;
	}
	if (call->entry->kind == AGENT_ALLOC_OUT)
		addr = call->result == 0 ? *(const uint64_t *)call->regs[AGENT_REG_ARG0] : 0;
	/* A failed realloc leaves the old block as it was, one to size 0 has freed it. */
	if (!addr && call->moved && call->size)
		put_alloc(wire, call->regs[AGENT_REG_ARG0], call->old.size, call->old.id);
	if (addr && call->sampled) {
		id = __atomic_add_fetch(&wire->head.n_samples, 1, __ATOMIC_RELAXED);
		put_alloc(wire, addr, call->size, id);
		agent_put_sample(wire, call, NULL, call->size, id);
	}
	__atomic_fetch_sub(&wire->head.inside, 1, __ATOMIC_RELEASE);
	return !addr && call->entry->sampled != call->entry->original;
}
