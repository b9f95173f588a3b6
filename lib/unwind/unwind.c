/* SPDX-License-Identifier: Apache-2.0 */
#include "unwind/unwind.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/vec.h"
#include "base/map64.h"
#include "unwind/unwind_eh.h"
#include "unwind/unwind_expr.h"
#include "unwind/unwind_fp.h"
#include "unwind/unwind_rule.h"
#include "unwind/unwind_table.h"

/* What is read of the code before a return address, for the call there: the longest instruction. */
#define MAX_CALL 16
/* Rules kept before all are forgotten: bounds the memory at 64 MiB for endless JIT code. */
#define MAX_RULES 1300000

struct unwinder {
	struct module_map *map;
	const struct arch *arch;
	struct unwind_table rules;
	VEC(struct unwind_slow) slows;
	VEC(struct unwind_eh) ehs;
	struct map64 eh_of; /* struct module * → index into ehs + 1 */
	struct unwind_fp fp;
	struct unwind_stats stats;
};

int unwinder_new(struct module_map *map, const struct arch *arch, struct unwinder **ret_unwinder)
{
	struct unwinder *unwinder = calloc(1, sizeof(*unwinder));

	if (!unwinder)
		return err_trace(-ENOMEM);
	unwinder->map = map;
	unwinder->arch = arch;
	*ret_unwinder = unwinder;
	return 0;
}

void unwinder_forget(struct unwinder *unwinder)
{
	unwind_table_clear(&unwinder->rules);
	for (size_t i = 0; i < unwinder->slows.n; i++)
		free(unwinder->slows.items[i].frame);
	unwinder->slows.n = 0;
	unwind_fp_forget(&unwinder->fp);
}

struct unwinder *unwinder_free(struct unwinder *unwinder)
{
	if (!unwinder)
		return NULL;
	unwinder_forget(unwinder);
	unwind_fp_deinit(&unwinder->fp);
	unwind_table_deinit(&unwinder->rules);
	vec_deinit(&unwinder->ehs);
	map64_deinit(&unwinder->eh_of);
	vec_deinit(&unwinder->slows);
	free(unwinder);
	return NULL;
}

const struct unwind_stats *unwinder_stats(const struct unwinder *unwinder)
{
	return &unwinder->stats;
}

void unwind_stats_add(struct unwind_stats *sum, const struct unwind_stats *stats)
{
	sum->frames += stats->frames;
	sum->fp_frames += stats->fp_frames;
	sum->rules += stats->rules;
	sum->slow_steps += stats->slow_steps;
	sum->found_fps += stats->found_fps;
}

/* NULL when out of memory: then libdw has to do. */
static const struct unwind_eh *eh_of(struct unwinder *u, struct module *module)
{
	struct unwind_eh *eh;
	uint64_t *index;

	if (map64_put(&u->eh_of, (uintptr_t)module, &index) < 0)
		return NULL;
	if (*index)
		return &u->ehs.items[*index - 1];
	eh = vec_push(&u->ehs);
	if (!eh)
		return NULL;
	unwind_eh_init(eh, module);
	*index = u->ehs.n;
	return eh;
}

/* The entry is in the table, or in `spare` when it is not kept. */
static const struct unwind_entry *add_rule(struct unwinder *u, uint64_t pc,
					   struct unwind_entry *spare)
{
	const struct module_mapping *mapping = module_map_find(u->map, pc);
	struct unwind_slow slow = {}, *slow_slot;
	struct unwind_rule *rule = &spare->rule;
	const struct unwind_eh *eh;
	struct unwind_entry *kept;

