/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding separate debug files.
 *
 * In the target's root: by build id below /usr/lib/debug/.build-id, then by the name in
 * .gnu_debuglink beside the file, in .debug beside it, and below /usr/lib/debug (the order of
 * gdb's manual, "Debugging Information in Separate Files"). Then in our own root by build id, since
 * debug packages are often on the host only. A file counts when its build id is the module's, or,
 * where there is none to compare, when its CRC is that of the link. Nothing is downloaded.
 */
#include "module/module_priv.h"

#include <elfutils/libdwelf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/err.h"

#define DEBUG_DIR "/usr/lib/debug"
#define CRC_CHUNK (256u << 10)

struct wanted {
	const unsigned char *id; /* NULL: compare the CRC */
	size_t id_size;
	uint32_t crc;
};

static bool has_build_id(int fd, const struct wanted *wanted, bool *ret_has_any)
{
	const void *bits;
	/* Not mapped: this file has not been judged yet. */
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	ssize_t n = elf ? dwelf_elf_gnu_build_id(elf, &bits) : -1;
	bool equal = n > 0 && wanted->id && (size_t)n == wanted->id_size &&
		     memcmp(bits, wanted->id, (size_t)n) == 0;

	*ret_has_any = n > 0;
	elf_end(elf);
	return equal;
}

static bool has_crc(int fd, uint32_t crc)
{
	_cleanup_free_ unsigned char *chunk = malloc(CRC_CHUNK);
	uLong sum = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t n;

	if (!chunk)
		return false;
	while ((n = pread(fd, chunk, CRC_CHUNK, at)) > 0) {
		sum = crc32(sum, chunk, (uInt)n);
		at += n;
	}
	return n == 0 && sum == crc;
}

static bool is_wanted(const struct module *module, int fd, const struct wanted *wanted)
{
	struct stat st;
	bool has_any, equal;

	if (fstat(fd, &st) < 0 || (uint64_t)st.st_size > MODULE_MAX_FILE)
		return false;
	/* A link can name the module itself. */
	if (st.st_dev == module->file_device && st.st_ino == module->file_inode)
		return false;
	equal = has_build_id(fd, wanted, &has_any);
	if (wanted->id && has_any)
		return equal;
	return !wanted->id_size && has_crc(fd, wanted->crc);
}

/* Takes the path. In the target's root if process is given, else in ours. */
static int try_path(struct module *module, bool own, char *take_path, const struct wanted *wanted,
		    char **ret_path)
{
	_cleanup_free_ char *path = take_path;
	_cleanup_close_ int fd = -1;
	int r;

	if (!path)
		return -1;
	r = own ? process_own_open(path, &fd) : process_root_open(module->process, path, &fd);
	if (r == -EINVAL)
		module_set_problem(module, "debug file is not a regular file");
	if (r < 0)
		return -1;
	if (!is_wanted(module, fd, wanted)) {
		log_line(LOG_NOTICE, "%s: does not belong to %s", path, module->path);
		return -1;
	}
	if (ret_path)
		*ret_path = take_ptr(path);
	return take_fd(&fd);
}

static char *format_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

static char *format_path(const char *format, ...)
{
	va_list args;
	char *path;
	int n;

	va_start(args, format);
	n = vasprintf(&path, format, args);
	va_end(args);
	return n < 0 ? NULL : path;
}

static char *build_id_path(const unsigned char *id, size_t size)
{
	char hex[2 * MODULE_MAX_BUILD_ID + 1];

	if (size < 2 || size > MODULE_MAX_BUILD_ID)
		return NULL;
	for (size_t i = 0; i < size; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	return format_path(DEBUG_DIR "/.build-id/%.2s/%s.debug", hex, hex + 2);
}

/* The length of the directory part with its slash; 0 when the path is not absolute. */
static int dir_length(const char *path)
{
	const char *slash = path[0] == '/' ? strrchr(path, '/') : NULL;

	return slash ? (int)(slash - path) + 1 : 0;
}

static int try_link(struct module *module, const char *link, const struct wanted *wanted,
		    char **ret_path)
{
	const char *dir = module->path;
	int n = dir_length(dir), fd;

	/* The link is a bare name; anything else would leave the directories meant. */
	if (n == 0 || strchr(link, '/') || link[0] == '\0')
		return -1;
	fd = try_path(module, false, format_path("%.*s%s", n, dir, link), wanted, ret_path);
	if (fd < 0)
		fd = try_path(module, false, format_path("%.*s.debug/%s", n, dir, link), wanted,
			      ret_path);
	if (fd < 0)
		fd = try_path(module, false, format_path(DEBUG_DIR "%.*s%s", n, dir, link), wanted,
			      ret_path);
	return fd;
}

int module_find_debuginfo(Dwfl_Module *dwfl_module, void **user, const char *name, Dwarf_Addr base,
			  const char *file_name, const char *link, GElf_Word crc,
			  char **ret_file_name)
{
	struct module *module = *user;
	struct wanted wanted = {.crc = crc};
	GElf_Addr addr;
	int n, fd = -1;

	/* libdwfl asks for the .gnu_debugaltlink file with a CRC of 0 and without the build id that
	 * it must have: module_dwarf.c does that itself. */
	if (!module || (link && crc == 0))
		return -1;
	n = dwfl_module_build_id(dwfl_module, &wanted.id, &addr);
	wanted.id_size = n > 0 ? (size_t)n : 0;
	if (n <= 0)
		wanted.id = NULL;
	if (wanted.id)
		fd = try_path(module, false, build_id_path(wanted.id, wanted.id_size), &wanted,
			      &module->debug_path);
	if (fd < 0 && link)
		fd = try_link(module, link, &wanted, &module->debug_path);
	if (fd < 0 && wanted.id)
		fd = try_path(module, true, build_id_path(wanted.id, wanted.id_size), &wanted,
			      &module->debug_path);
	return fd;
}

int module_find_alt(struct module *module, const char *name, const void *id, size_t id_size)
{
	const char *beside = module->debug_path ? module->debug_path : module->path;
	struct wanted wanted = {.id = id, .id_size = id_size};
	int n = dir_length(beside), fd;

	fd = try_path(module, false, build_id_path(id, id_size), &wanted, NULL);
	if (fd < 0 && name[0] == '/')
		fd = try_path(module, false, strdup(name), &wanted, NULL);
	else if (fd < 0 && n > 0)
		fd = try_path(module, false, format_path("%.*s%s", n, beside, name), &wanted, NULL);
	if (fd < 0)
		fd = try_path(module, true, build_id_path(id, id_size), &wanted, NULL);
	if (fd < 0 && name[0] == '/')
		fd = try_path(module, true, strdup(name), &wanted, NULL);
	return fd;
}
