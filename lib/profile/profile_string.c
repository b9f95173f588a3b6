/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The string table. Names come from other programs' files and memory, so they are repaired here,
 * once, for everybody: valid UTF-8 (RFC 3629) and of bounded length.
 */
#include "profile/profile_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */
#define ELLIPSIS "\xe2\x80\xa6"    /* U+2026 */
#define MARK_SIZE 3                /* of both, in bytes */

/* Length of the valid sequence at the start of a NUL-terminated text, or 0. The NUL is no
 * continuation byte, so nothing is read behind it. */
static size_t sequence_length(const unsigned char *p)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4;
	else
		return 0;
	/* RFC 3629 section 4: these leading bytes narrow the second one. */
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf)
			return 0;
	}
	return n;
}

bool profile_is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t n = sequence_length(p);

		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

static int put_repaired(struct profile *profile, const char *text, size_t size, uint32_t *ret_id)
{
	const unsigned char *p = (const unsigned char *)text;
	_cleanup_free_ char *repaired = NULL;
	size_t room = MIN(size * MARK_SIZE, (size_t)PROFILE_MAX_STRING), n = 0;

	repaired = malloc(room + MARK_SIZE);
	if (!repaired)
		return err_trace(-ENOMEM);
	while (*p) {
		size_t length = sequence_length(p);
		const void *from = length ? (const void *)p : REPLACEMENT;
		size_t take = length ? length : MARK_SIZE;

		if (n + take > room) {
			memcpy(repaired + n, ELLIPSIS, MARK_SIZE);
			n += MARK_SIZE;
			break;
		}
		memcpy(repaired + n, from, take);
		n += take;
		p += length ? length : 1;
	}
	return intern_put(profile->strings, repaired, n, ret_id);
}

int profile_string(struct profile *profile, const char *text, uint32_t *ret_id)
{
	size_t size;
	int r;

	if (!text)
		text = "";
	size = strlen(text);
	if (size > PROFILE_MAX_STRING || !profile_is_utf8(text))
		r = put_repaired(profile, text, size, ret_id);
	else
		r = intern_put(profile->strings, text, size, ret_id);
	/* That the string was there already is intern's outcome, not ours. */
	return r < 0 ? err_trace(r) : 0;
}

const char *profile_get_string(const struct profile *profile, uint32_t id)
{
	return intern_get(profile->strings, id, NULL);
}

uint32_t profile_n_strings(const struct profile *profile)
{
	return intern_count(profile->strings);
}