	*spare = (struct unwind_entry){.pc = pc, .rule.kind = UNWIND_NO_CFI};
	if (!mapping)
		return spare; /* the map may learn of it */
	if (u->rules.n >= MAX_RULES)
		unwinder_forget(u);
	u->stats.rules++;
	eh = eh_of(u, mapping->module);
	switch (eh ? unwind_eh_rule(eh, u->arch, pc, rule) : UNWIND_EH_ASK) {
	case UNWIND_EH_RULE:
		break;
	case UNWIND_EH_NONE:
		unwind_rule_make_debug(mapping->module, u->arch, pc, rule, &slow);
		break;
	case UNWIND_EH_ASK:
		unwind_rule_make(mapping->module, u->arch, pc, rule, &slow);
		break;
	}
	if (rule->kind == UNWIND_SLOW) {
		slow_slot = vec_push(&u->slows);
		if (!slow_slot) {
			free(slow.frame);
			rule->kind = UNWIND_NO_CFI;
			return spare;
		}
		*slow_slot = slow;
		rule->cfa_offset = (int32_t)(u->slows.n - 1);
	}
	kept = unwind_table_add(&u->rules, pc);
	/* Out of memory here costs only the speed of the next lookup. */
	if (!kept)
		return spare;
	kept->rule = *rule;
	return kept;
}

void unwinder_tag(struct unwinder *unwinder, uint64_t lookup_pc, uint32_t tag)
{
	struct unwind_entry *entry = unwind_table_find(&unwinder->rules, lookup_pc);

	if (entry)
		entry->tag = tag;
}

/* What a step came to, in the terms of why a trace ends. */
enum step {
	STEP_OK,
	STEP_ROOT,
	STEP_CUT,
	STEP_NO_CFI,
	STEP_BAD_MEMORY,
	STEP_NO_REGISTER,
	STEP_LOOP,
};

struct cursor {
	const struct snapshot *snapshot;
	struct arch_regs regs;
	uint64_t top;
	uint32_t certain; /* frames before the first frame pointer that was found; 0: none was */
};

static enum step missing(const struct cursor *c, uint64_t addr)
{
	uint64_t end = c->snapshot->stack_addr + c->snapshot->n_bytes;

	/* Inside the stack's mapping but not copied, as opposed to nonsense. */
	if (addr + 8 > end && addr < c->snapshot->stack_end)
		return STEP_CUT;
	return STEP_BAD_MEMORY;
}

static void note_top(struct cursor *c, uint64_t top)
{
	if (top > c->top && top <= c->snapshot->stack_addr + c->snapshot->n_bytes)
		c->top = top;
}

static enum step step_compact(struct cursor *c, const struct arch *arch,
			      const struct unwind_rule *rule)
{
	uint64_t cfa, pc, saved[UNWIND_MAX_SAVED];
	uint32_t got = 0;

	if (!arch_reg_known(&c->regs, rule->cfa_reg))
		return STEP_NO_REGISTER;
	cfa = c->regs.values[rule->cfa_reg] + (uint64_t)(int64_t)rule->cfa_offset;
	if (cfa <= c->regs.values[arch->sp])
		return STEP_LOOP;
	if (!snapshot_word(c->snapshot, cfa - 8ULL * rule->ra_slot, &pc))
		return missing(c, cfa - 8ULL * rule->ra_slot);
	note_top(c, cfa);
	/* Only sp, pc and what a callee preserves has a meaning in the caller. All are read before
	 * one is set: the rule of the CFA may use any. */
	for (uint32_t left = rule->saved; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		if (rule->slots[i] != UNWIND_UNDEFINED &&
		    snapshot_word(c->snapshot, cfa - 8ULL * rule->slots[i], &saved[i]))
			got |= 1U << i;
	}
	for (uint32_t left = rule->saved; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left), reg = arch->saved[i];

		if (got >> i & 1)
			arch_reg_set(&c->regs, reg, saved[i]);
		else
			c->regs.known &= ~(1U << reg);
	}
	c->regs.values[arch->sp] = cfa;
	c->regs.values[arch->pc] = pc;
	return pc ? STEP_OK : STEP_ROOT;
}

static enum step from_expr(const struct cursor *c, enum unwind_expr r, uint64_t need)
{
	switch (r) {
	case UNWIND_EXPR_OK:
		return STEP_OK;
	case UNWIND_EXPR_UNDEFINED:
		return STEP_ROOT;
	case UNWIND_EXPR_MEMORY:
		return need ? missing(c, need) : STEP_BAD_MEMORY;
	case UNWIND_EXPR_REGISTER:
		return STEP_NO_REGISTER;
	case UNWIND_EXPR_BAD:
		break;
	}
	return STEP_NO_CFI;
}

