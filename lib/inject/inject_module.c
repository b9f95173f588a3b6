/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a module imports and exports of the functions that are wrapped: its dynamic section, read
 * from the file (System V gABI, "Dynamic Section", and Elf64_Rela).
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "inject/inject_priv.h"

/* A table of the file by its address there; n: whole rows. */
struct rows {
	const uint8_t *bytes;
	size_t n;
};

struct dynamic {
	struct rows symbols; /* bound by the segment only: indices come from relocations */
	const char *strings;
	size_t strings_size;
	struct rows relocations[2]; /* DT_RELA and DT_JMPREL */
	bool has_path;
};

static struct rows rows_at(struct module *module, uint64_t svma, uint64_t size, size_t row)
{
	struct rows rows = {};
	size_t there = 0;

	if (svma)
		rows.bytes = module_bytes(module, svma, &there);
	rows.n = rows.bytes ? MIN(size, there) / row : 0;
	return rows;
}

static uint64_t dynamic_svma(Elf *elf)
{
	GElf_Phdr phdr;
	size_t n;

	if (elf_getphdrnum(elf, &n) != 0)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (gelf_getphdr(elf, (int)i, &phdr) && phdr.p_type == PT_DYNAMIC)
			return phdr.p_vaddr;
	}
	return 0;
}

static bool read_dynamic(struct module *module, struct dynamic *ret)
{
	uint64_t values[DT_RUNPATH + 1] = {};
	struct rows rows =
		rows_at(module, dynamic_svma(module_elf(module)), UINT64_MAX, sizeof(Elf64_Dyn));
	Elf64_Dyn dyn;

	for (size_t i = 0; i < rows.n; i++) {
		memcpy(&dyn, rows.bytes + i * sizeof(dyn), sizeof(dyn));
		if (dyn.d_tag == DT_NULL)
			break;
		if (dyn.d_tag > 0 && dyn.d_tag <= DT_RUNPATH)
			values[dyn.d_tag] = dyn.d_un.d_val;
	}
	*ret = (struct dynamic){
		.symbols = rows_at(module, values[DT_SYMTAB], UINT64_MAX, sizeof(Elf64_Sym)),
		.relocations = {rows_at(module, values[DT_RELA], values[DT_RELASZ],
					sizeof(Elf64_Rela)),
				rows_at(module, values[DT_JMPREL], values[DT_PLTRELSZ],
					sizeof(Elf64_Rela))},
		.has_path = values[DT_RPATH] || values[DT_RUNPATH],
	};
	rows = rows_at(module, values[DT_STRTAB], values[DT_STRSZ], 1);
	ret->strings = (const char *)rows.bytes;
	ret->strings_size = rows.n;
	return ret->strings && ret->symbols.n;
}

/* Of a relocation; NULL: it has none. */
static const char *name_of(const struct dynamic *dynamic, uint64_t symbol, Elf64_Sym *ret_symbol)
{
	if (symbol >= dynamic->symbols.n)
		return NULL;
	memcpy(ret_symbol, dynamic->symbols.bytes + symbol * sizeof(*ret_symbol),
	       sizeof(*ret_symbol));
	if (ret_symbol->st_name >= dynamic->strings_size ||
	    !memchr(dynamic->strings + ret_symbol->st_name, 0,
		    dynamic->strings_size - ret_symbol->st_name))
		return NULL;
	return dynamic->strings + ret_symbol->st_name;
}

/* A row that fills in the address of a function, and whose; false: it does something else. */
static bool read_row(const struct dynamic *dynamic, const struct rows *rows, size_t i,
		     const struct arch *arch, Elf64_Rela *ret_rela, Elf64_Sym *ret_symbol,
		     const char **ret_name)
{
	uint32_t type;

	memcpy(ret_rela, rows->bytes + i * sizeof(*ret_rela), sizeof(*ret_rela));
	type = (uint32_t)ELF64_R_TYPE(ret_rela->r_info);
	if (type != arch->reloc_jump_slot && type != arch->reloc_glob_dat &&
	    (type != arch->reloc_word || ret_rela->r_addend != 0))
		return false;
	*ret_name = name_of(dynamic, ELF64_R_SYM(ret_rela->r_info), ret_symbol);
	return *ret_name && ret_rela->r_offset % 8 == 0;
}

static int add_slots(struct inject_module *m, const struct arch *arch,
		     const struct inject_names *names, const struct dynamic *dynamic,
		     const struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		const char *symbol_name;
		struct inject_slot *slot;
		uint64_t addr, *other;
		Elf64_Rela rela;
		Elf64_Sym symbol;
		int name;

		if (!read_row(dynamic, rows, i, arch, &rela, &symbol, &symbol_name))
			continue;
		name = inject_name_find(names, symbol_name);
		addr = module_bias(m->module) + rela.r_offset;
		if (name < 0) {
			other = vec_push(&m->others);
			if (!other)
				return err_trace(-ENOMEM);
			*other = addr;
			continue;
		}
		slot = vec_push(&m->slots);
		if (!slot)
			return err_trace(-ENOMEM);
		slot->addr = addr;
		slot->name = name;
		slot->lazy = ELF64_R_TYPE(rela.r_info) == arch->reloc_jump_slot;
		slot->defined = symbol.st_shndx != SHN_UNDEF;
	}
	return 0;
}

