/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which libc, allocator and language: by the names of mapped files, by function symbols, and, in
 * stripped static programs, by strings that the code cannot do without.
 */
#include "session/session_doctor_priv.h"

#include <string.h>

#include "base/cleanup.h"

/* "GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36." (glibc csu/version.c) */
#define GLIBC_BANNER "GNU C Library "
#define GLIBC_VERSION "release version "
/* The environment variable of ld.so(8), read at the start of every glibc program since 2.26. */
#define GLIBC_TUNABLES "GLIBC_TUNABLES"
/* runtime/debug, "buildinfo": since Go 1.18 the version follows at offset 32 with its length in
 * front, where bit 1 of the flags at offset 15 is set. */
#define GO_BUILDINFO "\xff Go buildinf:"
/* rustc notes its sources' place in every panic message of the standard library. */
#define RUST_SOURCES "/rustc/"

static const char *const allocator_files[] = {
	[DOCTOR_ALLOCATOR_JEMALLOC] = "libjemalloc",
	[DOCTOR_ALLOCATOR_TCMALLOC] = "libtcmalloc",
	[DOCTOR_ALLOCATOR_MIMALLOC] = "libmimalloc",
};

/* Symbols asked for in one pass over a table. */
enum {
	SYMBOL_MALLOC,
	SYMBOL_MALLOCX,
	SYMBOL_JE_MALLOC,
	SYMBOL_TC_MALLOC,
	SYMBOL_MI_MALLOC,
	SYMBOL_RJEM_MALLOC, /* the prefix of Rust's tikv-jemallocator */
	SYMBOL_MUSL_START,
	SYMBOLS,
};

static const char *const symbols[SYMBOLS] = {
	[SYMBOL_MALLOC] = "malloc",          [SYMBOL_MALLOCX] = "mallocx",
	[SYMBOL_JE_MALLOC] = "je_malloc",    [SYMBOL_TC_MALLOC] = "tc_malloc",
	[SYMBOL_MI_MALLOC] = "mi_malloc",    [SYMBOL_RJEM_MALLOC] = "_rjem_malloc",
	[SYMBOL_MUSL_START] = "__init_libc",
};