static enum step step_slow(struct cursor *c, const struct arch *arch,
			   const struct unwind_slow *slow, bool signal)
{
	struct arch_regs caller = {};
	uint64_t cfa, value, need = 0, sp = c->regs.values[arch->sp];
	enum unwind_expr r = unwind_expr_cfa(slow, &c->regs, c->snapshot, &cfa, &need);

	if (r != UNWIND_EXPR_OK)
		return from_expr(c, r, need);
	r = unwind_expr_register(slow, arch->pc, cfa, &c->regs, c->snapshot, &value, &need);
	if (r != UNWIND_EXPR_OK)
		return from_expr(c, r, need);
	arch_reg_set(&caller, arch->pc, value);
	for (unsigned reg = 0; reg < arch->n_regs; reg++) {
		if (reg == arch->pc || reg == arch->sp)
			continue;
		r = unwind_expr_register(slow, reg, cfa, &c->regs, c->snapshot, &value, &need);
		if (r == UNWIND_EXPR_OK)
			arch_reg_set(&caller, reg, value);
	}
	/* A signal frame restores sp from the saved context; elsewhere it is the CFA. */
	if (!signal || unwind_expr_register(slow, arch->sp, cfa, &c->regs, c->snapshot, &value,
					    &need) != UNWIND_EXPR_OK)
		value = cfa;
	/* A handler may run on an alternate stack, so only ordinary frames must move up. */
	if (!signal && value <= sp)
		return STEP_LOOP;
	arch_reg_set(&caller, arch->sp, value);
	note_top(c, value);
	c->regs = caller;
	return caller.values[arch->pc] ? STEP_OK : STEP_ROOT;
}

/*
 * No CFI: the frame pointer, if it is one. The ABI wants it zero in the outermost frame (psABI
 * 3.4.1), which is how a start routine in assembly without CFI ends a trace.
 */
static enum step step_fp(struct unwinder *u, struct cursor *c)
{
	const struct arch *arch = u->arch;
	uint64_t fp = c->regs.values[arch->fp], caller_fp, pc;
	const struct module_mapping *here = module_map_find(u->map, c->regs.values[arch->pc]);

	if (!arch_reg_known(&c->regs, arch->fp))
		return STEP_NO_CFI;
	if (fp == 0 && here && module_is_elf(here->module))
		return STEP_ROOT;
	if (fp < c->regs.values[arch->sp] || fp % 8 || !snapshot_word(c->snapshot, fp, &caller_fp))
		return STEP_NO_CFI;
	if (!snapshot_word(c->snapshot, fp + 8, &pc) || !module_map_find(u->map, pc - 1))
		return STEP_NO_CFI;
	note_top(c, fp + 16);
	c->regs.known = 1U << arch->pc | 1U << arch->sp | 1U << arch->fp;
	c->regs.values[arch->sp] = fp + 16;
	c->regs.values[arch->fp] = caller_fp;
	c->regs.values[arch->pc] = pc;
	u->stats.fp_frames++;
	return STEP_OK;
}

/* Right behind its clone(2) a thread is in code whose CFI ends before the instruction, because it
 * would be wrong in the new thread (glibc 2.36, sysdeps/unix/sysv/linux/x86_64/clone3.S), or that
 * has none (musl). Such code is a leaf that leaves sp and what a callee preserves alone: the return
 * address is where it was pushed, and behind a call. */
static enum step step_clone(struct unwinder *u, struct cursor *c)
{
	uint64_t sp = c->regs.values[u->arch->sp], pc, ignored;
	const struct module_mapping *mapping;
	size_t before, after;
	const uint8_t *code;

	if (!snapshot_word(c->snapshot, sp, &pc))
		return missing(c, sp);
	mapping = module_map_find(u->map, pc - 1);
	code = mapping ? module_text(mapping->module, pc, &before, &after) : NULL;
	if (!code || !arch_call_before(u->arch, code, MIN(before, (size_t)MAX_CALL), pc, &ignored))
		return STEP_NO_CFI;
	c->regs.values[u->arch->sp] = sp + 8;
	c->regs.values[u->arch->pc] = pc;
	note_top(c, sp + 8);
	return STEP_OK;
}

