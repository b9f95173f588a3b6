/* SPDX-License-Identifier: Apache-2.0 */
/* A dump in words and in JSON. */
#pragma once

#include <stdbool.h>

#include "base/sink.h"
#include "session/session_dump.h"

#define DUMP_HEAD_SIZE 768

/** What a thread does: state, call, what it waits for, who holds that. One line, clean, without a
 * newline. Returns its length. */
size_t dump_head(const struct dump *dump, const struct dump_thread *thread,
		 char text[static DUMP_HEAD_SIZE]);

/** "4711 "name"". */
size_t dump_thread_words(const struct dump_thread *thread, char *text, size_t cap);

/** Why a thread has no stack, as a sentence without a full stop; NULL: it has one. */
const char *dump_why_no_stack(const struct dump_thread *thread);

/** Why a stack ends early, likewise. */
const char *dump_why_cut(enum trace_end end);

/** A name that came from the target, for people: demangled if it is a linkage name, without
 * control characters. Caller frees; NULL when out of memory. */
char *dump_name(const char *name, bool demangle);

/** Is something missing that a dump should have? */
bool dump_is_partial(const struct dump *dump);

/** All threads, those with the same stack together if fold. Returns 0 or the sink's error. */
int dump_print(const struct dump *dump, bool fold, struct sink *sink);

/** Only the deadlocks, with the stacks in them; who waits for whom where there is none. Likewise.
 */
int dump_print_deadlocks(const struct dump *dump, struct sink *sink);

/** All of it as one JSON object. Returns 0, -ENOMEM, or the sink's error. */
int dump_print_json(const struct dump *dump, bool fold, struct sink *sink);
