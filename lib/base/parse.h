/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and durations as people write them. */
#pragma once

#include <stdint.h>

/**
 * Parses a whole decimal number with nothing around it.
 *
 * @param min, max	the range accepted, both inclusive
 * @return 0, -EINVAL when text is not a number, -ERANGE outside the range
 */
int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value);

/**
 * Reads decimal numbers that blanks separate, as the kernel prints them: up to n of them, fewer
 * when something else or the end comes first. A negative one is read as its two's complement.
 *
 * @return how many were read
 */
unsigned parse_fields(const char *text, uint64_t *ret_values, unsigned n);

/**
 * Parses a duration: one or more numbers with a unit each, units from large to small, each at
 * most once: h, m, s, ms, us, ns. The last number may have a fraction ("1.5s"). "1m30s", "500ms".
 * A bare number other than 0 is refused, because its unit would be a guess.
 *
 * @param ret_ns	nanoseconds, up to INT64_MAX
 * @return 0, -EINVAL when text is not a duration, -ERANGE when it is too long
 */
int parse_duration(const char *text, uint64_t *ret_ns);

/** Writes a duration in the form parse_duration() reads, e.g. "1m30s", "2.5ms". Returns buffer. */
char *format_duration(uint64_t ns, char buffer[static 32]);