/* The frame pointer of a thread that was not stopped, see unwind_fp.h. */
static void find_fp(struct unwinder *u, struct cursor *c, const struct unwind_rule *rule,
		    const struct frame *frame, uint32_t n_frames)
{
	unsigned reg = u->arch->fp;
	uint64_t fp;

	if (!unwind_fp_find(&u->fp, u->map, u->arch, rule, c->snapshot, frame_lookup_pc(frame),
			    c->regs.values[u->arch->sp], &fp))
		return;
	arch_reg_set(&c->regs, reg, fp);
	if (!c->certain)
		c->certain = n_frames;
	u->stats.found_fps++;
}

static enum step step(struct unwinder *u, struct cursor *c, struct frame *frame, uint32_t n_frames,
		      bool *ret_exact)
{
	const struct unwind_entry *entry = unwind_table_find(&u->rules, frame_lookup_pc(frame));
	const struct unwind_rule *rule;
	struct unwind_entry spare;

	if (!entry)
		entry = add_rule(u, frame_lookup_pc(frame), &spare);
	rule = &entry->rule;
	/* Nothing called a signal trampoline: it was entered at its first byte, and what it
	 * returns to stopped at its pc itself. */
	if (rule->signal)
		frame->exact = true;
	/* That changes the lookup pc. */
	frame->tag = rule->signal ? 0 : entry->tag;
	*ret_exact = rule->signal;
	switch ((enum unwind_rule_kind)rule->kind) {
	case UNWIND_COMPACT:
		if (rule->cfa_reg == u->arch->fp && !arch_reg_known(&c->regs, u->arch->fp))
			find_fp(u, c, rule, frame, n_frames);
		return step_compact(c, u->arch, rule);
	case UNWIND_SLOW:
		u->stats.slow_steps++;
		return step_slow(c, u->arch, &u->slows.items[rule->cfa_offset], rule->signal);
	case UNWIND_ROOT:
		return STEP_ROOT;
	case UNWIND_NO_CFI:
		break;
	}
	return n_frames == 1 && c->snapshot->created ? step_clone(u, c) : step_fp(u, c);
}

static enum trace_end end_of(enum step step)
{
	switch (step) {
	case STEP_ROOT:
		return TRACE_ROOT;
	case STEP_CUT:
		return TRACE_CUT;
	case STEP_NO_CFI:
		return TRACE_NO_CFI;
	case STEP_BAD_MEMORY:
		return TRACE_BAD_MEMORY;
	case STEP_NO_REGISTER:
		return TRACE_NO_REGISTER;
	case STEP_LOOP:
		return TRACE_LOOP;
	case STEP_OK:
		break;
	}
	return TRACE_DEPTH;
}

void unwinder_run(struct unwinder *u, const struct snapshot *snapshot, struct trace *ret_trace,
		  uint64_t *ret_top)
{
	struct cursor c = {.snapshot = snapshot, .regs = snapshot->regs};
	bool exact = true;
	enum step r;

	ret_trace->n_frames = 0;
	ret_trace->end = TRACE_DEPTH;
	while (ret_trace->n_frames < TRACE_MAX_FRAMES) {
		struct frame *frame = &ret_trace->frames[ret_trace->n_frames++];

		frame->pc = c.regs.values[u->arch->pc];
		frame->exact = exact;
		r = step(u, &c, frame, ret_trace->n_frames, &exact);
		if (r != STEP_OK) {
			ret_trace->end = end_of(r);
			break;
		}
	}
	/* What was found is believed if it leads to the root. */
	if (c.certain && ret_trace->end != TRACE_ROOT && ret_trace->end != TRACE_CUT &&
	    ret_trace->end != TRACE_DEPTH) {
		ret_trace->n_frames = c.certain;
		ret_trace->end = TRACE_NO_REGISTER;
	}
	u->stats.frames += ret_trace->n_frames;
	*ret_top = c.top;
}
