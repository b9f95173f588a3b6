/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads of this process that trace one child: who is refused, and who hears of a stop. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tracee/tracee.h"
#include "tracee/tracee_wake.h"

static pid_t start_child(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		/* Also where a test has failed. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

struct other {
	pid_t pid;
	int first, again; /* what tracee_stop() said, while it was held and then */
	bool is_shared;
	pthread_barrier_t barrier;
};

/* SIGCHLD is one for all: read by one, it wakes the other as well. */
static bool await_stop(struct tracee_set *set, struct tracee_wake *wake)
{
	uint64_t until = clock_now_ns() + 5 * NSEC_PER_SEC;
	struct tracee_event event;

	while (clock_now_ns() < until) {
		tracee_wake_take(wake);
		if (tracee_next(set, &event))
			return event.kind == TRACEE_STOPPED;
		tracee_wake_wait(wake, NSEC_PER_SEC);
	}
	return false;
}

static void *other_main(void *arg)
{
	struct other *other = arg;
	struct tracee_set *set;

	if (tracee_set_new(&set) < 0)
		return NULL;
	other->first = tracee_stop(set, other->pid, other->pid);
	other->is_shared = tracee_is_shared(set, other->pid);
	pthread_barrier_wait(&other->barrier);
	/* Released now. */
	pthread_barrier_wait(&other->barrier);
	other->again = tracee_stop(set, other->pid, other->pid);
	tracee_set_free(set);
	return NULL;
}

static void ours_is_shared(void **state)
{
	struct other other = {.pid = start_child(), .first = -1, .again = -1};
	struct tracee_wake wake;
	struct tracee_set *set;
	pthread_t thread;

	assert_int_equal(tracee_wake_init(&wake), 0);
	assert_int_equal(tracee_set_new(&set), 0);
	tracee_wake_hold(&wake, true);
	assert_int_equal(tracee_stop(set, other.pid, other.pid), TRACEE_OK);
	assert_true(await_stop(set, &wake));
	/* It is ours, not of another thread. */
	assert_false(tracee_is_shared(set, other.pid));
	pthread_barrier_init(&other.barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, other_main, &other), 0);
	pthread_barrier_wait(&other.barrier);
	tracee_release(set, other.pid);
	assert_false(tracee_is_shared(set, other.pid));
	pthread_barrier_wait(&other.barrier);
	pthread_join(thread, NULL);
	assert_int_equal(other.first, TRACEE_SHARED);
	assert_true(other.is_shared);
	assert_int_equal(other.again, TRACEE_OK);
	tracee_set_free(set);
	tracee_wake_deinit(&wake);
	pthread_barrier_destroy(&other.barrier);
	end_child(other.pid);
}

/* The tracee of another process. */
static void somebody_elses_is_denied(void **state)
{
	pid_t pid = start_child(), tracer;
	struct tracee_set *set;
	int fds[2];
	char byte;

	assert_int_equal(pipe(fds), 0);
	tracer = fork();
	if (tracer == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (tracee_set_new(&set) == 0 && tracee_stop(set, pid, pid) == TRACEE_OK)
			(void)!write(fds[1], "x", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	assert_int_equal(tracee_set_new(&set), 0);
	assert_int_equal(tracee_stop(set, pid, pid), TRACEE_DENIED);
	assert_false(tracee_is_shared(set, pid));
	tracee_set_free(set);
	end_child(tracer);
	end_child(pid);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ours_is_shared),
		cmocka_unit_test(somebody_elses_is_denied),
	};
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
