/* SPDX-License-Identifier: Apache-2.0 */
/* Where finished bytes go: a descriptor or memory. */
#pragma once

#include <stddef.h>

struct sink {
	/** Writes all of it. Returns 0 or a negative errno. */
	int (*write)(struct sink *sink, const void *bytes, size_t size);
};

struct sink_fd {
	struct sink sink;
	int fd; /* borrowed */
};

struct sink_memory {
	struct sink sink;
	char *bytes; /* owned */
	size_t size, cap;
};

/** A sink on a descriptor, which stays the caller's. Short writes and EINTR are continued. */
void sink_fd_init(struct sink_fd *sink, int fd);

void sink_memory_init(struct sink_memory *sink);
void sink_memory_deinit(struct sink_memory *sink);

/** Writes all of it. Returns 0 or a negative errno. */
int sink_write(struct sink *sink, const void *bytes, size_t size);

/** Formats text into the sink. Returns 0 or a negative errno. */
int sink_printf(struct sink *sink, const char *format, ...) __attribute__((format(printf, 2, 3)));
