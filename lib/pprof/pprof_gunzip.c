/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking a gzip file into memory, up to PPROF_MAX_UNPACKED. */
#include "pprof/pprof_priv.h"

#include <errno.h>
#include <limits.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/vec.h"

#define PIECE (64 * 1024) /* room to begin with */
#define GZIP_WINDOW (15 + 16)

static void inflate_end(z_stream *stream)
{
	inflateEnd(stream);
}

bool pprof_is_gzip(const uint8_t *bytes, size_t size)
{
	return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

/* Unpacks one member, appending to `plain`; the stream knows where it is in the file. */
static int unpack_member(z_stream *stream, const uint8_t *end, const char **ret_why,
			 uint8_t **plain, size_t *size, size_t *cap)
{
	for (;;) {
		size_t left = (size_t)(end - stream->next_in);
		int r;

		if (*size >= PPROF_MAX_UNPACKED)
			return err_trace(-EFBIG);
		/* Grows when full only, so never beyond the limit, a power of two. */
		r = vec_reserve_raw((void **)plain, cap, MAX(*size + 1, (size_t)PIECE), 1);
		if (r < 0)
			return err_trace(r);
		stream->avail_in = (uInt)MIN(left, (size_t)UINT_MAX);
		stream->next_out = *plain + *size;
		stream->avail_out = (uInt)MIN(*cap - *size, (size_t)UINT_MAX);
		r = inflate(stream, Z_NO_FLUSH);
		*size = (size_t)(stream->next_out - *plain);
		if (r == Z_STREAM_END)
			return 0;
		if (r == Z_MEM_ERROR)
			return err_trace(-ENOMEM);
		if (r == Z_OK)
			continue;
		*ret_why = r == Z_BUF_ERROR ? "it ends in the middle of its gzip data"
					    : "its gzip data is damaged";
		return err_trace(-EBADMSG);
	}
}

int pprof_gunzip(const uint8_t *bytes, size_t size, const char **ret_why, uint8_t **ret_plain,
		 size_t *ret_size)
{
	_cleanup_(inflate_end) z_stream stream = {.next_in = (z_const Bytef *)bytes};
	_cleanup_free_ uint8_t *plain = NULL;
	size_t n = 0, cap = 0;
	int r;

	if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
		return err_trace(-ENOMEM);
	do {
		r = unpack_member(&stream, bytes + size, ret_why, &plain, &n, &cap);
		if (r < 0)
			return err_trace(r);
		inflateReset(&stream);
	} while (stream.next_in < bytes + size);
	*ret_plain = take_ptr(plain);
	*ret_size = n;
	return 0;
}
