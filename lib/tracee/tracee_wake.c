/* SPDX-License-Identifier: Apache-2.0 */
#include "tracee/tracee_wake.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

/* All of this process. In file scope because SIGCHLD is the process's, too. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tracee_wake *wakes;
static _Atomic unsigned n_wakes;

int tracee_wake_init(struct tracee_wake *wake)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	*wake = (struct tracee_wake){
		.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK),
		.told_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
	};
	if (wake->signal_fd < 0 || wake->told_fd < 0)
		return err_trace(err_errno());
	pthread_mutex_lock(&lock);
	wake->next = wakes;
	if (wake->next)
		wake->next->previous = wake;
	wakes = wake;
	wake->is_known = true;
	atomic_fetch_add(&n_wakes, 1);
	pthread_mutex_unlock(&lock);
	return 0;
}

void tracee_wake_deinit(struct tracee_wake *wake)
{
	pthread_mutex_lock(&lock);
	if (wake->next)
		wake->next->previous = wake->previous;
	if (wake->previous)
		wake->previous->next = wake->next;
	if (wakes == wake)
		wakes = wake->next;
	if (wake->is_known)
		atomic_fetch_sub(&n_wakes, 1);
	pthread_mutex_unlock(&lock);
	close_cleanup(&wake->signal_fd);
	close_cleanup(&wake->told_fd);
}

static void tell_others(const struct tracee_wake *wake)
{
	pthread_mutex_lock(&lock);
	for (struct tracee_wake *other = wakes; other; other = other->next) {
		if (other == wake || !atomic_load(&other->hold) || atomic_load(&other->told))
			continue;
		atomic_store(&other->told, true);
		(void)eventfd_write(other->told_fd, 1);
	}
	pthread_mutex_unlock(&lock);
}

void tracee_wake_take(struct tracee_wake *wake)
{
	struct signalfd_siginfo ignored[4];
	eventfd_t times;

	if (atomic_load(&wake->told)) {
		pthread_mutex_lock(&lock);
		atomic_store(&wake->told, false);
		(void)eventfd_read(wake->told_fd, &times);
		pthread_mutex_unlock(&lock);
	}
	/* One is pending at most, and what comes later makes it readable again. */
	if (read(wake->signal_fd, ignored, sizeof(ignored)) > 0 && atomic_load(&n_wakes) > 1)
		tell_others(wake);
}

void tracee_wake_wait(struct tracee_wake *wake, uint64_t ns)
{
	struct pollfd fds[] = {{.fd = wake->signal_fd, .events = POLLIN},
			       {.fd = wake->told_fd, .events = POLLIN}};
	struct timespec timeout = ns_timespec(ns);

	(void)ppoll(fds, ARRAY_SIZE(fds), &timeout, NULL);
}
