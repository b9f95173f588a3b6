/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sleep for all that can happen: the tick, a stop, the end of a process, a request to stop.
 *
 * SIGCHLD comes through a descriptor, so that the signal of a stop that comes just before the sleep
 * ends it at once.
 */
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "source/sampler_priv.h"

/* How long stops under way are waited for at the end. */
#define AWAIT_FOR (200 * NSEC_PER_MSEC)

static int add_event(struct sampler *s, int fd, const void *who)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = (void *)(uintptr_t)who};

	if (fd < 0 || epoll_ctl(s->events_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		return err_trace(err_errno());
	return 0;
}

int sampler_wait_init(struct sampler *s)
{
	sigset_t signals;
	int r;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	s->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	s->events_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->signal_fd < 0 || s->events_fd < 0)
		return err_trace(err_errno());
	/* Told apart by the place where the descriptor is kept; those of processes by the target.
	 */
	r = add_event(s, s->signal_fd, &s->signal_fd);
	if (r >= 0 && s->options.stop_fd >= 0)
		r = add_event(s, s->options.stop_fd, &s->options.stop_fd);
	if (r >= 0 && s->options.suspend_fd >= 0)
		r = add_event(s, s->options.suspend_fd, &s->options.suspend_fd);
	if (r >= 0 && s->options.types_fd >= 0)
		r = add_event(s, s->options.types_fd, &s->options.types_fd);
	return r;
}

void sampler_wait_deinit(struct sampler *s)
{
	if (s->signal_fd >= 0)
		close(s->signal_fd);
	if (s->events_fd >= 0)
		close(s->events_fd);
}

void sampler_forget_signal(struct sampler *s)
{
	struct signalfd_siginfo ignored[4];

	/* One is pending at most, and what comes later makes it readable again. */
	(void)!read(s->signal_fd, ignored, sizeof(ignored));
}

static void drain(struct sampler *s)
{
	struct tracee_event event;
	uint64_t before;

	/* The descriptor first. */
	sampler_forget_signal(s);
	before = clock_now_ns();
	while (tracee_next(s->set, &event)) {
		sampler_on_event(s, &event);
		before = clock_now_ns();
	}
	sampler_budget_clear(s, before);
}

/* For the stops under way: one that nobody handles leaves its EINTR in the target. Most arrive at
 * once; a thread that waits for a CPU needs its turn. */
void sampler_await_stops(struct sampler *s)
{
	struct pollfd fd = {.fd = s->signal_fd, .events = POLLIN};
	uint64_t end = clock_now_ns() + AWAIT_FOR;

	drain(s);
	while (tracee_held(s->set) && clock_now_ns() < end) {
		/* SIGCHLD is one for many: never rely on it alone. */
		(void)poll(&fd, 1, 1);
		drain(s);
	}
}

/* Stopped while it holds a thread, we would hold it until we are continued. One that has not come
 * to its stop yet is waited for: the signal stays to be read until nothing is held. */
static void suspend(struct sampler *s)
{
	struct signalfd_siginfo ignored;

	sampler_await_stops(s);
	if (tracee_held(s->set))
		return;
	while (read(s->options.suspend_fd, &ignored, sizeof(ignored)) > 0)
		;
	(void)raise(SIGSTOP);
}

static void notice_ended(struct sampler *s, const void *who)
{
	for (size_t i = 0; i < s->targets.n; i++) {
		if (s->targets.items[i] == who) {
			sampler_target_ended(s, i);
			return;
		}
	}
}

bool sampler_wait_until(struct sampler *s, uint64_t when)
{
	struct pollfd fd = {.fd = s->events_fd, .events = POLLIN};
	struct epoll_event events[16];
	uint64_t now = clock_now_ns();
	struct timespec timeout = ns_timespec(when > now ? when - now : 0);
	eventfd_t ignored;
	bool held = tracee_held(s->set) > 0, stops = false, stop = false, suspended = false;
	int n;

	if (held)
		sampler_budget_sleep(s);
	n = ppoll(&fd, 1, &timeout, NULL);
	if (n < 0)
		return false;
	if (held)
		sampler_budget_woke(s);
	if (n == 0)
		return false;
	n = epoll_wait(s->events_fd, events, ARRAY_SIZE(events), 0);
	for (int i = 0; i < n; i++) {
		const void *who = events[i].data.ptr;

		if (who == &s->options.stop_fd) {
			stop = true;
		} else if (who == &s->options.suspend_fd) {
			suspended = true;
		} else if (who == &s->options.types_fd) {
			/* Looked at before the next tick. */
			(void)eventfd_read(s->options.types_fd, &ignored);
		} else {
			/* Ends are noticed before anything is reaped. */
			stops = true;
			if (who != &s->signal_fd)
				notice_ended(s, who);
		}
	}
	if (stops)
		drain(s);
	if (suspended)
		suspend(s);
	return stop || s->stats.target_ended;
}
