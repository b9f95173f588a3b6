/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sink.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/vec.h"

static int fd_write(struct sink *sink, const void *bytes, size_t size)
{
	const struct sink_fd *to = (struct sink_fd *)sink;

	while (size) {
		ssize_t n = write(to->fd, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno();
		bytes = (const char *)bytes + n;
		size -= (size_t)n;
	}
	return 0;
}

void sink_fd_init(struct sink_fd *sink, int fd)
{
	*sink = (struct sink_fd){.sink.write = fd_write, .fd = fd};
}

static int memory_write(struct sink *sink, const void *bytes, size_t size)
{
	struct sink_memory *to = (struct sink_memory *)sink;
	int r = vec_reserve_raw((void **)&to->bytes, &to->cap, to->size + size, 1);

	if (r < 0)
		return r;
	if (size)
		memcpy(to->bytes + to->size, bytes, size);
	to->size += size;
	return 0;
}

void sink_memory_init(struct sink_memory *sink)
{
	*sink = (struct sink_memory){.sink.write = memory_write};
}

void sink_memory_deinit(struct sink_memory *sink)
{
	free(sink->bytes);
	sink_memory_init(sink);
}

int sink_write(struct sink *sink, const void *bytes, size_t size)
{
	return sink->write(sink, bytes, size);
}

int sink_printf(struct sink *sink, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0) {
		text = NULL;
		return -ENOMEM;
	}
	return sink_write(sink, text, (size_t)n);
}
