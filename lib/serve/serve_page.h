/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page for people, made of lib/serve/page/ when cprof is built. To be served at "/" as
 *
 *	Content-Type: text/html; charset=utf-8
 *	Content-Security-Policy: serve_page_policy
 *
 * It asks for nothing but, relative to its own address and by GET,
 *
 *	debug/pprof/TYPE?seconds=N&format=json
 *
 * where TYPE is profile, wall, block, mutex, threads (without seconds) or threadcreate. The answer
 *is what report_json() writes, as application/json; any status but 2xx has a text for people.
 */
#pragma once

#include <stddef.h>

extern const char serve_page[];
extern const size_t serve_page_size; /* without the NUL behind it */

/** Names the page's own script and style by their hashes (SHA-256, CSP Level 2), and forbids all
 * else: no other script runs, also where a name of a function got into the page as markup. */
extern const char serve_page_policy[];
