/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

int parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;

	if (!*text)
		return -EINVAL;
	for (const char *p = text; *p; p++) {
		if (!isdigit((unsigned char)*p))
			return -EINVAL;
	}
	for (const char *p = text; *p; p++) {
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	}
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static const struct {
	const char *name;
	uint64_t ns;
} units[] = {
	{"h", 3600000000000ULL}, {"m", 60000000000ULL}, {"s", 1000000000ULL},
	{"ms", 1000000ULL},      {"us", 1000ULL},       {"ns", 1ULL},
};

/* Reads "12.5ms" at *text. Units must be later in the table than *unit, which is moved on. */
static int parse_part(const char **text, size_t *unit, int *ret_fraction, uint64_t *ret_ns)
{
	const char *p = *text;
	uint64_t whole = 0, fraction = 0, scale = 1, ns, part;
	size_t length;

	if (!isdigit((unsigned char)*p))
		return -EINVAL;
	for (; isdigit((unsigned char)*p); p++) {
		if (__builtin_mul_overflow(whole, (uint64_t)10, &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return -ERANGE;
	}
	*ret_fraction = *p == '.';
	if (*ret_fraction) {
		if (!isdigit((unsigned char)*++p))
			return -EINVAL;
		for (; isdigit((unsigned char)*p); p++) {
			if (scale < 1000000000) {
				fraction = fraction * 10 + (uint64_t)(*p - '0');
				scale *= 10;
			}
		}
	}
	for (length = 0; isalpha((unsigned char)p[length]);)
		length++;
	for (size_t i = *unit; i < ARRAY_SIZE(units); i++) {
		if (strlen(units[i].name) != length || strncmp(units[i].name, p, length) != 0)
			continue;
		/* The fraction has at most 9 digits: 64 bits hold the product for every unit but
		 * the hour, hence the wider type. */
		part = (uint64_t)((unsigned __int128)fraction * units[i].ns / scale);
		if (__builtin_mul_overflow(whole, units[i].ns, &ns) ||
		    __builtin_add_overflow(ns, part, &ns))
			return -ERANGE;
		*unit = i + 1;
		*text = p + length;
		*ret_ns = ns;
		return 0;
	}
	return -EINVAL;
}

unsigned parse_fields(const char *text, uint64_t *ret_values, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		bool negative;
		uint64_t value = 0;

		while (*text == ' ')
			text++;
		negative = *text == '-';
		text += negative;
		if (*text < '0' || *text > '9')
			return i;
		while (*text >= '0' && *text <= '9')
			value = value * 10 + (uint64_t)(*text++ - '0');
		ret_values[i] = negative ? -value : value;
	}
	return n;
}

int parse_duration(const char *text, uint64_t *ret_ns)
{
	uint64_t total = 0, part;
	size_t unit = 0;
	int fraction = 0, r;

	if (strcmp(text, "0") == 0) {
		*ret_ns = 0;
		return 0;
	}
	do {
		r = parse_part(&text, &unit, &fraction, &part);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(total, part, &total) || total > INT64_MAX)
			return -ERANGE;
	} while (*text && !fraction);
	if (*text)
		return -EINVAL;
	*ret_ns = total;
	return 0;
}

char *format_duration(uint64_t ns, char buffer[static 32])
{
	if (ns >= 60 * units[2].ns && ns % units[2].ns == 0) {
		uint64_t s = ns / units[2].ns;

		if (s % 60)
			snprintf(buffer, 32, "%" PRIu64 "m%" PRIu64 "s", s / 60, s % 60);
		else
			snprintf(buffer, 32, "%" PRIu64 "m", s / 60);
		return buffer;
	}
	for (size_t i = 2; i < ARRAY_SIZE(units); i++) {
		if (ns >= units[i].ns || i + 1 == ARRAY_SIZE(units)) {
			snprintf(buffer, 32, "%.4g%s", (double)ns / (double)units[i].ns,
				 units[i].name);
			break;
		}
	}
	return buffer;
}
