/* SPDX-License-Identifier: Apache-2.0 */
/* The table in a window of any size. */
#include <curses.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "top.h"
#include "top_layout.h"
#include "top_terminal.h"

/* Shares of the last interval from which on a row stands out, in per cent: as in perf-top. */
#define HOT 5.0
#define WARM 0.5

static void put(int y, int x, attr_t attributes, const char *text)
{
	(void)attrset((int)attributes);
	(void)mvaddstr(y, x, text);
	(void)attrset(A_NORMAL);
}

static void put_whole(int y, attr_t attributes, const char *text, unsigned width)
{
	char line[TOP_MAX_LINE] = "";

	top_layout_put(line, text, 0, width, false);
	put(y, 0, attributes, line);
}

static void put_titles(int y, const struct top *top, const struct top_layout *layout,
		       unsigned width)
{
	int x = 0;

	put_whole(y, A_REVERSE, "", width);
	for (unsigned i = 0; i < layout->n; i++) {
		const struct top_column *column = &layout->columns[i];
		bool sorted = top_layout_is_sorted(column->cell, top->view.sort);
		char line[TOP_MAX_LINE] = "";

		top_layout_put(line, top_layout_title(column->cell), 0, column->width,
			       top_layout_is_number(column->cell));
		put(y, x, sorted ? A_BOLD : A_REVERSE, line);
		x += (int)column->width + 1;
	}
}

static attr_t attributes_of(const struct top *top, const struct report_row *row)
{
	int64_t total = report_table_total(top->figures.table, TOP_LAST);
	double percent = total ? 100 * ((double)row->flat[TOP_LAST] / (double)total) : 0;

	if (!top_terminal_has_colours())
		return percent >= HOT ? A_BOLD : A_NORMAL;
	return percent >= HOT    ? COLOR_PAIR(TOP_COLOUR_HOT)
	       : percent >= WARM ? COLOR_PAIR(TOP_COLOUR_WARM)
				 : A_NORMAL;
}

static void put_row(int y, const struct top *top, const struct top_layout *layout, size_t index)
{
	const struct report_row *row = top->view.rows.items[index];
	char line[TOP_MAX_LINE] = "", text[TOP_MAX_LINE];

	for (unsigned i = 0; i < layout->n; i++) {
		const struct top_column *column = &layout->columns[i];

		if (i)
			top_layout_put(line, "", 0, 1, false);
		top_layout_cell(column->cell, row, &top->figures, text);
		top_layout_put(line, text, column->cell == TOP_CELL_NAME ? top->view.shift : 0,
			       column->width, top_layout_is_number(column->cell));
	}
	put(y, 0, index == top->view.selected ? A_REVERSE : attributes_of(top, row), line);
}

static void put_foot(int y, const struct top *top, unsigned width)
{
	char line[TOP_MAX_LINE];

	if (top->view.typing)
		snprintf(line, sizeof(line), "search: %s_", top->view.search);
	else if (top->note)
		snprintf(line, sizeof(line), "%s", top->note);
	else if (top->view.search[0])
		snprintf(line, sizeof(line), "search: %s  (Esc: all)", top->view.search);
	else
		snprintf(line, sizeof(line),
			 "h help  q quit  space pause  / search  t threads  c/w/b/u type  1-4 n m "
			 "sort  "
			 "r reset");
	put_whole(y, A_DIM, line, width);
}

static void draw_help(int height, unsigned width)
{
	for (int i = 0; i < height && top_keys_help[i]; i++)
		put_whole(i, A_NORMAL, top_keys_help[i], width);
}

static void draw_table(struct top *top, int height, unsigned width)
{
	/* Small windows have rows before they have a head. */
	int head = height >= 6 ? TOP_HEAD_LINES : height >= 3 ? 1 : 0, titles = height >= 4;
	int foot = height >= 5 || top->view.typing || top->view.search[0];
	int room = height - head - titles - foot;
	struct top_layout layout;
	char line[TOP_MAX_LINE];

	room = MAX(room, 0);
	top_layout_init(&layout, width, top->figures.by_thread);
	for (int i = 0; i < head; i++) {
		top_layout_head((unsigned)i, &top->figures, top->name, session_pid(top->session),
				line);
		if (i == 0 && top->view.paused)
			strcat(line, "  paused");
		put_whole(i, i ? A_NORMAL : A_BOLD, line, width);
	}
	if (titles)
		put_titles(head, top, &layout, width);
	top_view_fit(&top->view, (size_t)room);
	for (int i = 0; i < room; i++) {
		size_t index = top->view.first + (size_t)i;

		if (index < top->view.rows.n)
			put_row(head + titles + i, top, &layout, index);
	}
	if (room && !top->view.rows.n)
		put_whole(head + titles, A_DIM,
			  top->view.search[0] ? "nothing is called that" : "nothing was seen yet",
			  width);
	if (foot)
		put_foot(height - 1, top, width);
}

void top_screen_draw(struct top *top)
{
	int height, width;

	getmaxyx(stdscr, height, width);
	erase();
	if (top->view.help)
		draw_help(height, (unsigned)width);
	else
		draw_table(top, height, (unsigned)width);
	refresh();
}
