/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of the target: written to, mapped and unmapped. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inject/inject_priv.h"
#include "tracee/tracee_call.h"

/* How much code of a mapping is searched; what is searched for is in the C library. */
#define SEARCH_MAX (4UL << 20)
#define CALL_TRIES 64

static uint64_t code_size(void)
{
	return (agent_image_size + AGENT_PAGE - 1) / AGENT_PAGE * AGENT_PAGE;
}

static uint64_t wire_size(void)
{
	return (sizeof(struct agent_wire) + AGENT_PAGE - 1) / AGENT_PAGE * AGENT_PAGE;
}

bool inject_is_gone(struct inject *inject)
{
	struct process_mark mark;

	process_mark_read(inject->process, &mark);
	return !mark.addr || mark.addr != inject->mark.addr ||
	       memcmp(mark.bytes, inject->mark.bytes, sizeof(mark.bytes)) != 0;
}

static void search(struct inject *inject, const struct process_mapping *m)
{
	const struct arch *arch = inject->arch;
	size_t size = MIN(m->end - m->start, SEARCH_MAX);
	_cleanup_free_ uint8_t *bytes = malloc(size);
	ssize_t n = bytes ? process_read(inject->process, m->start, bytes, size) : 0;
	const uint8_t *found;

	if (n <= 0)
		return;
	found = memmem(bytes, (size_t)n, arch->call_code, arch->call_code_size);
	if (found && !inject->call_pc)
		inject->call_pc = m->start + (uint64_t)(found - bytes);
	found = memmem(bytes, (size_t)n, arch->resume_code, arch->resume_code_size);
	if (found && !inject->resume_pc)
		inject->resume_pc = m->start + (uint64_t)(found - bytes);
}

bool inject_find_code(struct inject *inject)
{
	inject->call_pc = inject->resume_pc = 0;
	/* First where it belongs. */
	for (int libc = 1; libc >= 0; libc--) {
		for (size_t i = 0; i < inject->maps.mappings.n; i++) {
			const struct process_mapping *m = &inject->maps.mappings.items[i];
			const struct inject_module *module;

			if (!m->exec || !m->read || !m->inode)
				continue;
			module = inject_module_at(inject, m->start);
			if (module && module->is_libc == (libc != 0))
				search(inject, m);
			if (inject->call_pc && inject->resume_pc)
				return true;
		}
	}
	return false;
}

/* A new mapping, or INJECT_NO_MEMORY. */
static int map(struct tracee_call *call, uint64_t size, int protection, uint64_t *ret_addr)
{
	const uint64_t args[6] = {
		0, size, (uint64_t)protection, MAP_PRIVATE | MAP_ANONYMOUS, UINT64_MAX, 0};
	int64_t result = 0;

	if (tracee_call(call, SYS_mmap, args, &result) != TRACEE_OK)
		return INJECT_GONE;
	if (result < 0 && result > -4096)
		return INJECT_NO_MEMORY;
	*ret_addr = (uint64_t)result;
	return INJECT_OK;
}

static int map_code(struct inject *inject, struct tracee_call *call)
{
	uint64_t code;
	int r = map(call, code_size(), PROT_READ | PROT_EXEC, &code);

	if (r != INJECT_OK)
		return r;
	if (!inject_write(inject, code, agent_image, agent_image_size)) {
		const uint64_t args[6] = {code, code_size()};
		int64_t ignored;

		(void)tracee_call(call, SYS_munmap, args, &ignored);
		return INJECT_DENIED;
	}
	inject->code = code;
	return INJECT_OK;
}

static int map_wire(struct inject *inject, struct tracee_call *call)
{
	uint64_t wire, args[6] = {};
	int64_t result = 0;
	int r = map(call, wire_size(), PROT_READ | PROT_WRITE, &wire);

	if (r != INJECT_OK)
		return r;
	args[0] = wire;
	args[1] = wire_size();
	args[2] = MADV_WIPEONFORK;
	if (tracee_call(call, SYS_madvise, args, &result) != TRACEE_OK)
		return INJECT_GONE;
	if (result < 0) {
		(void)tracee_call(call, SYS_munmap, args, &result);
		return INJECT_NO_MEMORY;
	}
	inject->wire = wire;
	/* Until the table names it. */
	return inject_note_wire(inject, wire_size()) ? INJECT_OK : INJECT_DENIED;
}

/* Lets `make` use a thread: one of those that stand still, if one is fit. */
static int with_call(struct inject *inject,
		     int (*make)(struct inject *inject, struct tracee_call *call))
{
	_cleanup_free_ struct tracee_call *call = malloc(sizeof(*call));
	pid_t tid;
	int r;

	if (!call)
		return err_trace(-ENOMEM);
	for (unsigned tries = 0; tries < CALL_TRIES; tries++) {
		r = inject_pick(inject, tries, &tid);
		if (r != INJECT_OK)
			return r;
		r = tracee_call_begin(inject->set, tid, inject->arch, inject->call_pc,
				      inject->resume_pc, call);
		if (r == TRACEE_OK) {
			r = make(inject, call);
			return tracee_call_end(call) == TRACEE_OK ? r : INJECT_GONE;
		}
		if (r == TRACEE_GONE && inject_is_gone(inject))
			return INJECT_GONE;
	}
	return INJECT_NO_THREAD;
}

static int map_both(struct inject *inject, struct tracee_call *call)
{
	int r = inject->code ? INJECT_OK : map_code(inject, call);

	return r != INJECT_OK ? r : map_wire(inject, call);
}

/* What the agent finds in its wire when it is first called. */
static bool fill_wire(struct inject *inject)
{
	struct agent_head head = {};
	struct iovec local = {&head, offsetof(struct agent_head, states)};
	struct iovec remote = {(void *)(uintptr_t)inject->wire, local.iov_len};

	head.on = 1;
	head.rate = inject->options.rate;
	head.pid = (uint64_t)inject->inner_pid;
	(void)getrandom(&head.seed, sizeof(head.seed), GRND_NONBLOCK);
	return process_vm_writev(process_pid(inject->process), &local, 1, &remote, 1, 0) ==
	       (ssize_t)local.iov_len;
}

int inject_map(struct inject *inject)
{
	int r = with_call(inject, map_both);

	if (r == INJECT_OK && !fill_wire(inject)) {
		(void)inject_unmap(inject);
		return INJECT_DENIED;
	}
	return r;
}

bool inject_note_wire(struct inject *inject, uint64_t left)
{
	const uint64_t noted[] = {inject->wire, left};

	inject->wire_left = left;
	return inject_write(inject, inject->code + offsetof(struct agent_table, mapped), noted,
			    sizeof(noted));
}

static int unmap_wire(struct inject *inject, struct tracee_call *call)
{
	const uint64_t args[6] = {inject->wire, inject->wire_left};
	int64_t result = 0;

	/* Before: what is unmapped may be another mapping of the target in the next moment. */
	if (!inject_note_wire(inject, 0))
		return INJECT_DENIED;
	if (tracee_call(call, SYS_munmap, args, &result) != TRACEE_OK)
		return INJECT_GONE;
	inject->wire = 0;
	return INJECT_OK;
}

int inject_unmap(struct inject *inject)
{
	return with_call(inject, unmap_wire);
}
