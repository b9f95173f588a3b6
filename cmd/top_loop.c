/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens while the table is shown: time passes, keys are typed, signals come, the recording
 * ends. Signals are blocked in all threads, and read from a descriptor.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "top.h"
#include "top_terminal.h"

/* Refreshes take at most this share of the time. */
#define COST_SHARE 5

struct loop {
	struct top *top;
	uint64_t next_at; /* refresh */
	uint64_t shown;   /* refreshes */
	bool quit;
};

static void draw(struct top *top)
{
	if (top->live && !top->suspended)
		top_screen_draw(top);
}

static int refresh_figures(struct loop *loop)
{
	struct top *top = loop->top;
	int r = top_figures_refresh(&top->figures);

	if (r >= 0)
		r = top_view_arrange(&top->view, top->figures.table);
	if (r < 0)
		return err_trace(r);
	if (!top->live)
		r = top_plain_print(top);
	draw(top);
	loop->shown++;
	loop->quit |= top->count && loop->shown >= top->count;
	return r;
}

/* The terminal is given back before this process stops, which the tracer sees to, for it must not
 * hold a thread meanwhile. */
static void suspend(struct top *top)
{
	if (top->live)
		top_terminal_leave();
	top->suspended = true;
	top->continued = false;
	(void)eventfd_write(top->suspend_fd, 1);
}

/* Before the stop, the terminal is ours to the last; continued in the background, it is still the
 * shell's. */
static void try_return(struct top *top)
{
	if (!top->suspended || !top->continued || (top->live && !top_terminal_is_ours()))
		return;
	top->suspended = false;
	if (top->live)
		top_terminal_return();
	draw(top);
}

static void read_signals(struct loop *loop)
{
	struct top *top = loop->top;
	struct signalfd_siginfo signal;

	while (read(top->signal_fd, &signal, sizeof(signal)) == sizeof(signal)) {
		switch (signal.ssi_signo) {
		case SIGTSTP:
			if (!top->suspended)
				suspend(top);
			break;
		case SIGCONT:
			/* After a SIGSTOP, of which nothing was known before. */
			if (top->live && !top->suspended)
				top_terminal_lose();
			top->suspended = top->continued = true;
			try_return(top);
			break;
		case SIGWINCH:
			if (top->live && !top->suspended)
				top_terminal_resize();
			draw(top);
			break;
		default:
			loop->quit = true;
			break;
		}
	}
}

/* A terminal that was hung up is readable for ever, and nothing comes. */
static bool is_gone(short events)
{
	int n = 0;

	return events & (POLLERR | POLLHUP | POLLNVAL) ||
	       (events & POLLIN && ioctl(STDIN_FILENO, FIONREAD, &n) == 0 && n == 0);
}

static int read_keys(struct loop *loop, short events)
{
	struct top *top = loop->top;
	int r;

	if (!events || top->suspended)
		return 0;
	if (is_gone(events)) {
		loop->quit = true;
		return 0;
	}
	r = top_keys_read(top);
	if (r < 0)
		return r;
	loop->quit |= r == TOP_KEY_QUIT;
	if (r == TOP_KEY_REFRESH)
		return refresh_figures(loop);
	draw(top);
	return 0;
}

static int on_time(struct loop *loop)
{
	struct top *top = loop->top;
	uint64_t now = clock_now_ns(), spent;
	int r = 0;

	try_return(top);
	if (now < loop->next_at)
		return 0;
	if (!top->view.paused && !top->suspended)
		r = refresh_figures(loop);
	spent = clock_now_ns() - now;
	/* Late: skip. A table that takes long to make comes more seldom. */
	loop->next_at += top->interval_ns;
	if (loop->next_at < now + spent * COST_SHARE)
		loop->next_at = now + MAX(spent * COST_SHARE, top->interval_ns);
	return r;
}

int top_loop(struct top *top)
{
	struct loop loop = {.top = top, .next_at = clock_now_ns() + top->interval_ns};
	struct pollfd fds[] = {
		{.fd = top->done_fd, .events = POLLIN},
		{.fd = top->signal_fd, .events = POLLIN},
		{.fd = STDIN_FILENO, .events = POLLIN},
	};
	bool done = false;
	int r = 0;

	draw(top);
	while (!loop.quit && !done && r >= 0) {
		uint64_t now = clock_now_ns();
		struct timespec timeout = ns_timespec(loop.next_at > now ? loop.next_at - now : 0);

		fds[2].fd = top->live && !top->suspended ? STDIN_FILENO : -1;
		if (ppoll(fds, ARRAY_SIZE(fds), &timeout, NULL) < 0)
			continue;
		done = fds[0].revents;
		if (fds[1].revents)
			read_signals(&loop);
		r = read_keys(&loop, fds[2].revents);
		if (r >= 0 && !loop.quit && !done)
			r = on_time(&loop);
	}
	/* What came since the last table. */
	if (r >= 0 && done && !loop.quit && !top->live)
		r = refresh_figures(&loop);
	return r;
}
