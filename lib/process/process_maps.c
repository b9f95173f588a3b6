/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /proc/PID/maps.
 *
 * The kernel writes a newline in a path as \012 and escapes nothing else (fs/proc/task_mmu.c,
 * show_map_vma), so a path that holds these four characters itself is read as a newline. It
 * appends " (deleted)" when the file is unlinked, which a file can also be called.
 */
#include "process/process_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/err.h"

#define DELETED " (deleted)"

/* Replaces \012 by a newline, in place. */
static void unescape_path(char *path)
{
	char *to = path;

	for (const char *from = path; *from;) {
		if (strncmp(from, "\\012", 4) == 0) {
			*to++ = '\n';
			from += 4;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

/* Parses one line, NUL-terminated. Returns where its path begins, or NULL. */
static char *parse_line(char *line, struct process_mapping *m)
{
	char perms[5];
	unsigned dev_major, dev_minor;
	int at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 "%n", &m->start,
		   &m->end, perms, &m->offset, &dev_major, &dev_minor, &m->inode, &at) != 7 ||
	    at == 0 || m->start >= m->end || strlen(perms) != 4)
		return NULL;
	m->read = perms[0] == 'r';
	m->write = perms[1] == 'w';
	m->exec = perms[2] == 'x';
	m->shared = perms[3] == 's';
	m->device = makedev(dev_major, dev_minor);
	return line + at + strspn(line + at, " ");
}

/* A list that takes several reads can show a mapping that changed in between twice: the later line
 * is the newer truth. */
static void trim_overlap(struct process_maps *maps, uint64_t start)
{
	while (maps->mappings.n > 0) {
		struct process_mapping *last = &maps->mappings.items[maps->mappings.n - 1];

		if (last->end <= start)
			return;
		if (last->start < start) {
			last->end = start;
			return;
		}
		maps->mappings.n--;
	}
}

int process_maps_parse(char *take_text, struct process_maps *ret_maps)
{
	struct process_maps maps = {.text = take_text};
	char *next;

	for (char *line = take_text; *line; line = next) {
		struct process_mapping m = {}, *slot;
		size_t length, suffix = strlen(DELETED);
		char *path;

		next = strchrnul(line, '\n');
		if (*next)
			*next++ = '\0';
		path = parse_line(line, &m);
		if (!path) {
			process_maps_deinit(&maps);
			return err_trace(-EINVAL);
		}
		length = strlen(path);
		if (path[0] == '/' && length > suffix &&
		    strcmp(path + length - suffix, DELETED) == 0) {
			path[length - suffix] = '\0';
			m.deleted = true;
		}
		unescape_path(path);
		m.path_at = (uint32_t)(path - take_text);
		trim_overlap(&maps, m.start);
		slot = vec_push(&maps.mappings);
		if (!slot) {
			process_maps_deinit(&maps);
			return err_trace(-ENOMEM);
		}
		*slot = m;
	}
	*ret_maps = maps;
	return 0;
}

void process_maps_deinit(struct process_maps *maps)
{
	vec_deinit(&maps->mappings);
	free(maps->text);
	maps->text = NULL;
}

const char *process_mapping_path(const struct process_maps *maps, const struct process_mapping *m)
{
	return maps->text + m->path_at;
}

/* Is there a file in the target's root whose name really ends so, and is it the one mapped? */
static bool is_named_deleted(int root, const char *path, const struct process_mapping *m)
{
	_cleanup_free_ char *named = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (asprintf(&named, "%s" DELETED, path) < 0) {
		named = NULL;
		return false;
	}
	return process_open_below(root, named, O_PATH, &fd) == 0 && fstat(fd, &st) == 0 &&
	       st.st_ino == m->inode && st.st_nlink > 0;
}

/* The suffix was cut by its form; where it is part of the name, it is put back. */
static void restore_names(struct process *process, struct process_maps *maps)
{
	const struct process_mapping *unlinked = NULL; /* mappings of one file are neighbours */
	_cleanup_close_ int root = -1;

	for (size_t i = 0; i < maps->mappings.n; i++) {
		struct process_mapping *m = &maps->mappings.items[i];
		char *path = maps->text + m->path_at;

		if (!m->deleted ||
		    (unlinked && unlinked->inode == m->inode && unlinked->device == m->device))
			continue;
		if (root < 0)
			root = process_mm_open(process, "root", O_PATH | O_DIRECTORY);
		if (root < 0)
			return;
		if (!is_named_deleted(root, path, m)) {
			unlinked = m;
			continue;
		}
		m->deleted = false;
		/* Unescaping only shortens: the kernel's line had this room. */
		memcpy(path + strlen(path), DELETED, sizeof(DELETED));
	}
}

int process_maps_read(struct process *process, struct process_maps *ret_maps)
{
	_cleanup_close_ int fd = -1;
	char *text;
	size_t size;
	int r;

	do {
		if (fd >= 0)
			close(fd);
		fd = process_mm_open(process, "maps", O_RDONLY);
		if (fd < 0)
			return err_trace(fd == -ENOENT ? -ESRCH : fd);
		r = process_fd_read(process, fd, &text, &size);
		if (r < 0)
			return err_trace(r);
		/* Without memory the file is empty, or cannot be opened. */
		if (size == 0)
			free(text);
	} while (size == 0 && process_mm_move(process));
	if (size == 0)
		return err_trace(-ESRCH);
	if (size > UINT32_MAX) {
		free(text);
		return err_trace(-EFBIG);
	}
	r = process_maps_parse(text, ret_maps);
	if (r < 0)
		return err_trace(r);
	restore_names(process, ret_maps);
	return 0;
}

const struct process_mapping *process_maps_find(const struct process_maps *maps, uint64_t addr)
{
	size_t low = 0, high = maps->mappings.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct process_mapping *m = &maps->mappings.items[middle];

		if (addr < m->start)
			high = middle;
		else if (addr >= m->end)
			low = middle + 1;
		else
			return m;
	}
	return NULL;
}
