/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read of the process beside the sampler, without touching it: its command line, its
 * mapped files, names of its addresses. Opened at first use. May be called from any thread, one
 * after the other.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/sink.h"
#include "base/vec.h"
#include "profile/profile.h"

struct serve_names;

/** Returns 0 or -ENOMEM. */
int serve_names_new(pid_t pid, struct serve_names **ret_names);
struct serve_names *serve_names_free(struct serve_names *names);

/** Writes the arguments with a NUL between them. Returns 0, -ESRCH, or another error. */
int serve_names_cmdline(struct serve_names *names, struct sink *sink);

/** How many threads it has; 0 when that cannot be told. */
size_t serve_names_count_threads(struct serve_names *names);

/**
 * Answers a request for names as Go does: a first line that says that there are some, then
 * "0xADDRESS NAME" for each address that has one.
 *
 * @param text, size	addresses as of strtoull(3), with '+' between them
 * @return 0, -ESRCH, -ENOMEM, and others
 */
int serve_names_symbols(struct serve_names *names, const char *text, size_t size,
			struct sink *sink);

/** Ids in a profile, by the number of the mapping in the process. */
struct serve_mappings {
	VEC(uint32_t) ids;
};

/**
 * Adds the mapping of an address to a profile, after that of the main executable. For a profile
 * that is made by one thread, from its beginning.
 *
 * @param known		those added so far; grows; ids to be released with vec_deinit()
 * @param ret_id	0: the address is in no mapping
 * @return 0, -ESRCH, -ENOMEM
 */
int serve_names_mapping(struct serve_names *names, struct profile *profile,
			struct serve_mappings *known, uint64_t addr, uint32_t *ret_id);
