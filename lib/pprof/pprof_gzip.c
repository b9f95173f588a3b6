/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packing to a sink in bounded memory.
 *
 * The encoder writes into `in` where it lies; deflate gets it in pieces of PIECE bytes, because a
 * call of deflate() for each small message costs more than the message.
 */
#include "pprof/pprof_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/vec.h"

#define PIECE (64 * 1024)
#define GZIP_WINDOW (15 + 16) /* zlib.h: 16 asks for a gzip header and trailer */
#define LEVEL 1               /* what Go's runtime/pprof uses */
#define MEMORY_LEVEL 8        /* zlib's default */

struct pprof_gzip {
	struct sink *sink;
	z_stream stream;
	VEC(uint8_t) in;
	uint8_t out[PIECE];
};

int pprof_gzip_new(struct sink *sink, struct pprof_gzip **ret_gzip)
{
	_cleanup_free_ struct pprof_gzip *gzip = calloc(1, sizeof(*gzip));
	int r;

	if (!gzip)
		return err_trace(-ENOMEM);
	r = deflateInit2(&gzip->stream, LEVEL, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
			 Z_DEFAULT_STRATEGY);
	if (r != Z_OK)
		return err_trace(-ENOMEM);
	gzip->sink = sink;
	*ret_gzip = take_ptr(gzip);
	return 0;
}

struct pprof_gzip *pprof_gzip_free(struct pprof_gzip *gzip)
{
	if (!gzip)
		return NULL;
	deflateEnd(&gzip->stream);
	vec_deinit(&gzip->in);
	free(gzip);
	return NULL;
}

/* Packs all of `in`; flush is Z_NO_FLUSH or Z_FINISH. */
static int pack(struct pprof_gzip *gzip, int flush)
{
	z_stream *stream = &gzip->stream;
	int r;

	stream->next_in = gzip->in.items;
	stream->avail_in = (uInt)gzip->in.n;
	do {
		stream->next_out = gzip->out;
		stream->avail_out = PIECE;
		/* Z_BUF_ERROR only says that there was nothing to do. */
		if (deflate(stream, flush) == Z_STREAM_ERROR)
			return err_trace(-EIO);
		if (stream->avail_out == PIECE)
			continue;
		r = sink_write(gzip->sink, gzip->out, PIECE - stream->avail_out);
		if (r < 0)
			return err_trace(r);
	} while (stream->avail_out == 0);
	gzip->in.n = 0;
	return 0;
}

int pprof_gzip_reserve(struct pprof_gzip *gzip, size_t size, uint8_t **ret_room)
{
	int r;

	if (size > PPROF_MAX_UNPACKED)
		return err_trace(-ENOMEM);
	if (gzip->in.n + size > PIECE && gzip->in.n > 0) {
		r = pack(gzip, Z_NO_FLUSH);
		if (r < 0)
			return err_trace(r);
	}
	r = vec_reserve(&gzip->in, MAX(gzip->in.n + size, (size_t)PIECE));
	if (r < 0)
		return err_trace(r);
	*ret_room = gzip->in.items + gzip->in.n;
	gzip->in.n += size;
	return 0;
}

int pprof_gzip_finish(struct pprof_gzip *gzip)
{
	return pack(gzip, Z_FINISH);
}
