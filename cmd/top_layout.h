/* SPDX-License-Identifier: Apache-2.0 */
/* The columns that a window of some width has room for, and the text in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "report/report_table.h"
#include "top_figures.h"
#include "top_view.h"

#define TOP_MAX_COLUMNS 10
#define TOP_MAX_LINE 8192     /* bytes; what is longer is cut */
#define TOP_NO_LIMIT 1000000u /* as the width: nothing is cut or left out */

enum top_cell {
	TOP_CELL_SELF_LAST, /* per cent of the last interval … */
	TOP_CELL_TOTAL_LAST,
	TOP_CELL_SELF_SINCE, /* … and since the start */
	TOP_CELL_TOTAL_SINCE,
	TOP_CELL_SELF_TIME, /* of a heap, bytes */
	TOP_CELL_TOTAL_TIME,
	TOP_CELL_THREAD,
	TOP_CELL_NAME,
	TOP_CELL_MODULE,
	TOP_CELL_FILE,
};

struct top_column {
	enum top_cell cell;
	unsigned width; /* on the screen; columns follow each other with one space between */
};

struct top_layout {
	struct top_column columns[TOP_MAX_COLUMNS];
	unsigned n;
};

void top_layout_init(struct top_layout *layout, unsigned width, bool by_thread);

const char *top_layout_title(enum top_cell cell);

/** Is that what rows are sorted by? */
bool top_layout_is_sorted(enum top_cell cell, enum top_sort sort);

/** The text of a cell, free of control characters. Returns text. */
const char *top_layout_cell(enum top_cell cell, const struct report_row *row,
			    const struct top_figures *figures, char text[static TOP_MAX_LINE]);

/** Numbers stand at the right of their column. */
bool top_layout_is_number(enum top_cell cell);

/** What each of the lines above the table says. i: 0: of the target, 1: of its figures, 2: of the
 * groups of columns. */
#define TOP_HEAD_LINES 3
void top_layout_head(unsigned i, const struct top_figures *figures, const char *name, pid_t pid,
		     char text[static TOP_MAX_LINE]);

/**
 * Appends text of exactly `width` columns on the screen, cut or padded. Characters that the locale
 * does not have become '?'.
 *
 * @param skip	columns left out at the beginning
 * @param right	padded on the left
 */
void top_layout_put(char line[static TOP_MAX_LINE], const char *text, unsigned skip, unsigned width,
		    bool right);

/** Columns that a text takes on the screen. */
unsigned top_layout_width(const char *text);
