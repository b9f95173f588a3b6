/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The head of a line table: how its program is to be read, directories and files.
 *
 * DWARF 5, section 6.2.4; versions 2 to 5. File names are put together as libdw does: the directory
 * before the name unless that is absolute.
 */
#include "symbol/symbol_priv.h"

#include <dwarf.h>
#include <errno.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/err.h"

#define MAX_FILES (1u << 20)

struct format {
	uint16_t type, form;
};

static const char *string_in(const struct bytes *section, uint64_t offset)
{
	struct bytes c = *section;

	bytes_skip(&c, offset);
	return bytes_string(&c);
}

/* One field of an entry of DWARF 5: a string, a number, or neither. */
static bool read_field(struct symbol_table *t, struct bytes *c, uint16_t form,
		       const char **ret_text, uint64_t *ret_number)
{
	switch (form) {
	case DW_FORM_string:
		*ret_text = bytes_string(c);
		return true;
	case DW_FORM_line_strp:
		*ret_text = string_in(&t->line_strings, bytes_fixed(c, t->offset_size));
		return true;
	case DW_FORM_strp:
		*ret_text = string_in(&t->strings, bytes_fixed(c, t->offset_size));
		return true;
	case DW_FORM_udata:
		*ret_number = bytes_uleb(c);
		return true;
	case DW_FORM_data1:
		*ret_number = bytes_fixed(c, 1);
		return true;
	case DW_FORM_data2:
		*ret_number = bytes_fixed(c, 2);
		return true;
	case DW_FORM_data4:
		*ret_number = bytes_fixed(c, 4);
		return true;
	case DW_FORM_data8:
		*ret_number = bytes_fixed(c, 8);
		return true;
	case DW_FORM_data16:
		bytes_skip(c, 16);
		return true;
	case DW_FORM_block:
		bytes_skip(c, bytes_uleb(c));
		return true;
	default:
		return false;
	}
}

static int add_file(struct symbol_table *t, const char *name, uint64_t dir)
{
	struct symbol_file *file = vec_push(&t->files);

	if (!file)
		return err_trace(-ENOMEM);
	file->name = name;
	file->dir = dir > UINT32_MAX ? UINT32_MAX : (uint32_t)dir;
	return 0;
}

static int add_dir(struct symbol_table *t, const char *name)
{
	const char **dir = vec_push(&t->dirs);

	if (!dir)
		return err_trace(-ENOMEM);
	*dir = name;
	return 0;
}

/* Directories or files of DWARF 5. Returns 1 when they cannot be read. */
static int read_entries(struct symbol_table *t, struct bytes *c, bool files)
{
	struct format formats[256];
	unsigned n_formats = (unsigned)bytes_fixed(c, 1);
	uint64_t n;
	int r = 0;

	for (unsigned i = 0; i < n_formats; i++) {
		formats[i].type = (uint16_t)bytes_uleb(c);
		formats[i].form = (uint16_t)bytes_uleb(c);
	}
	n = bytes_uleb(c);
	for (uint64_t i = 0; i < n && i < MAX_FILES && !bytes_at_end(c) && r >= 0; i++) {
		const char *name = NULL;
		uint64_t dir = 0;

		for (unsigned k = 0; k < n_formats; k++) {
			const char *text = NULL;
			uint64_t number = 0;

			if (!read_field(t, c, formats[k].form, &text, &number))
				return 1;
			if (formats[k].type == DW_LNCT_path)
				name = text;
			else if (formats[k].type == DW_LNCT_directory_index)
				dir = number;
		}
		r = files ? add_file(t, name, dir) : add_dir(t, name);
	}
	return r;
}

/* Lists of version 2 to 4 end with an empty string; directory 0 is that of the compilation, and
 * there is no file 0. */
static int read_lists(struct symbol_table *t, struct bytes *c)
{
	const char *name;
	int r = add_dir(t, t->comp_dir);

	while (r >= 0 && (name = bytes_string(c)) && *name)
		r = add_dir(t, name);
	if (r >= 0)
		r = add_file(t, NULL, 0);
	while (r >= 0 && (name = bytes_string(c)) && *name) {
		uint64_t dir = bytes_uleb(c);

		(void)bytes_uleb(c); /* time */
		(void)bytes_uleb(c); /* length */
		r = add_file(t, name, dir);
	}
	return r;
}

