/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening files by path in the target's root, and in ours.
 *
 * The target chooses its files, so nothing about a path is trusted: resolution cannot leave the
 * root, and the file is first looked at through O_PATH (which opens no FIFO, no device and wakes
 * nobody) and only opened when it is a regular file.
 */
#include "process/process_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/err.h"

#define RESOLVE_TRIES 16

/* glibc 2.36 has no wrapper for openat2(2). */
static int open_path(int rootfd, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC,
			       .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	long fd = -1;

	/* EAGAIN: a rename or mount happened while ".." was resolved, see openat2(2). */
	for (int i = 0; i < RESOLVE_TRIES; i++) {
		fd = syscall(SYS_openat2, rootfd, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? err_errno() : (int)fd;
}

/* Opens for reading what an O_PATH descriptor stands for; never a FIFO, a device or a directory. */
static int reopen_regular(int path_fd, int *ret_fd)
{
	char link[32];
	struct stat st;
	int fd;

	if (fstat(path_fd, &st) < 0)
		return err_trace(err_errno());
	if (!S_ISREG(st.st_mode))
		return err_trace(-EINVAL);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	fd = open(link, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return err_trace(err_errno());
	*ret_fd = fd;
	return 0;
}

int process_open_below(int rootfd, const char *path, int flags, int *ret_fd)
{
	_cleanup_close_ int fd = -1;

	fd = open_path(rootfd, path);
	if (fd < 0)
		return fd; /* mostly ENOENT, and that is no event */
	if (flags & O_PATH) {
		*ret_fd = take_fd(&fd);
		return 0;
	}
	return reopen_regular(fd, ret_fd);
}

int process_link_open(struct process *process, const char *name, int *ret_fd)
{
	_cleanup_close_ int fd = process_mm_open(process, name, O_PATH);

	if (fd < 0)
		return fd;
	return reopen_regular(fd, ret_fd);
}

static bool same_inode(struct process *process, const char *name, const char *own)
{
	_cleanup_close_ int fd = process_mm_open(process, name, O_RDONLY);
	struct stat theirs, ours;

	return fd >= 0 && fstat(fd, &theirs) == 0 && stat(own, &ours) == 0 &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

bool process_shares_root(struct process *process)
{
	return same_inode(process, "ns/mnt", "/proc/self/ns/mnt") &&
	       same_inode(process, "root", "/");
}

int process_root_open(struct process *process, const char *path, int *ret_fd)
{
	_cleanup_close_ int root = process_mm_open(process, "root", O_PATH | O_DIRECTORY);

	if (root < 0)
		return err_trace(root);
	return process_open_below(root, path, 0, ret_fd);
}

int process_own_open(const char *path, int *ret_fd)
{
	_cleanup_close_ int root = -1;

	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_trace(err_errno());
	return process_open_below(root, path, 0, ret_fd);
}
