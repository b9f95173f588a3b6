/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a custom profile is of: entries that calls add under a key, and others remove.
 *
 *	NAME: WORD, WORD, …
 *	add=FUNC[:KEY][:MORE]		the key is its result, unless KEY says otherwise
 *	remove=FUNC[:KEY][:MORE]	the key is its first argument
 *	size=argN			the size of what the add words before it add
 *	KEY				ret, argN; *argN: the word that it points to, if the result is
 *0 MORE				int: 32 bits, of which negative ones are failures; pair: two
 *					ints at *argN; ok: removed only if the result is 0; many: a
 *key may be added several times
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "inject/inject.h"

#define CUSTOM_MAX_NAME 64
#define CUSTOM_MAX_CALLS 128

struct custom {
	char *name;
	VEC(struct inject_custom) calls; /* their functions are owned; the profile is not set */
	bool has_size;                   /* entries have sizes in bytes */
	bool is_fd;                      /* keys are descriptors, of which the kernel has a list */
	bool is_probe;                   /* of cprof/probe.h */
};

/* What is wrong with a declaration. */
struct custom_error {
	char word[128]; /* the part of it */
	const char *expected;
};

/** Reads a declaration. Returns 0; -EINVAL with *ret_error; -ENOMEM. */
int custom_parse(const char *text, struct custom **ret_custom, struct custom_error *ret_error);

/** Makes one of those that are known by name. Returns 0, -ENOENT or -ENOMEM. */
int custom_preset(const char *name, struct custom **ret_custom);

/** The names of presets, one after the other; NULL: no more. */
const char *custom_preset_name(unsigned i);

/** Makes that of the probes of a name. Returns 0 or -ENOMEM. */
int custom_probe(const char *name, struct custom **ret_custom);

struct custom *custom_free(struct custom *custom);

/** May a profile have this name? Letters, digits, and _ - . inside; not that of another type. */
bool custom_is_name(const char *name);
