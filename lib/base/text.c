/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* Length of the UTF-8 sequence at s (RFC 3629, section 4), 0 when there is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t code;

	if (n == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || left < n)
		return 0;
	code = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3fu);
	}
	/* Overlong forms, surrogates and what lies beyond Unicode. */
	if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return n;
}

size_t text_clean(char *text, size_t cap, const char *from, size_t size)
{
	size_t n = 0, used;

	for (size_t i = 0; i < size; i += used) {
		const unsigned char *s = (const unsigned char *)from + i;
		size_t length = utf8_length(s, size - i);
		/* C0, DEL, and C1 as encoded in UTF-8. */
		bool printable = length > 0 && s[0] >= 0x20 && s[0] != 0x7f &&
				 !(length == 2 && s[0] == 0xc2 && s[1] < 0xa0);

		used = MAX(length, (size_t)1);
		if (n + (printable ? used : 1) >= cap)
			break;
		if (!printable) {
			text[n++] = '?';
			continue;
		}
		memcpy(text + n, s, used);
		n += used;
	}
	text[n] = '\0';
	return n;
}

size_t text_add(char *text, size_t cap, size_t n, const char *format, ...)
{
	va_list args;
	int added;

	if (n + 1 >= cap)
		return cap - 1;
	va_start(args, format);
	added = vsnprintf(text + n, cap - n, format, args);
	va_end(args);
	return added < 0 ? n : MIN(n + (size_t)added, cap - 1);
}