static const char *base_name(const struct module *module)
{
	const char *path = module_path(module), *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* The bytes of a module's file from `what` on, or NULL; ret_left includes them. */
static const char *find_bytes(struct module *module, const char *what, size_t size,
			      size_t *ret_left)
{
	Elf *elf = module_elf(module);
	size_t n = 0;
	const char *bytes = elf ? elf_rawfile(elf, &n) : NULL;
	const char *found = bytes ? memmem(bytes, n, what, size) : NULL;

	*ret_left = found ? n - (size_t)(found - bytes) : 0;
	return found;
}

static bool has_text(struct module *module, const char *text)
{
	size_t left;

	return find_bytes(module, text, strlen(text), &left);
}

/* "2.36" out of the banner. */
static void read_glibc_version(struct doctor *doctor, struct module *module)
{
	size_t left, n = 0;
	const char *banner = find_bytes(module, GLIBC_BANNER, strlen(GLIBC_BANNER), &left);
	const char *at = banner ? memmem(banner, MIN(left, (size_t)256), GLIBC_VERSION,
					 strlen(GLIBC_VERSION))
				: NULL;

	if (!at)
		return;
	at += strlen(GLIBC_VERSION);
	left -= (size_t)(at - banner);
	while (n < left && n + 1 < sizeof(doctor->libc_version) &&
	       ((at[n] >= '0' && at[n] <= '9') ||
		(at[n] == '.' && n + 1 < left && at[n + 1] >= '0' && at[n + 1] <= '9'))) {
		doctor->libc_version[n] = at[n];
		n++;
	}
	doctor->libc_version[n] = '\0';
}

static void read_go_version(struct doctor *doctor, struct module *module)
{
	size_t left, n;
	const char *info = find_bytes(module, GO_BUILDINFO, strlen(GO_BUILDINFO), &left);

	strcpy(doctor->go_version, "Go");
	if (!info || left < 34 || !(info[15] & 2))
		return;
	n = (unsigned char)info[32];
	if (n < sizeof(doctor->go_version) && n + 33 <= left && begins(info + 33, "go")) {
		memcpy(doctor->go_version, info + 33, n);
		doctor->go_version[n] = '\0';
	}
}

static void look_main(struct doctor *doctor, const struct doctor_module *main, uint64_t defined)
{
	if (main->sources.gopclntab)
		read_go_version(doctor, main->module);
	doctor->rust = has_text(main->module, RUST_SOURCES);
	if (doctor->libc != DOCTOR_LIBC_UNKNOWN)
		return;
	doctor->libc_static = true;
	if (defined >> SYMBOL_MUSL_START & 1)
		doctor->libc = DOCTOR_LIBC_MUSL;
	else if (has_text(main->module, GLIBC_TUNABLES))
		doctor->libc = DOCTOR_LIBC_GLIBC;
	else if (doctor->go_version[0])
		doctor->libc = DOCTOR_LIBC_NONE_GO;
	if (doctor->libc == DOCTOR_LIBC_GLIBC)
		read_glibc_version(doctor, main->module);
}

static bool look_libc(struct doctor *doctor, struct module *module)
{
	const char *name = base_name(module);

	if (strcmp(name, "libc.so.6") == 0 || begins(name, "libc-2.")) {
		doctor->libc = DOCTOR_LIBC_GLIBC;
		read_glibc_version(doctor, module);
		doctor->allocators[DOCTOR_ALLOCATOR_GLIBC] = module;
		return true;
	}
	if (begins(name, "ld-musl-") || begins(name, "libc.musl-")) {
		doctor->libc = DOCTOR_LIBC_MUSL;
		doctor->allocators[DOCTOR_ALLOCATOR_MUSL] = module;
		return true;
	}
	return false;
}

static void look_allocators(struct doctor *doctor, struct module *module, uint64_t defined)
{
	const uint64_t signs[] = {
		[DOCTOR_ALLOCATOR_JEMALLOC] = 1ULL << SYMBOL_MALLOCX | 1ULL << SYMBOL_JE_MALLOC |
					      1ULL << SYMBOL_RJEM_MALLOC,
		[DOCTOR_ALLOCATOR_TCMALLOC] = 1ULL << SYMBOL_TC_MALLOC,
		[DOCTOR_ALLOCATOR_MIMALLOC] = 1ULL << SYMBOL_MI_MALLOC,
	};
	bool known = false;

	for (unsigned i = 0; i < ARRAY_SIZE(signs); i++) {
		if (!(defined & signs[i]) && !begins(base_name(module), allocator_files[i]))
			continue;
		known = true;
		if (!doctor->allocators[i])
			doctor->allocators[i] = module;
	}
	/* The dynamic linkers of glibc define a malloc for their own use. */
	if (defined >> SYMBOL_MALLOC & 1 && !doctor->malloc_override &&
	    (known || !begins(base_name(module), "ld-")))
		doctor->malloc_override = module;
}

void doctor_look_runtime(struct doctor *doctor)
{
	uint64_t main_defined = 0;
	bool libc;

	for (size_t i = 0; i < doctor->modules.n; i++) {
		struct doctor_module *m = &doctor->modules.items[i];
		uint64_t defined = module_defines(m->module, symbols, SYMBOLS);

		libc = look_libc(doctor, m->module);
		if (m->is_main)
			main_defined = defined;
		/* In a static program its malloc is, without other signs, the libc's. */
		if (!libc)
			look_allocators(doctor, m->module, defined);
	}
	if (doctor->modules.n == 0 || !doctor->modules.items[0].is_main)
		return;
	look_main(doctor, &doctor->modules.items[0], main_defined);
	if (doctor->go_version[0])
		doctor->allocators[DOCTOR_ALLOCATOR_GO] = doctor->modules.items[0].module;
	if (!doctor->libc_static)
		return;
	if (doctor->libc == DOCTOR_LIBC_GLIBC || doctor->libc == DOCTOR_LIBC_MUSL) {
		enum doctor_allocator own = doctor->libc == DOCTOR_LIBC_GLIBC
						    ? DOCTOR_ALLOCATOR_GLIBC
						    : DOCTOR_ALLOCATOR_MUSL;

		doctor->allocators[own] = doctor->modules.items[0].module;
	}
	if (!doctor->allocators[DOCTOR_ALLOCATOR_JEMALLOC] &&
	    !doctor->allocators[DOCTOR_ALLOCATOR_TCMALLOC] &&
	    !doctor->allocators[DOCTOR_ALLOCATOR_MIMALLOC])
		doctor->malloc_override = NULL;
}
