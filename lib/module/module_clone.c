/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A module for another thread.
 *
 * The file is opened at once, while the process is most likely still there; what cannot be opened a
 * second time (memory of the target, a file that has gone with its process) is copied from where
 * the first module has it mapped.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

DEFINE_CLEANUP(struct module *, module_free)

static int copy_file(const struct module *module, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	const char *bytes;
	size_t size, at = 0;

	bytes = elf_rawfile(module->elf, &size);
	if (!bytes)
		return err_trace(-ENOEXEC);
	fd = memfd_create("cprof-clone", MFD_CLOEXEC);
	if (fd < 0)
		return err_trace(err_errno());
	while (at < size) {
		ssize_t n = write(fd, bytes + at, size - at);

		if (n <= 0)
			return err_trace(-ENOSPC);
		at += (size_t)n;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int module_clone(struct module *module, struct process *process, struct module **ret_clone)
{
	_cleanup_(module_free_cleanup) struct module *clone = calloc(1, sizeof(*clone));
	int r = -ENOENT;

	if (!clone)
		return err_trace(-ENOMEM);
	clone->alt_fd = clone->given_fd = -1;
	clone->process = process;
	clone->path = strdup(module->path);
	if (!clone->path)
		return err_trace(-ENOMEM);
	clone->device = module->device;
	clone->inode = module->inode;
	clone->is_vdso = module->is_vdso;
	clone->is_agent = module->is_agent;
	clone->start = module->start;
	clone->end = module->end;
	clone->offset = module->offset;
	if (!module_ensure_open(module)) {
		clone->opened = true;
		clone->bias = module->bias;
	} else {
		if (module->inode != 0)
			r = module_open_file(clone, &clone->given_fd);
		if (r < 0)
			r = copy_file(module, &clone->given_fd);
		if (r < 0)
			clone->opened = true;
	}
	/* What was wrong with opening it is so for both. */
	if (r >= 0 || module->problem[0])
		memcpy(clone->problem, module->problem, sizeof(clone->problem));
	*ret_clone = take_ptr(clone);
	return 0;
}
