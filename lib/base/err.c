/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The one piece of file-scope state that CONTRIBUTING.md allows beside const tables. */
static log_fn hook;
static void *hook_user;

void log_set_hook(log_fn fn, void *user)
{
	hook = fn;
	hook_user = user;
}

void log_line(enum log_level level, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (!hook)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	hook(hook_user, level, text);
}

int err_trace_at(int error, const char *file, int line)
{
	if (error < 0)
		log_line(LOG_DEBUG, "%s:%d: %s", file, line, strerror(-error));
	return error;
}

int err_errno(void)
{
	return errno > 0 ? -errno : -EIO;
}
