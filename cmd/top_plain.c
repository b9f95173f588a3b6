/* SPDX-License-Identifier: Apache-2.0 */
/* The table as plain lines, one table after the other. */
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/sink.h"
#include "top.h"
#include "top_layout.h"

static int put_titles(struct sink *sink, const struct top_layout *layout)
{
	char line[TOP_MAX_LINE] = "";

	for (unsigned i = 0; i < layout->n; i++) {
		enum top_cell cell = layout->columns[i].cell;

		if (i)
			top_layout_put(line, "  ", 0, top_layout_is_number(cell) ? 1 : 2, false);
		top_layout_put(line, top_layout_title(cell), 0, layout->columns[i].width,
			       top_layout_is_number(cell));
	}
	return sink_printf(sink, "%s\n", line);
}

static int put_row(struct sink *sink, const struct top_layout *layout, const struct report_row *row,
		   const struct top_figures *figures)
{
	char line[TOP_MAX_LINE] = "", text[TOP_MAX_LINE];

	for (unsigned i = 0; i < layout->n; i++) {
		enum top_cell cell = layout->columns[i].cell;

		top_layout_cell(cell, row, figures, text);
		/* What is not known leaves no gap at the end. */
		if (i && *text)
			top_layout_put(line, "  ", 0, top_layout_is_number(cell) ? 1 : 2, false);
		top_layout_put(line, text, 0, layout->columns[i].width, top_layout_is_number(cell));
	}
	return sink_printf(sink, "%s\n", line);
}

int top_plain_print(const struct top *top)
{
	_cleanup_(sink_memory_deinit) struct sink_memory text;
	struct top_layout layout = {};
	struct sink_fd out;
	size_t n = top->view.rows.n;
	char line[TOP_MAX_LINE];
	int r = 0;

	sink_memory_init(&text);
	sink_fd_init(&out, STDOUT_FILENO);
	top_layout_init(&layout, TOP_NO_LIMIT, top->figures.by_thread);
	/* Nothing is cut, and what does not stand in columns is not padded either. */
	for (unsigned i = 0; i < layout.n; i++) {
		if (!top_layout_is_number(layout.columns[i].cell))
			layout.columns[i].width = TOP_NO_LIMIT;
	}
	if (top->n_rows)
		n = MIN(n, (size_t)top->n_rows);
	for (unsigned i = 0; i < TOP_HEAD_LINES && r == 0; i++) {
		top_layout_head(i, &top->figures, top->name, session_pid(top->session), line);
		r = sink_printf(&text.sink, "%s\n", line);
	}
	if (r == 0)
		r = put_titles(&text.sink, &layout);
	for (size_t i = 0; i < n && r == 0; i++)
		r = put_row(&text.sink, &layout, top->view.rows.items[i], &top->figures);
	if (r == 0)
		r = sink_printf(&text.sink, "\n");
	/* In one piece, for those who read it while it is written. */
	return r < 0 ? r : sink_write(&out.sink, text.bytes, text.size);
}
