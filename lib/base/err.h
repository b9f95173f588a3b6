/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fatal errors and the log hook.
 *
 * A function that can fail returns int: negative errno is fatal and is forwarded with
 * `return err_trace(r)`, zero is success, positive is an outcome of the callee's module.
 * Libraries do not print: what a person may want to know goes through the hook, which cmd/ sets.
 */
#pragma once

enum log_level {
	LOG_ERROR,   /* the operation failed */
	LOG_WARNING, /* something was lost or guessed; the result says so too */
	LOG_NOTICE,  /* worth knowing with -v */
	LOG_DEBUG,   /* where a fatal error passed */
};

typedef void (*log_fn)(void *user, enum log_level level, const char *text);

/**
 * Sets the receiver of log lines; NULL drops them (the default). Call before threads start.
 * fn may be called from any thread; text is one line without newline, borrowed for the call.
 */
void log_set_hook(log_fn fn, void *user);

/** Formats one line and passes it to the hook. Lines are cut at 1023 bytes. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

int err_trace_at(int error, const char *file, int line);

/** Notes on the debug log that a fatal error passed here; returns it unchanged. */
#define err_trace(error) err_trace_at((error), __FILE__, __LINE__)

/** -errno, for the statement after a failed call; never returns 0. */
int err_errno(void);
