/* SPDX-License-Identifier: Apache-2.0 */
/* What of the table is looked at: which rows, in which order, and where one is in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/vec.h"
#include "report/report_table.h"

#define TOP_MAX_SEARCH 128

/* In the order of the columns on the screen. */
enum top_sort {
	TOP_SORT_SELF_LAST,
	TOP_SORT_TOTAL_LAST,
	TOP_SORT_SELF_SINCE,
	TOP_SORT_TOTAL_SINCE,
	TOP_SORT_THREAD,
	TOP_SORT_NAME,
	TOP_SORT_MODULE,
};
#define TOP_SORTS 7

struct top_view {
	enum top_sort sort;
	bool reverse, paused, help, typing; /* typing: the text to search */
	char search[TOP_MAX_SEARCH];        /* "": all rows */
	size_t selected, first;             /* rows: the one with the bar, and the one at the top */
	size_t height;                      /* rows there is room for */
	unsigned shift;                     /* columns by which names are moved to the left */
	VEC(const struct report_row *) rows; /* of the table; valid until that is filled anew */
};

/** As in --sort. */
const char *top_sort_name(enum top_sort sort);

void top_view_deinit(struct top_view *view);

/** Chooses and sorts the rows of a table: those with any time that the search finds. Returns 0 or
 * -ENOMEM. */
int top_view_arrange(struct top_view *view, const struct report_table *table);

/** Moves the bar, within the rows. */
void top_view_move(struct top_view *view, long by);

/** Moves by as many rows as the screen had room for. */
void top_view_page(struct top_view *view, bool down);

/** Sees to it that the bar is on a screen with room for so many rows. */
void top_view_fit(struct top_view *view, size_t height);

/** Adds a character (UTF-8) to what is searched; NULL: takes the last one off. */
void top_view_type(struct top_view *view, const char *character);
