/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Release by scope, and handing over.
 *
 * `_cleanup_(fn)` runs fn(&variable) when the variable leaves its scope. A value that leaves
 * the function is handed over with take_ptr() or take_fd(), which empty the variable first.
 */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

/** Defines `name_cleanup(T **)` for a destructor that takes T * (NULL allowed). */
#define DEFINE_CLEANUP(type, fn)                                                                   \
	static inline void fn##_cleanup(type *variable)                                            \
	{                                                                                          \
		if (*variable)                                                                     \
			fn(*variable);                                                             \
	}

static inline void free_cleanup(void *variable)
{
	free(*(void **)variable);
}

static inline void close_cleanup(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

DEFINE_CLEANUP(FILE *, fclose)
DEFINE_CLEANUP(DIR *, closedir)

#define _cleanup_free_ _cleanup_(free_cleanup)
#define _cleanup_close_ _cleanup_(close_cleanup)
#define _cleanup_fclose_ _cleanup_(fclose_cleanup)
#define _cleanup_closedir_ _cleanup_(closedir_cleanup)

/** Yields the pointer and leaves NULL behind: the caller becomes the owner. */
#define take_ptr(ptr)                                                                              \
	({                                                                                         \
		__typeof__(ptr) taken_ = (ptr);                                                    \
		(ptr) = NULL;                                                                      \
		taken_;                                                                            \
	})

/** Yields the descriptor and leaves -1 behind: the caller closes it. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ < b_ ? a_ : b_;                                                                 \
	})
#define MAX(a, b)                                                                                  \
	({                                                                                         \
		__typeof__(a) a_ = (a);                                                            \
		__typeof__(b) b_ = (b);                                                            \
		a_ > b_ ? a_ : b_;                                                                 \
	})
