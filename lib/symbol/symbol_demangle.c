/* SPDX-License-Identifier: Apache-2.0 */
/* Names for people, by libiberty. */
#include "symbol/symbol.h"

#include <ctype.h>
/* demangle.h declares basename() for itself unless told that it is declared. */
#define HAVE_DECL_BASENAME 1
#include <libiberty/demangle.h>
#include <stdio.h>
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

/* NULL: it is not mangled. */
static char *demangle(const char *mangled)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;
	char *name = NULL;

	if (strncmp(mangled, "_R", 2) == 0 || strncmp(mangled, "_ZN", 3) == 0)
		name = rust_demangle(mangled, options);
	if (!name && strncmp(mangled, "_Z", 2) == 0)
		name = cplus_demangle_v3(mangled, options);
	if (name)
		strip_rust_hash(name);
	return name;
}

/* "@plt" and versions are not part of the mangled name. */
static char *demangle_front(const char *mangled, const char *suffix)
{
	char *front = strndup(mangled, (size_t)(suffix - mangled));
	char *name = front ? demangle(front) : NULL, *whole = NULL;

	if (name && asprintf(&whole, "%s%s", name, suffix) < 0)
		whole = NULL;
	free(front);
	free(name);
	return whole;
}

char *symbol_demangle(const char *system_name)
{
	const char *suffix = strchr(system_name, '@');
	char *name = NULL;

	if (strlen(system_name) <= MAX_MANGLED)
		name = suffix ? demangle_front(system_name, suffix) : demangle(system_name);
	return name ? name : strdup(system_name);
}
