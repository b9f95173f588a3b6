/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets come from files: what is on a command line everybody can read. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/**
 * Reads the first line of a file, and warns when others can read it.
 *
 * @param what	the secret is called, e.g. "token"
 * @param secret, cap	gets it: 1 to cap - 2 characters
 * @return true, or false after saying what is wrong
 */
bool secret_file_read(const char *path, const char *what, char *secret, size_t cap);
