/* SPDX-License-Identifier: Apache-2.0 */
#include <curses.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "base/cleanup.h"
#include "top.h"

#define SHIFT 8
#define ESCAPE 27
#define BACKSPACE 127

const char *const top_keys_help[] = {
	"Keys of cprof top",
	"",
	"  q             quit",
	"  space         pause: the figures stand still, the recording goes on",
	"  r             reset: 'since' counts from now on",
	"  t             a row for each thread, or for all together",
	"  c w b u       CPU time, elapsed time, time blocked, memory in use",
	"  /             search function, module, file, thread; Enter keeps it, Esc ends it",
	"  1 2           sort by self, by total, of the last interval",
	"  3 4           likewise since the start",
	"  n m T         sort by function, by module, by thread",
	"  < >           sort by the column to the left, to the right",
	"  i             turn the order round",
	"  Up Down k j   move the bar; PageUp, PageDown, Home, End",
	"  Left Right    move long names",
	"  h ?           this help; any key leaves it",
	"",
	"self: time in the function itself; total: with all that it called.",
	NULL,
};

static int show(struct top *top, const struct session_type *type, bool by_thread)
{
	int r = top_figures_show(&top->figures, type, by_thread);

	return r < 0 ? r : top_view_arrange(&top->view, top->figures.table);
}

static int show_heap(struct top *top)
{
	if (top->heap)
		return show(top, &top_figures_heap, top->figures.by_thread);
	top->note = "the heap is not counted; name it with --type, as cpu,heap";
	return 0;
}

static int show_type(struct top *top, const char *name)
{
	const struct session_type *type = session_type_find(name);

	if (!type || !(top->figures.types & (unsigned)type->type)) {
		top->note = "that type is not measured; name it with --type, as cpu,wall,block";
		return 0;
	}
	return show(top, type, top->figures.by_thread);
}

static int sort_by(struct top *top, enum top_sort sort)
{
	top->view.sort = sort;
	return top_view_arrange(&top->view, top->figures.table);
}

/* The thread is a column only when there is one. */
static int sort_beside(struct top *top, int by)
{
	int sort = ((int)top->view.sort + by + TOP_SORTS) % TOP_SORTS;

	if (sort == TOP_SORT_THREAD && !top->figures.by_thread)
		sort += by;
	return sort_by(top, (enum top_sort)sort);
}

static int on_special(struct top *top, wint_t key)
{
	switch (key) {
	case KEY_UP:
		top_view_move(&top->view, -1);
		break;
	case KEY_DOWN:
		top_view_move(&top->view, 1);
		break;
	case KEY_PPAGE:
		top_view_page(&top->view, false);
		break;
	case KEY_NPAGE:
		top_view_page(&top->view, true);
		break;
	case KEY_HOME:
		top_view_move(&top->view, -(long)top->view.rows.n);
		break;
	case KEY_END:
		top_view_move(&top->view, (long)top->view.rows.n);
		break;
	case KEY_LEFT:
		top->view.shift -= MIN(top->view.shift, (unsigned)SHIFT);
		break;
	case KEY_RIGHT:
		top->view.shift += SHIFT;
		break;
	default:
		break;
	}
	return TOP_KEY_DONE;
}

static int on_typed(struct top *top, wint_t key, bool special)
{
	char character[MB_LEN_MAX + 1] = "";
	mbstate_t state = {};

	if (key == ESCAPE && !special)
		top->view.search[0] = '\0';
	if (key == ESCAPE || key == '\r' || key == '\n' || (special && key == KEY_ENTER))
		top->view.typing = false;
	else if (key == BACKSPACE || key == '\b' || (special && key == KEY_BACKSPACE))
		top_view_type(&top->view, NULL);
	else if (special)
		return on_special(top, key);
	else if (iswprint(key) && wcrtomb(character, (wchar_t)key, &state) != (size_t)-1)
		top_view_type(&top->view, character);
	return top_view_arrange(&top->view, top->figures.table);
}

static int on_command(struct top *top, wint_t key)
{
	switch (key) {
	case 'q':
	case 'Q':
		return TOP_KEY_QUIT;
	case ' ':
	case 'p':
		top->view.paused = !top->view.paused;
		return top->view.paused ? TOP_KEY_DONE : TOP_KEY_REFRESH;
	case 'r': {
		int r = top_figures_reset(&top->figures);

		return r < 0 ? r : top_view_arrange(&top->view, top->figures.table);
	}
	case 't':
		return show(top, top->figures.type, !top->figures.by_thread);
	case 'c':
		return show_type(top, "cpu");
	case 'w':
		return show_type(top, "wall");
	case 'b':
		return show_type(top, "block");
	case 'u':
		return show_heap(top);
	case '/':
		top->view.typing = true;
		break;
	case ESCAPE:
		top->view.search[0] = '\0';
		return top_view_arrange(&top->view, top->figures.table);
	case '1':
	case 's':
		return sort_by(top, TOP_SORT_SELF_LAST);
	case '2':
		return sort_by(top, TOP_SORT_TOTAL_LAST);
	case '3':
		return sort_by(top, TOP_SORT_SELF_SINCE);
	case '4':
		return sort_by(top, TOP_SORT_TOTAL_SINCE);
	case 'n':
		return sort_by(top, TOP_SORT_NAME);
	case 'm':
		return sort_by(top, TOP_SORT_MODULE);
	case 'T':
		return sort_by(top, TOP_SORT_THREAD);
	case '<':
		return sort_beside(top, -1);
	case '>':
		return sort_beside(top, 1);
	case 'i':
	case 'I':
		top->view.reverse = !top->view.reverse;
		return top_view_arrange(&top->view, top->figures.table);
	case 'h':
	case '?':
		top->view.help = true;
		break;
	case 'k':
		return on_special(top, KEY_UP);
	case 'j':
		return on_special(top, KEY_DOWN);
	case 'g':
		return on_special(top, KEY_HOME);
	case 'G':
		return on_special(top, KEY_END);
	case '\f':
		clearok(stdscr, TRUE);
		break;
	default:
		break;
	}
	return TOP_KEY_DONE;
}

static int on_key(struct top *top, wint_t key, bool special)
{
	top->note = NULL;
	if (special && key == KEY_RESIZE)
		return TOP_KEY_DONE;
	if (top->view.help) {
		top->view.help = false;
		return TOP_KEY_DONE;
	}
	if (top->view.typing)
		return on_typed(top, key, special);
	return special ? on_special(top, key) : on_command(top, key);
}

int top_keys_read(struct top *top)
{
	bool refresh_wanted = false;
	wint_t key;
	int kind;

	while ((kind = get_wch(&key)) != ERR) {
		int r = on_key(top, key, kind == KEY_CODE_YES);

		if (r < 0 || r == TOP_KEY_QUIT)
			return r;
		refresh_wanted |= r == TOP_KEY_REFRESH;
	}
	return refresh_wanted ? TOP_KEY_REFRESH : TOP_KEY_DONE;
}
