/* SPDX-License-Identifier: Apache-2.0 */
#include "session/session_lock.h"

#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "symbol/symbol.h"

/* What is read of the code before a return address, for the call there: the longest instruction. */
#define MAX_CALL 16

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Which C library has the function that a thread waits in: a file of its own, or linked in. */
static enum process_libc find_libc(struct module *module)
{
	static const char *const names[] = {"gnu_get_libc_version", "__lll_lock_wait",
					    "__timedwait_cp", "__init_libc"};
	uint64_t found = module_defines(module, names, ARRAY_SIZE(names));
	const char *name = base_name(module_path(module));

	if (found & 3)
		return PROCESS_LIBC_GLIBC;
	if (found & 12 || strncmp(name, "ld-musl", 7) == 0 || strcmp(name, "libc.so") == 0)
		return PROCESS_LIBC_MUSL;
	return PROCESS_LIBC_UNKNOWN;
}

static enum process_libc libc_of(struct session_locks *locks, struct module *module)
{
	if (locks->libc_module != module) {
		locks->libc_module = module;
		locks->libc = find_libc(module);
	}
	return locks->libc;
}

static const char *symbol_name(struct module *module, uint64_t addr)
{
	struct module_symbol symbol;

	return module_symbol_at(module, addr, &symbol) ? symbol.name : NULL;
}

/* The name of what a frame called, by the call instruction before its return address: where the
 * callee has no name (a stripped libc), or left by a jump to another function, the entry of the
 * linkage table still has one. */
static const char *callee_of(struct session_locks *locks, struct module *module, uint64_t pc)
{
	const struct module_mapping *mapping;
	size_t before, after;
	const uint8_t *code = module_text(module, pc, &before, &after);
	uint64_t target;

	if (!code ||
	    !arch_call_before(arch_native(), code, MIN(before, (size_t)MAX_CALL), pc, &target) ||
	    !target)
		return NULL;
	mapping = module_map_find(locks->map, target);
	return mapping ? symbol_name(mapping->module, target) : NULL;
}

/* The functions of the C library that a thread is in, with what is known of their names, and the
 * one that called them. What a signal has interrupted is none of them. */
static unsigned functions_of(struct session_locks *locks, const struct trace *trace,
			     const struct module *libc,
			     const char *functions[static PROCESS_LOCK_FUNCTIONS])
{
	unsigned n = 0;

	for (uint32_t i = 0; i < trace->n_frames && n + 2 <= PROCESS_LOCK_FUNCTIONS; i++) {
		const struct frame *frame = &trace->frames[i];
		const struct module_mapping *mapping =
			module_map_find(locks->map, frame_lookup_pc(frame));

		if (!mapping || (i > 0 && frame->exact))
			break;
		if (i > 0)
			functions[n++] = callee_of(locks, mapping->module, frame->pc);
		functions[n++] = symbol_name(mapping->module, frame_lookup_pc(frame));
		if (mapping->module != libc)
			break;
	}
	return n;
}

enum process_lock_kind session_lock_kind(struct session_locks *locks, const struct trace *trace,
					 enum process_libc *ret_libc)
{
	const char *functions[PROCESS_LOCK_FUNCTIONS];
	const struct module_mapping *leaf =
		trace->n_frames ? module_map_find(locks->map, trace->frames[0].pc) : NULL;

	*ret_libc = PROCESS_LIBC_UNKNOWN;
	if (!leaf)
		return PROCESS_LOCK_NONE;
	*ret_libc = libc_of(locks, leaf->module);
	return process_lock_kind(functions, functions_of(locks, trace, leaf->module, functions));
}

void session_lock_read(struct session_locks *locks, const struct trace *trace,
		       const struct process_wait *wait, struct process_lock *ret_lock)
{
	struct process_lock_words words;
	enum process_lock_kind kind;
	enum process_libc libc;

	*ret_lock = (struct process_lock){};
	if (wait->kind != PROCESS_WAIT_FUTEX)
		return;
	kind = session_lock_kind(locks, trace, &libc);
	process_lock_words_read(locks->process, wait->futex_addr, &words);
	process_lock_read(wait, &words, kind, libc, ret_lock);
}

void session_lock_name(struct session_locks *locks, uint64_t addr, char *text, size_t cap)
{
	struct module *module = module_map_find_data(locks->map, addr);
	_cleanup_free_ char *plain = NULL, *name = NULL;
	struct module_symbol symbol;
	size_t n;

	text[0] = '\0';
	if (!module || !module_object_at(module, addr, &symbol))
		return;
	plain = strndup(symbol.name, strcspn(symbol.name, "@"));
	name = plain ? symbol_demangle(plain) : NULL;
	if (!name)
		return;
	n = text_clean(text, cap, name, strlen(name));
	if (addr != symbol.addr)
		text_add(text, cap, n, "+0x%llx", (unsigned long long)(addr - symbol.addr));
}
