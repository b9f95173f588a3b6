/* SPDX-License-Identifier: Apache-2.0 */
/* Names for people, by libiberty. */
#include "symbol/symbol.h"

#include <ctype.h>
/* demangle.h declares basename() for itself unless told that it is declared. */
#define HAVE_DECL_BASENAME 1
#include <libiberty/demangle.h>
#include <stdlib.h>
#include <string.h>

/* Mangled names grow without bound in templates, and demangling may take time and memory that grow
 * much faster than the name. */
#define MAX_MANGLED 16384

#define RUST_HASH_DIGITS 16

/* The legacy Rust mangling (an Itanium name that ends in a hash) keeps "::h" and 16 hex digits. */
static void strip_rust_hash(char *name)
{
	size_t n = strlen(name), tail = strlen("::h") + RUST_HASH_DIGITS;
	char *hash = n > tail ? name + n - tail : NULL;

	if (!hash || strncmp(hash, "::h", 3) != 0)
		return;
	for (int i = 0; i < RUST_HASH_DIGITS; i++) {
		if (!isxdigit((unsigned char)hash[3 + i]) || isupper((unsigned char)hash[3 + i]))
			return;
	}
	*hash = '\0';
}

char *symbol_demangle(const char *system_name)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;
	char *name = NULL;

	if (strlen(system_name) > MAX_MANGLED)
		return strdup(system_name);
	if (strncmp(system_name, "_R", 2) == 0 || strncmp(system_name, "_ZN", 3) == 0)
		name = rust_demangle(system_name, options);
	if (!name && strncmp(system_name, "_Z", 2) == 0)
		name = cplus_demangle_v3(system_name, options);
	if (!name)
		return strdup(system_name);
	strip_rust_hash(name);
	return name;
}
