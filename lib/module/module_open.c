/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the file that is mapped, and no other.
 *
 * A path may by now lead to another file (an upgraded package). So whatever is opened is compared
 * with the device and inode of the mapping; an inode that is mapped cannot be given to another
 * file meanwhile. Ways, in order: the path in the target's root; the path in ours (the kernel
 * writes the paths of a chroot(2)ed process as the reader sees them); /proc/PID/exe; and
 * /proc/PID/map_files, which takes privileges and finds deleted files too.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

DEFINE_CLEANUP(struct process *, process_close)

/* The device and inode of an open file as /proc/self/maps shows them. */
static int mapped_identity(int fd, uint64_t *ret_device, uint64_t *ret_inode)
{
	_cleanup_(process_close_cleanup) struct process *self = NULL;
	const struct process_mapping *m;
	struct process_maps maps;
	void *page;
	int r;

	r = process_open(getpid(), &self);
	if (r < 0)
		return err_trace(r);
	page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
	if (page == MAP_FAILED)
		return err_trace(err_errno());
	r = process_maps_read(self, &maps);
	munmap(page, 1);
	if (r < 0)
		return err_trace(r);
	m = process_maps_find(&maps, (uintptr_t)page);
	if (m) {
		*ret_device = m->device;
		*ret_inode = m->inode;
	}
	process_maps_deinit(&maps);
	return m ? 0 : -ENOENT;
}

bool module_is_file(int fd, uint64_t device, uint64_t inode)
{
	uint64_t own_device = 0, own_inode = 0;
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0)
		return false;
	if (st.st_dev == device && st.st_ino == inode)
		return true;
	/*
	 * btrfs subvolumes and overlayfs report another device (and overlayfs another inode) in
	 * stat(2) than in maps. What maps would show for this file is found by mapping it.
	 */
	return mapped_identity(fd, &own_device, &own_inode) == 0 && own_device == device &&
	       own_inode == inode;
}

typedef int (*open_fn)(const struct module *module, int *ret_fd);

static int open_in_target(const struct module *module, int *ret_fd)
{
	return process_root_open(module->process, module->path, ret_fd);
}

static int open_in_own_root(const struct module *module, int *ret_fd)
{
	return process_own_open(module->path, ret_fd);
}

static int open_exe(const struct module *module, int *ret_fd)
{
	return process_link_open(module->process, "exe", ret_fd);
}

static int open_map_file(const struct module *module, int *ret_fd)
{
	char name[64];

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, module->start, module->end);
	return process_link_open(module->process, name, ret_fd);
}

int module_open_file(struct module *module, int *ret_fd)
{
	static const open_fn ways[] = {open_in_target, open_in_own_root, open_exe, open_map_file};
	int first_error = 0, r = -ENOENT;
	bool other_file = false;

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		_cleanup_close_ int fd = -1;

		r = ways[i](module, &fd);
		if (r == 0 && module_is_file(fd, module->device, module->inode)) {
			*ret_fd = take_fd(&fd);
			return 0;
		}
		/* exe is mostly another file, and that says nothing about this one. */
		if (r == 0 && ways[i] != open_exe)
			other_file = true;
		if (i == 0)
			first_error = r;
	}
	if (other_file)
		module_set_problem(module, "file changed since it was mapped");
	else if (first_error == -EINVAL)
		module_set_problem(module, "not a regular file");
	else
		module_set_problem(module, "cannot open the file: %s", strerror(-first_error));
	return first_error < 0 ? first_error : -ESTALE;
}
