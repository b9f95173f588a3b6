/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The agent's code in a target: memory without a file, that cprof has mapped there to count
 * allocations (lib/agent). What it is linked from is a part of cprof, and is the module's file, so
 * that its frames are unwound and named like those of any other.
 *
 * A code area of another cprof is left for memory without a file, although it may have the same
 * mark: its tables would be others.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/agent.h"
#include "base/cleanup.h"
#include "base/err.h"

static bool may_be(const struct process_mapping *m, const char *path)
{
	return !m->inode && !path[0] && m->read && m->exec && !m->write && !m->shared &&
	       m->end - m->start == (agent_image_size + AGENT_PAGE - 1) / AGENT_PAGE * AGENT_PAGE;
}

/* It is written while it is mapped already, and zeroes before. What the table holds differs. */
static enum module_agent compare(const uint8_t *bytes)
{
	enum module_agent found = MODULE_AGENT_HERE;

	for (size_t i = 0; i < agent_image_size; i++) {
		if ((i >= sizeof(AGENT_MAGIC) && i < AGENT_TABLE_SIZE) ||
		    bytes[i] == agent_image[i])
			continue;
		if (bytes[i])
			return MODULE_AGENT_NOT;
		found = MODULE_AGENT_COMES;
	}
	return found;
}

enum module_agent module_agent_look(struct process *process, const struct process_mapping *m,
				    const char *path)
{
	_cleanup_free_ uint8_t *bytes = NULL;

	if (!may_be(m, path))
		return MODULE_AGENT_NOT;
	bytes = malloc(agent_image_size);
	if (!bytes ||
	    process_read(process, m->start, bytes, agent_image_size) != (ssize_t)agent_image_size)
		return MODULE_AGENT_NOT;
	return compare(bytes);
}

int module_agent_open(int *ret_fd)
{
	_cleanup_close_ int fd = memfd_create("cprof-agent", MFD_CLOEXEC);

	if (fd < 0)
		return err_trace(err_errno());
	if (write(fd, agent_elf, agent_elf_size) != (ssize_t)agent_elf_size)
		return err_trace(-ENOSPC);
	*ret_fd = take_fd(&fd);
	return 0;
}

int module_agent_name(struct module *module)
{
	for (size_t i = 0; module->is_agent && i < module->symbols.n; i++) {
		struct symtab_entry *entry = &module->symbols.items[i];
		char **slot = vec_push(&module->owned_names);

		if (!slot)
			return err_trace(-ENOMEM);
		if (asprintf(slot, MODULE_AGENT_PATH " %s", entry->name) < 0) {
			*slot = NULL;
			return err_trace(-ENOMEM);
		}
		entry->name = *slot;
	}
	return 0;
}

bool module_is_agent(const struct module *module)
{
	return module->is_agent;
}
