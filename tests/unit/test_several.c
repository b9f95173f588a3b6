/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several sessions in one process: SIGCHLD is one for all of them, and a stop whose signal another
 * tracer took must neither last until the next tick nor be missed.
 *
 * test_several [SECONDS [SESSIONS [HZ]]] prints the pauses.
 */
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "session/session.h"
#include "session/session_dump.h"

#define MAX_SESSIONS 16

static unsigned seconds = 1, n_sessions = 4, hz = 1000;
static bool beside_dumps;

struct recording {
	pid_t pid;
	struct session *session;
	pthread_t thread;
	int stop_fd;
	int result;
};

static void *run(void *arg)
{
	struct recording *recording = arg;

	recording->result = session_run(recording->session);
	return NULL;
}

static pid_t start_busy(void)
{
	volatile uint64_t count = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		count++;
}

static void start(struct recording *recording)
{
	struct session_options options = {
		.sampler = {.hz = hz, .types = SAMPLER_CPU, .suspend_fd = -1, .types_fd = -1}};

	recording->pid = start_busy();
	recording->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	options.sampler.pid = recording->pid;
	options.sampler.stop_fd = recording->stop_fd;
	assert_int_equal(session_new(&options, &recording->session), 0);
}

static void dump(pid_t pid)
{
	const struct dump_options options = {};
	struct dump *all = NULL;

	assert_int_equal(dump_new(pid, &options, &all), 0);
	dump_free(all);
}

static void wait_while_they_run(const struct recording *recordings)
{
	uint64_t end = clock_now_ns() + seconds * NSEC_PER_SEC;

	while (clock_now_ns() < end) {
		if (beside_dumps)
			dump(recordings[0].pid);
		else
			usleep(10000);
	}
}

/* Returns how many stops there were. */
static uint64_t finish(const struct recording *recording)
{
	const struct sampler_stats *stats;

	assert_int_equal(recording->result, 0);
	stats = &session_stats(recording->session)->sampler;
	printf("%" PRIu64 " stops: p50 %.0f, p90 %.0f, p99 %.0f, p99.9 %.0f us, max %.0f\n",
	       stats->pause.count, (double)hist_quantile(&stats->pause, 0.5) / 1e3,
	       (double)hist_quantile(&stats->pause, 0.9) / 1e3,
	       (double)hist_quantile(&stats->pause, 0.99) / 1e3,
	       (double)hist_quantile(&stats->pause, 0.999) / 1e3, (double)stats->pause.max / 1e3);
	/* Not until the next tick. Of the rest some wait for a CPU here. */
	assert_true(hist_quantile(&stats->pause, 0.5) < NSEC_PER_SEC / hz);
	return stats->pause.count;
}

static void pauses_are_as_with_one(void **state)
{
	/* A failed assertion leaves this function, not the threads. */
	static struct recording recordings[MAX_SESSIONS];
	uint64_t most = 0, fewest = UINT64_MAX;

	for (unsigned i = 0; i < n_sessions; i++)
		start(&recordings[i]);
	for (unsigned i = 0; i < n_sessions; i++)
		assert_int_equal(pthread_create(&recordings[i].thread, NULL, run, &recordings[i]),
				 0);
	wait_while_they_run(recordings);
	for (unsigned i = 0; i < n_sessions; i++)
		assert_int_equal(eventfd_write(recordings[i].stop_fd, 1), 0);
	for (unsigned i = 0; i < n_sessions; i++) {
		uint64_t stops;

		pthread_join(recordings[i].thread, NULL);
		stops = finish(&recordings[i]);
		most = MAX(most, stops);
		fewest = MIN(fewest, stops);
		session_free(recordings[i].session);
		close(recordings[i].stop_fd);
		kill(recordings[i].pid, SIGKILL);
		waitpid(recordings[i].pid, NULL, 0);
	}
	/* They compute all the time and have the same share of the CPUs. */
	assert_true(fewest > most / 3);
}

static void pauses_beside_dumps(void **state)
{
	beside_dumps = true;
	pauses_are_as_with_one(state);
	beside_dumps = false;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pauses_are_as_with_one),
		cmocka_unit_test(pauses_beside_dumps),
	};
	sigset_t signals;

	if (argc > 1)
		seconds = (unsigned)atoi(argv[1]);
	if (argc > 2)
		n_sessions = MIN((unsigned)atoi(argv[2]), (unsigned)MAX_SESSIONS);
	if (argc > 3)
		hz = (unsigned)atoi(argv[3]);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
