/* SPDX-License-Identifier: Apache-2.0 */
/* Text of bounded length, and names that came from another program made fit to be shown. */
#pragma once

#include <stddef.h>

/**
 * Copies bytes as valid UTF-8 without control characters (C0, DEL, C1), with which a name could
 * command a terminal: each of those, and each byte that is no UTF-8, becomes '?'. Cut between
 * characters where there is no room.
 *
 * @param text, cap	the result, always NUL-terminated; cap > 0
 * @param from, size	borrowed; may hold NULs, which are control characters, too
 * @return length of the result
 */
size_t text_clean(char *text, size_t cap, const char *from, size_t size);

/** Appends formatted text behind the first `n` characters, as far as there is room. Returns the new
 * length, cap - 1 at most. */
size_t text_add(char *text, size_t cap, size_t n, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