struct probes_into {
	struct inject_module *m;
	const struct inject_names *names;
};

static int add_probe(void *user, const struct inject_probe *probe)
{
	struct probes_into *into = user;
	int name = inject_name_probe(into->names, probe->name, probe->what);
	struct inject_slot *slot;
	uint64_t *other;

	if (name < 0) {
		other = vec_push(&into->m->others);
		if (!other)
			return err_trace(-ENOMEM);
		*other = probe->cell;
		return 0;
	}
	slot = vec_push(&into->m->slots);
	if (!slot)
		return err_trace(-ENOMEM);
	slot->addr = probe->cell;
	slot->name = name;
	return 0;
}

int inject_module_imports(struct module *module, const struct arch *arch,
			  int (*tell)(void *user, const char *function), void *user)
{
	struct dynamic dynamic;
	const char *name;
	Elf64_Rela rela;
	Elf64_Sym symbol;
	int r = 0;

	if (!module_is_elf(module) || !module_elf(module) || !read_dynamic(module, &dynamic))
		return 0;
	for (size_t k = 0; k < ARRAY_SIZE(dynamic.relocations); k++) {
		const struct rows *rows = &dynamic.relocations[k];

		for (size_t i = 0; i < rows->n && r == 0; i++) {
			if (read_row(&dynamic, rows, i, arch, &rela, &symbol, &name) &&
			    symbol.st_shndx == SHN_UNDEF &&
			    ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT)
				r = tell(user, name);
		}
	}
	return r;
}

static void take_export(struct inject_module *m, const struct inject_names *names, const char *name,
			const GElf_Sym *symbol)
{
	uint64_t addr = module_bias(m->module) + symbol->st_value;
	int at = inject_name_find(names, name);

	m->is_glibc |= strcmp(name, "gnu_get_libc_version") == 0;
	m->is_libc |= strcmp(name, "fopen") == 0 && symbol->st_shndx != SHN_UNDEF;
	if (at < 0 || !symbol->st_value)
		return;
	if (symbol->st_shndx == SHN_UNDEF)
		m->canonical[at] = addr;
	else if (names->items.items[at].kind == AGENT_CALL &&
		 (GELF_ST_TYPE(symbol->st_info) != STT_FUNC ||
		  (m->exports[at] && m->exports[at] != addr)))
		m->exports[at] = INJECT_AMBIGUOUS;
	else
		m->exports[at] = addr;
}

static void read_exports(struct inject_module *m, const struct inject_names *names, Elf *elf)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	GElf_Sym symbol;
	int at;

	while ((section = elf_nextscn(elf, section))) {
		Elf_Data *data;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_DYNSYM ||
		    !header.sh_entsize)
			continue;
		data = elf_getdata(section, NULL);
		for (int i = 1; data && (size_t)i < header.sh_size / header.sh_entsize; i++) {
			const char *name;

			if (!gelf_getsym(data, i, &symbol))
				break;
			name = elf_strptr(elf, header.sh_link, symbol.st_name);
			if (name)
				take_export(m, names, name, &symbol);
		}
	}
	at = inject_name_find(names, "malloc");
	m->defines_malloc = at >= 0 && m->exports[at] != 0;
}

int inject_module_new(struct module *module, const struct arch *arch,
		      const struct inject_names *names, struct inject_module **ret_module)
{
	struct inject_module *m = calloc(1, sizeof(*m));
	struct probes_into into = {m, names};
	struct dynamic dynamic;
	int r = 0;

	if (!m)
		return err_trace(-ENOMEM);
	m->module = module;
	m->exports = calloc(names->items.n + 1, sizeof(*m->exports));
	m->canonical = calloc(names->items.n + 1, sizeof(*m->canonical));
	if (!m->exports || !m->canonical)
		r = -ENOMEM;
	else if (module_is_elf(module) && module_elf(module)) {
		m->dynamic = dynamic_svma(module_elf(module));
		m->dynamic += m->dynamic ? module_bias(module) : 0;
		read_exports(m, names, module_elf(module));
		if (read_dynamic(module, &dynamic)) {
			m->has_path = dynamic.has_path;
			for (size_t i = 0; i < ARRAY_SIZE(dynamic.relocations) && r >= 0; i++)
				r = add_slots(m, arch, names, &dynamic, &dynamic.relocations[i]);
		}
		if (r >= 0)
			r = inject_module_probes(module, add_probe, &into);
	}
	if (r < 0) {
		inject_module_free(m);
		return err_trace(r);
	}
	*ret_module = m;
	return 0;
}

struct inject_module *inject_module_free(struct inject_module *m)
{
	if (!m)
		return NULL;
	vec_deinit(&m->slots);
	vec_deinit(&m->others);
	free(m->exports);
	free(m->canonical);
	free(m);
	return NULL;
}
