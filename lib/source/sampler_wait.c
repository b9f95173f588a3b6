/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One sleep for all that can happen: the tick, a stop, the end of a process, a request to stop.
 *
 * SIGCHLD comes through a descriptor, so that the signal of a stop that comes just before the sleep
 * ends it at once; it is looked at only while a stop can come (tracee_wake.h).
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
	int r = tracee_wake_init(&s->wake);

	/* The end of a command that is being started. */
	tracee_wake_hold(&s->wake, true);
	s->events_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r >= 0 && s->events_fd < 0)
		r = err_errno();
	/* Told apart by the place where the descriptor is kept; those of processes by the target.
	 */
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
	tracee_wake_deinit(&s->wake);
	if (s->events_fd >= 0)
		close(s->events_fd);
}

static void drain(struct sampler *s)
{
	struct tracee_event event;
	uint64_t before;

	/* Before the look. */
	tracee_wake_take(&s->wake);
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
	uint64_t end = clock_now_ns() + AWAIT_FOR;

	drain(s);
	while (tracee_held(s->set) && clock_now_ns() < end) {
		/* SIGCHLD is one for many: never rely on it alone. */
		tracee_wake_wait(&s->wake, NSEC_PER_MSEC);
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
	struct pollfd fds[] = {{.fd = s->events_fd, .events = POLLIN},
			       {.fd = s->wake.signal_fd, .events = POLLIN},
			       {.fd = s->wake.told_fd, .events = POLLIN}};
	struct epoll_event events[16];
	uint64_t now = clock_now_ns();
	struct timespec timeout = ns_timespec(when > now ? when - now : 0);
	eventfd_t ignored;
	bool held = tracee_held(s->set) > 0, idle = tracee_is_idle(s->set);
	bool stops, stop = false, suspended = false;
	int n;

	tracee_wake_hold(&s->wake, !idle);
	if (held)
		sampler_budget_sleep(s);
	n = ppoll(fds, idle ? 1 : ARRAY_SIZE(fds), &timeout, NULL);
	if (n < 0)
		return false;
	if (held)
		sampler_budget_woke(s);
	if (n == 0 && !held)
		return false;
	/* Also when the time is over: a stop that nobody is told of would last for ever. */
	stops = n == 0 || (!idle && (fds[1].revents || fds[2].revents));
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
			notice_ended(s, who);
		}
	}
	if (stops)
		drain(s);
	if (suspended)
		suspend(s);
	return stop || s->stats.target_ended;
}
