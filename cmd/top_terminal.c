/* SPDX-License-Identifier: Apache-2.0 */
#include "top_terminal.h"

#include <curses.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What ends a process when nobody handles it. Not those that are read from a descriptor, nor
 * SIGBUS, which a truncated file raises (module_sigbus.c). */
static const int fatal[] = {SIGSEGV, SIGABRT, SIGFPE,  SIGILL,  SIGSYS,
			    SIGTRAP, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM,
			    SIGPROF, SIGXCPU, SIGXFSZ, SIGPOLL, SIGPWR};

/* What a handler needs is in file scope. */
static volatile sig_atomic_t taken;
static struct termios before;
static char undo[256]; /* what puts the terminal back, as text */
static size_t undo_size;
static struct sigaction previous[ARRAY_SIZE(fatal)];
static SCREEN *screen;
static bool lost; /* it was lost, not given back */

static void on_fatal(int number)
{
	size_t i = 0;

	if (taken) {
		taken = 0;
		(void)!write(STDOUT_FILENO, undo, undo_size);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	}
	while (i + 1 < ARRAY_SIZE(fatal) && fatal[i] != number)
		i++;
	(void)sigaction(number, &previous[i], NULL);
	/* Comes when the handler returns, and meets who had it before. */
	(void)raise(number);
}

static int collect(int character)
{
	if (undo_size < sizeof(undo))
		undo[undo_size++] = (char)character;
	return character;
}

static void remember_undo(void)
{
	static const char *const names[] = {"sgr0", "rmkx", "cnorm", "rmcup"};

	undo_size = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *text = tigetstr(names[i]);

		if (text && text != (char *)-1)
			tputs(text, 1, collect);
	}
}

static void guard(void)
{
	struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK};

	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		(void)sigaction(fatal[i], NULL, &previous[i]);
		/* Who ignores it goes on doing so. */
		if (previous[i].sa_handler != SIG_IGN)
			(void)sigaction(fatal[i], &action, NULL);
	}
}

bool top_terminal_can(const char **ret_why)
{
	static char why[160];
	const char *name = getenv("TERM");
	char *up = NULL;
	int error = 0;

	*ret_why = NULL;
	if (!isatty(STDOUT_FILENO))
		return false;
	*ret_why = why;
	if (!isatty(STDIN_FILENO)) {
		snprintf(why, sizeof(why), "the standard input is no terminal to read keys from");
		return false;
	}
	if (!name || !*name) {
		snprintf(why, sizeof(why), "TERM is not set");
		return false;
	}
	if (setupterm(NULL, STDOUT_FILENO, &error) == OK) {
		up = tigetstr("cup");
		del_curterm(cur_term);
	}
	if (!up || up == (char *)-1) {
		snprintf(why, sizeof(why), "the terminal '%.64s' %s", name,
			 error == 1 ? "cannot move its cursor" : "is not known here");
		return false;
	}
	*ret_why = NULL;
	return true;
}

bool top_terminal_is_ours(void)
{
	pid_t group = tcgetpgrp(STDIN_FILENO);

	return group < 0 || group == getpgrp();
}

static void set_up(void)
{
	cbreak();
	noecho();
	nonl();
	intrflush(stdscr, FALSE);
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	/* How long after Esc the rest of a key is waited for. */
	set_escdelay(50);
	(void)curs_set(0);
	if (has_colors()) {
		start_color();
		use_default_colors();
		init_pair(TOP_COLOUR_HOT, COLOR_RED, -1);
		init_pair(TOP_COLOUR_WARM, COLOR_GREEN, -1);
	}
}

bool top_terminal_open(void)
{
	if (tcgetattr(STDIN_FILENO, &before) < 0) {
		perror("cprof: cannot read the modes of the terminal");
		return false;
	}
	screen = newterm(NULL, stdout, stdin);
	if (!screen) {
		fprintf(stderr, "cprof: cannot use the terminal; try --plain.\n");
		return false;
	}
	remember_undo();
	guard();
	taken = 1;
	set_up();
	return true;
}

void top_terminal_leave(void)
{
	if (!taken && !lost)
		return;
	lost = false;
	endwin();
	/* What was there, and not what is usual. */
	(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	taken = 0;
}

void top_terminal_lose(void)
{
	if (!taken)
		return;
	/* Without a word to the terminal: the modes to go back to are those from before. */
	lost = true;
	taken = 0;
}

void top_terminal_return(void)
{
	if (taken || !screen)
		return;
	/* The shell may have set others meanwhile. */
	if (!lost)
		(void)tcgetattr(STDIN_FILENO, &before);
	lost = false;
	taken = 1;
	reset_prog_mode();
	top_terminal_resize();
	clearok(stdscr, TRUE);
	(void)curs_set(0);
}

void top_terminal_close(void)
{
	top_terminal_leave();
	if (!screen)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++) {
		if (previous[i].sa_handler != SIG_IGN)
			(void)sigaction(fatal[i], &previous[i], NULL);
	}
	delscreen(screen);
	screen = NULL;
}

void top_terminal_resize(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col)
		return;
	(void)resizeterm(size.ws_row, size.ws_col);
}

bool top_terminal_has_colours(void)
{
	const char *no = getenv("NO_COLOR");

	return has_colors() && !(no && *no);
}
