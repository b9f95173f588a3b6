/* SPDX-License-Identifier: Apache-2.0 */
#include "top_view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "top_figures.h"

const char *top_sort_name(enum top_sort sort)
{
	static const char *const names[TOP_SORTS] = {"self",   "total", "self-since", "total-since",
						     "thread", "name",  "module"};

	return names[sort];
}

void top_view_deinit(struct top_view *view)
{
	vec_deinit(&view->rows);
}

static bool matches(const struct top_view *view, const struct report_row *row)
{
	const char *texts[] = {row->name, row->module, row->file, row->thread};

	if (!view->search[0])
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (strcasestr(texts[i], view->search))
			return true;
	}
	return false;
}

static int compare_numbers(int64_t a, int64_t b)
{
	return (a < b) - (a > b);
}

/* Equal ones by the interval's own time, and so on; at last by name, so that rows do not jump. */
static int compare(const void *a_row, const void *b_row, void *user)
{
	const struct report_row *a = *(const struct report_row *const *)a_row;
	const struct report_row *b = *(const struct report_row *const *)b_row;
	const struct top_view *view = user;
	int r = 0;

	switch (view->sort) {
	case TOP_SORT_SELF_LAST:
		break;
	case TOP_SORT_TOTAL_LAST:
		r = compare_numbers(a->cum[TOP_LAST], b->cum[TOP_LAST]);
		break;
	case TOP_SORT_SELF_SINCE:
		r = compare_numbers(a->flat[TOP_SINCE], b->flat[TOP_SINCE]);
		break;
	case TOP_SORT_TOTAL_SINCE:
		r = compare_numbers(a->cum[TOP_SINCE], b->cum[TOP_SINCE]);
		break;
	case TOP_SORT_THREAD:
		r = strcmp(a->thread, b->thread);
		break;
	case TOP_SORT_NAME:
		r = strcmp(a->name, b->name);
		break;
	case TOP_SORT_MODULE:
		r = strcmp(a->module, b->module);
		break;
	}
	for (int i = TOP_LAST; !r && i <= TOP_SINCE; i++) {
		r = compare_numbers(a->flat[i], b->flat[i]);
		if (!r)
			r = compare_numbers(a->cum[i], b->cum[i]);
	}
	if (!r)
		r = strcmp(a->name, b->name);
	if (!r)
		r = strcmp(a->thread, b->thread);
	return view->reverse ? -r : r;
}

int top_view_arrange(struct top_view *view, const struct report_table *table)
{
	uint32_t n;
	const struct report_row *rows = report_table_rows(table, &n);

	view->rows.n = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct report_row **slot;

		if ((!rows[i].cum[TOP_SINCE] && !rows[i].cum[TOP_LAST]) || !matches(view, &rows[i]))
			continue;
		slot = vec_push(&view->rows);
		if (!slot)
			return err_trace(-ENOMEM);
		*slot = &rows[i];
	}
	if (view->rows.n)
		qsort_r(view->rows.items, view->rows.n, sizeof(*view->rows.items), compare, view);
	top_view_move(view, 0);
	return 0;
}

void top_view_move(struct top_view *view, long by)
{
	size_t last = view->rows.n ? view->rows.n - 1 : 0;

	if (by < 0 && view->selected < (size_t)-by)
		view->selected = 0;
	else
		view->selected += (size_t)by;
	view->selected = MIN(view->selected, last);
}

void top_view_page(struct top_view *view, bool down)
{
	if (down)
		view->first += view->height;
	else
		view->first -= MIN(view->first, view->height);
	top_view_move(view, down ? (long)view->height : -(long)view->height);
}

void top_view_fit(struct top_view *view, size_t height)
{
	view->height = height = MAX(height, (size_t)1);
	if (view->selected < view->first)
		view->first = view->selected;
	if (view->selected >= view->first + height)
		view->first = view->selected - height + 1;
	/* No empty lines below while there are rows above. */
	if (view->rows.n < view->first + height)
		view->first = view->rows.n > height ? view->rows.n - height : 0;
}

void top_view_type(struct top_view *view, const char *character)
{
	size_t n = strlen(view->search);

	if (character) {
		if (n + strlen(character) < sizeof(view->search))
			strcpy(view->search + n, character);
		return;
	}
	/* Bytes that continue a character go with it. */
	while (n > 0 && (view->search[n - 1] & 0xc0) == 0x80)
		n--;
	view->search[n ? n - 1 : 0] = '\0';
}
