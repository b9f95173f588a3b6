/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The terminal: taken for the table, and given back as it was, whatever ends this process but
 * SIGKILL. One per process, for a signal handler has no argument.
 */
#pragma once

#include <stdbool.h>

/** Can a table be shown and keys be read? When not, *ret_why is a sentence for people, or NULL when
 * none is needed: the output is no terminal. */
bool top_terminal_can(const char **ret_why);

/** Is this process in the foreground of its terminal, and so may write to it? */
bool top_terminal_is_ours(void);

/** Takes the terminal. False after saying why not. */
bool top_terminal_open(void);

/** Gives it back; nothing happens if it was not taken. */
void top_terminal_close(void);

/** Gives it back for a while … */
void top_terminal_leave(void);

/** … or somebody else may have taken it … */
void top_terminal_lose(void);

/** … and takes it again; what is drawn next is drawn whole. */
void top_terminal_return(void);

/** The window may have another size. */
void top_terminal_resize(void);

/** Are there colours, and are they wanted (NO_COLOR, see no-color.org)? */
bool top_terminal_has_colours(void);

/** Colour pairs. */
enum {
	TOP_COLOUR_HOT = 1,
	TOP_COLOUR_WARM,
};
