/* SPDX-License-Identifier: Apache-2.0 */
#include "top_layout.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include "base/cleanup.h"
#include "base/text.h"

#define PERCENT 6
#define TIME 8
#define THREAD 22
#define MODULE 20
#define SOURCE 28
/* What a name must have before there is room for something else. */
#define NAME 24

static void add(struct top_layout *layout, enum top_cell cell, unsigned width, unsigned *left)
{
	layout->columns[layout->n++] = (struct top_column){cell, width};
	*left = *left > width + 1 ? *left - width - 1 : 0;
}

void top_layout_init(struct top_layout *layout, unsigned width, bool by_thread)
{
	unsigned left = width, thread = by_thread ? THREAD + 1 : 0;

	*layout = (struct top_layout){};
	add(layout, TOP_CELL_SELF_LAST, PERCENT, &left);
	if (left >= PERCENT + 1 + NAME / 2)
		add(layout, TOP_CELL_TOTAL_LAST, PERCENT, &left);
	if (left >= 2 * (PERCENT + 1) + NAME) {
		add(layout, TOP_CELL_SELF_SINCE, PERCENT, &left);
		add(layout, TOP_CELL_TOTAL_SINCE, PERCENT, &left);
	}
	if (left >= 2 * (TIME + 1) + thread + NAME) {
		add(layout, TOP_CELL_SELF_TIME, TIME, &left);
		add(layout, TOP_CELL_TOTAL_TIME, TIME, &left);
	}
	if (by_thread)
		add(layout, TOP_CELL_THREAD,
		    left >= thread + NAME / 2 ? THREAD : MIN(left / 2, (unsigned)THREAD), &left);
	if (left >= MODULE + 1 + SOURCE + 1 + 2 * NAME) {
		add(layout, TOP_CELL_NAME, left - MODULE - SOURCE - 2, &left);
		add(layout, TOP_CELL_MODULE, MODULE, &left);
		add(layout, TOP_CELL_FILE, SOURCE, &left);
	} else if (left >= MODULE + 1 + NAME) {
		add(layout, TOP_CELL_NAME, left - MODULE - 1, &left);
		add(layout, TOP_CELL_MODULE, MODULE, &left);
	} else if (left) {
		add(layout, TOP_CELL_NAME, left, &left);
	}
}

const char *top_layout_title(enum top_cell cell)
{
	switch (cell) {
	case TOP_CELL_SELF_LAST:
	case TOP_CELL_SELF_SINCE:
		return "%SELF";
	case TOP_CELL_TOTAL_LAST:
	case TOP_CELL_TOTAL_SINCE:
		return "%TOTAL";
	case TOP_CELL_SELF_TIME:
		return "SELF";
	case TOP_CELL_TOTAL_TIME:
		return "TOTAL";
	case TOP_CELL_THREAD:
		return "THREAD";
	case TOP_CELL_NAME:
		return "FUNCTION";
	case TOP_CELL_MODULE:
		return "MODULE";
	case TOP_CELL_FILE:
		return "FILE";
	}
	return "";
}

bool top_layout_is_number(enum top_cell cell)
{
	return cell < TOP_CELL_THREAD;
}

bool top_layout_is_sorted(enum top_cell cell, enum top_sort sort)
{
	switch (sort) {
	case TOP_SORT_SELF_LAST:
		return cell == TOP_CELL_SELF_LAST;
	case TOP_SORT_TOTAL_LAST:
		return cell == TOP_CELL_TOTAL_LAST;
	case TOP_SORT_SELF_SINCE:
		return cell == TOP_CELL_SELF_SINCE || cell == TOP_CELL_SELF_TIME;
	case TOP_SORT_TOTAL_SINCE:
		return cell == TOP_CELL_TOTAL_SINCE || cell == TOP_CELL_TOTAL_TIME;
	case TOP_SORT_THREAD:
		return cell == TOP_CELL_THREAD;
	case TOP_SORT_NAME:
		return cell == TOP_CELL_NAME;
	case TOP_SORT_MODULE:
		return cell == TOP_CELL_MODULE;
	}
	return false;
}

static void put_percent(int64_t part, int64_t whole, char *text)
{
	snprintf(text, TOP_MAX_LINE, "%.1f", whole > 0 ? 100 * ((double)part / (double)whole) : 0);
}

static void put_time(int64_t ns, char *text)
{
	double seconds = (double)ns / 1e9;

	snprintf(text, TOP_MAX_LINE, "%.*fs", seconds < 10000 ? 2 : 0, seconds);
}

static void put_bytes(int64_t bytes, char *text)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
	double n = (double)bytes;
	size_t unit = 0;

	for (; n >= 1024 && unit + 1 < ARRAY_SIZE(units); unit++)
		n /= 1024;
	snprintf(text, TOP_MAX_LINE, "%.*f%s", unit && n < 1000 ? 1 : 0, n, units[unit]);
}

static void put_amount(const struct top_figures *f, int64_t amount, char *text)
{
	if (f->type == &top_figures_heap)
		put_bytes(amount, text);
	else
		put_time(amount, text);
}

static void put_name(const char *name, char *text)
{
	text_clean(text, TOP_MAX_LINE, name, strlen(name));
}