/* The head up to the lists; false when it cannot be read. */
static bool read_head(struct symbol_table *t, struct bytes *c)
{
	uint64_t length = bytes_fixed(c, 4);

	t->offset_size = 4;
	if (length == UINT32_MAX) {
		t->offset_size = 8;
		length = bytes_fixed(c, 8);
	}
	if (length > (uint64_t)(c->end - c->at))
		return false;
	c->end = c->at + length;
	t->version = (unsigned)bytes_fixed(c, 2);
	if (t->version < 2 || t->version > 5)
		return false;
	if (t->version >= 5) {
		t->address_size = (uint8_t)bytes_fixed(c, 1);
		/* Segments are of no CPU here. */
		if (bytes_fixed(c, 1) != 0)
			return false;
	}
	length = bytes_fixed(c, t->offset_size);
	t->program = *c;
	bytes_skip(&t->program, length);
	t->min_length = (uint8_t)bytes_fixed(c, 1);
	t->max_ops = t->version >= 4 ? (uint8_t)bytes_fixed(c, 1) : 1;
	(void)bytes_fixed(c, 1); /* default_is_stmt: rows count whether they are or not */
	t->line_base = (int8_t)bytes_fixed(c, 1);
	t->line_range = (uint8_t)bytes_fixed(c, 1);
	t->opcode_base = (uint8_t)bytes_fixed(c, 1);
	for (unsigned i = 1; i < t->opcode_base; i++)
		t->opcode_args[i] = (uint8_t)bytes_fixed(c, 1);
	return t->max_ops && t->line_range && t->opcode_base && t->address_size &&
	       t->address_size <= 8;
}

int symbol_table_init(struct symbol_table *t, Dwarf_Die *cu, uint64_t offset, const char *comp_dir)
{
	Dwarf *dwarf = dwarf_cu_getdwarf(cu->cu);
	struct bytes c = symbol_section(dwarf, "debug_line");
	Dwarf_Die ignored;
	uint8_t address_size = 0;
	int r;

	*t = (struct symbol_table){.comp_dir = comp_dir};
	if (!dwarf_diecu(cu, &ignored, &address_size, NULL))
		return 0;
	t->address_size = address_size;
	bytes_skip(&c, offset);
	t->line_strings = symbol_section(dwarf, "debug_line_str");
	t->strings = symbol_section(dwarf, "debug_str");
	if (!read_head(t, &c)) {
		t->program = (struct bytes){};
		return 0;
	}
	if (t->version < 5) {
		r = read_lists(t, &c);
	} else {
		r = read_entries(t, &c, false);
		if (r == 0)
			r = read_entries(t, &c, true);
	}
	return r < 0 ? r : 0;
}

void symbol_table_deinit(struct symbol_table *t)
{
	for (size_t i = 0; i < t->files.n; i++)
		free(t->files.items[i].path);
	vec_deinit(&t->files);
	vec_deinit(&t->dirs);
	vec_deinit(&t->marks);
	vec_deinit(&t->runs);
	vec_deinit(&t->run_ranges.items);
	*t = (struct symbol_table){};
}

const char *symbol_table_file(struct symbol_table *t, uint32_t index)
{
	struct symbol_file *file = index < t->files.n ? &t->files.items[index] : NULL;
	const char *dir, *comp_dir = t->comp_dir;

	if (!file || !file->name)
		return NULL;
	if (file->name[0] == '/')
		return file->name;
	if (file->path)
		return file->path;
	dir = file->dir < t->dirs.n ? t->dirs.items[file->dir] : NULL;
	/*
	 * A directory that is relative itself is one below that of the compilation. Debian's
	 * packages have relative ones of both (-ffile-prefix-map), and then "./x.c" alone would say
	 * less than there is.
	 */
	if ((dir && dir[0] == '/') || !comp_dir)
		comp_dir = "";
	if (asprintf(&file->path, "%s%s%s%s%s", comp_dir, *comp_dir ? "/" : "", dir ? dir : "",
		     dir ? "/" : "", file->name) < 0) {
		file->path = NULL;
		return file->name;
	}
	return file->path;
}
