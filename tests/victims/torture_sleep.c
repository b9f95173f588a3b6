/* SPDX-License-Identifier: Apache-2.0 */
/* Sleeps, poll and its kin, signals. */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "torture.h"

static int setup_event(struct waiter *w)
{
	struct epoll_event event = {.events = EPOLLIN};

	w->fd[0] = eventfd(0, EFD_CLOEXEC);
	w->fd[1] = epoll_create1(EPOLL_CLOEXEC);
	return epoll_ctl(w->fd[1], EPOLL_CTL_ADD, w->fd[0], &event) < 0 ? errno : 0;
}

static void wake_event(struct waiter *w)
{
	eventfd_write(w->fd[0], 1);
}

/* After an event: 0 when r is one and the event was there. */
static int take_event(struct waiter *w, long r)
{
	eventfd_t value;
	int wrong = want(r, 1);

	if (!wrong && eventfd_read(w->fd[0], &value) < 0)
		return WRONG;
	return wrong;
}

/* Another mask for the wait, that keeps out what the main thread waits for. */
static void other_mask(sigset_t *ret_set)
{
	sigemptyset(ret_set);
	sigaddset(ret_set, SIGTERM);
	sigaddset(ret_set, SIGINT);
}

static int wait_epoll(struct waiter *w, uint64_t ns)
{
	struct epoll_event event;

	return want(epoll_wait(w->fd[1], &event, 1, (int)(ns / MSEC)), 0);
}

static int wait_epoll_event(struct waiter *w, uint64_t ns)
{
	struct epoll_event event;

	(void)ns;
	return take_event(w, epoll_wait(w->fd[1], &event, 1, -1));
}

static int wait_epoll_pwait(struct waiter *w, uint64_t ns)
{
	struct epoll_event event;
	sigset_t set;

	other_mask(&set);
	return want(epoll_pwait(w->fd[1], &event, 1, (int)(ns / MSEC), &set), 0);
}

static int wait_epoll_pwait2(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);
	struct epoll_event event;

	return want(syscall(SYS_epoll_pwait2, w->fd[1], &event, 1, &timeout, NULL, 0), 0);
}

static int wait_poll(struct waiter *w, uint64_t ns)
{
	struct pollfd fd = {.fd = w->fd[0], .events = POLLIN};

	return want(poll(&fd, 1, (int)(ns / MSEC)), 0);
}

static int wait_poll_event(struct waiter *w, uint64_t ns)
{
	struct pollfd fd = {.fd = w->fd[0], .events = POLLIN};

	(void)ns;
	return take_event(w, poll(&fd, 1, -1));
}

static int wait_ppoll(struct waiter *w, uint64_t ns)
{
	struct pollfd fd = {.fd = w->fd[0], .events = POLLIN};
	struct timespec timeout = timespec_of(ns);
	sigset_t set;

	other_mask(&set);
	return want(ppoll(&fd, 1, &timeout, &set), 0);
}

/* The eventfd of a run with many copies may be beyond FD_SETSIZE. */
static int wait_select(struct waiter *w, uint64_t ns)
{
	struct timeval timeout = {(time_t)(ns / SEC), (suseconds_t)(ns % SEC / 1000)};

	(void)w;
	return want(syscall(SYS_select, 0, NULL, NULL, NULL, &timeout), 0);
}

static int wait_pselect(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);
	sigset_t set;

	(void)w;
	other_mask(&set);
	return want(pselect(0, NULL, NULL, NULL, &timeout, &set), 0);
}

static int wait_nanosleep(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);

	(void)w;
	return want(syscall(SYS_nanosleep, &timeout, NULL), 0);
}

static int wait_usleep(struct waiter *w, uint64_t ns)
{
	(void)w;
	return want(usleep((useconds_t)(ns / 1000)), 0);
}

static int wait_clock_nanosleep(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);

	(void)w;
	return clock_nanosleep(CLOCK_MONOTONIC, 0, &timeout, NULL);
}

static int wait_clock_nanosleep_abs(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(w->start + ns);

	return clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &timeout, NULL);
}

static int wait_sigtimedwait(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);
	sigset_t set;

	(void)w;
	sigemptyset(&set);
	sigaddset(&set, SIG_TAKEN);
	return want_error(sigtimedwait(&set, NULL, &timeout), EAGAIN);
}

static int wait_sigwaitinfo(struct waiter *w, uint64_t ns)
{
	sigset_t set;

	(void)w;
	(void)ns;
	sigemptyset(&set);
	sigaddset(&set, SIG_TAKEN);
	return want(sigwaitinfo(&set, NULL), SIG_TAKEN);
}

static void wake_signal(struct waiter *w)
{
	syscall(SYS_tgkill, getpid(), w->tid, SIG_TAKEN);
}

static int wait_pause(struct waiter *w, uint64_t ns)
{
	(void)w;
	(void)ns;
	return want(pause(), 0);
}

static int wait_sigsuspend(struct waiter *w, uint64_t ns)
{
	sigset_t set;

	(void)w;
	(void)ns;
	sigfillset(&set);
	sigdelset(&set, SIG_HANDLED);
	return want(sigsuspend(&set), 0);
}

const struct call calls_sleep[] = {
	{"epoll_wait", setup_event, wait_epoll},
	{"epoll_wait-event", setup_event, wait_epoll_event, wake_event},
	{"epoll_pwait", setup_event, wait_epoll_pwait},
	{"epoll_pwait2", setup_event, wait_epoll_pwait2},
	{"poll", setup_event, wait_poll},
	{"poll-event", setup_event, wait_poll_event, wake_event},
	{"ppoll", setup_event, wait_ppoll},
	{"select", NULL, wait_select},
	{"pselect6", NULL, wait_pselect},
	{"nanosleep", NULL, wait_nanosleep},
	{"usleep", NULL, wait_usleep},
	{"clock_nanosleep", NULL, wait_clock_nanosleep},
	{"clock_nanosleep-abs", NULL, wait_clock_nanosleep_abs},
	{"sigtimedwait", NULL, wait_sigtimedwait},
	{"sigwaitinfo", NULL, wait_sigwaitinfo, wake_signal},
	{"h-epoll_wait", setup_event, wait_epoll, .handled = true},
	{"h-epoll_pwait", setup_event, wait_epoll_pwait, .handled = true},
	{"h-poll", setup_event, wait_poll, .handled = true},
	{"h-ppoll", setup_event, wait_ppoll, .handled = true},
	{"h-select", NULL, wait_select, .handled = true},
	{"h-nanosleep", NULL, wait_nanosleep, .handled = true},
	{"h-clock_nanosleep-abs", NULL, wait_clock_nanosleep_abs, .handled = true},
	{"h-sigtimedwait", NULL, wait_sigtimedwait, .handled = true},
	{"h-pause", NULL, wait_pause, .handled = true},
	{"h-sigsuspend", NULL, wait_sigsuspend, .handled = true},
	{},
};