const char *top_layout_cell(enum top_cell cell, const struct report_row *row,
			    const struct top_figures *figures, char text[static TOP_MAX_LINE])
{
	const struct report_table *table = figures->table;
	const char *slash;

	switch (cell) {
	case TOP_CELL_SELF_LAST:
		put_percent(row->flat[TOP_LAST], report_table_total(table, TOP_LAST), text);
		break;
	case TOP_CELL_TOTAL_LAST:
		put_percent(row->cum[TOP_LAST], report_table_total(table, TOP_LAST), text);
		break;
	case TOP_CELL_SELF_SINCE:
		put_percent(row->flat[TOP_SINCE], report_table_total(table, TOP_SINCE), text);
		break;
	case TOP_CELL_TOTAL_SINCE:
		put_percent(row->cum[TOP_SINCE], report_table_total(table, TOP_SINCE), text);
		break;
	case TOP_CELL_SELF_TIME:
		put_amount(figures, row->flat[TOP_SINCE], text);
		break;
	case TOP_CELL_TOTAL_TIME:
		put_amount(figures, row->cum[TOP_SINCE], text);
		break;
	case TOP_CELL_THREAD:
		put_name(row->thread, text);
		break;
	case TOP_CELL_NAME:
		put_name(row->name, text);
		break;
	case TOP_CELL_MODULE:
		put_name(row->module, text);
		break;
	case TOP_CELL_FILE:
		slash = strrchr(row->file, '/');
		put_name(slash ? slash + 1 : row->file, text);
		break;
	}
	return text;
}

void top_layout_head(unsigned i, const struct top_figures *f, const char *name, pid_t pid,
		     char text[static TOP_MAX_LINE])
{
	char in_use[TOP_MAX_LINE];
	size_t n = 0;

	switch (i) {
	case 0:
		text_add(text, TOP_MAX_LINE, 0, "cprof top: %s (pid %d)  type %s  %.1fs%s",
			 f->name[0] ? f->name : name, pid, f->type->name, (double)f->since_ns / 1e9,
			 f->stopped ? "  the process is stopped" : "");
		break;
	case 1:
		if (f->cpu >= 0)
			n = text_add(text, TOP_MAX_LINE, 0, "CPU %.1f%%", 100 * f->cpu);
		else
			n = text_add(text, TOP_MAX_LINE, 0, "CPU -");
		if (f->type == &top_figures_heap) {
			put_bytes(report_table_total(f->table, TOP_SINCE), in_use);
			text_add(text, TOP_MAX_LINE, n,
				 "  in use %s  allocations %.0f/s, %" PRIu64 " in all  threads %u",
				 in_use, f->samples_per_second, f->samples, f->threads);
			break;
		}
		text_add(text, TOP_MAX_LINE, n,
			 "  samples %.0f/s, %" PRIu64 " in all  threads %u  lost %" PRIu64,
			 f->samples_per_second, f->samples, f->threads, f->dropped);
		break;
	default:
		if (f->type == &top_figures_heap) {
			text_add(text, TOP_MAX_LINE, 0, "last %.1fs     in use now",
				 (double)f->last_ns / 1e9);
			break;
		}
		text_add(text, TOP_MAX_LINE, 0, "last %.1fs     since %s", (double)f->last_ns / 1e9,
			 f->base ? "reset" : "start");
		break;
	}
}

/* Reads the character at *text and moves on. Returns its columns; *ret_n: its bytes, 0: it has to
 * be replaced. */
static unsigned next_character(const char **text, size_t *ret_n)
{
	mbstate_t state = {};
	wchar_t character;
	size_t n = mbrtowc(&character, *text, strlen(*text), &state);
	int columns = n == (size_t)-1 || n == (size_t)-2 ? -1 : wcwidth(character);

	if (columns >= 0) {
		*text += *ret_n = n;
		return (unsigned)columns;
	}
	/* Not of this locale: the bytes of one UTF-8 character. */
	for (++*text; (**text & 0xc0) == 0x80; ++*text)
		;
	*ret_n = 0;
	return 1;
}

unsigned top_layout_width(const char *text)
{
	unsigned width = 0;
	size_t ignored;

	while (*text)
		width += next_character(&text, &ignored);
	return width;
}

void top_layout_put(char line[static TOP_MAX_LINE], const char *text, unsigned skip, unsigned width,
		    bool right)
{
	size_t at = strlen(line);
	unsigned used = 0, skipped = 0;

	if (right) {
		unsigned whole = top_layout_width(text);

		for (; whole + used < width; used++)
			at = text_add(line, TOP_MAX_LINE, at, " ");
	}
	while (*text) {
		const char *from = text;
		size_t n;
		unsigned columns = next_character(&text, &n);

		if (skipped < skip) {
			skipped += columns;
			continue;
		}
		if (used + columns > width)
			break;
		used += columns;
		at = text_add(line, TOP_MAX_LINE, at, "%.*s", n ? (int)n : 1, n ? from : "?");
	}
	for (; used < width && width != TOP_NO_LIMIT; used++)
		at = text_add(line, TOP_MAX_LINE, at, " ");
}
