/* SPDX-License-Identifier: Apache-2.0 */
/* A session that samples only while somebody wants it. */
#include <errno.h>
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
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "session/session.h"

#define ALL (SAMPLER_CPU | SAMPLER_WALL | SAMPLER_BLOCK | SAMPLER_MUTEX)
/* Of the victim: five that wait, a feeder, one that computes half of the time, the main one. */
#define N_THREADS 8

static pid_t victim;

static void *run(void *arg)
{
	return (void *)(intptr_t)session_run(arg);
}

static int64_t total(struct session *session, enum sampler_type type)
{
	struct profile *profile = NULL;
	int64_t sum;

	assert_int_equal(session_peek(session, type, &profile), 0);
	sum = profile_total(profile, 1);
	profile_free(profile);
	return sum;
}

static void start_victim(void)
{
	const char *victims = getenv("CPROF_VICTIMS");
	char path[4096];
	int ready[2];
	char byte;

	snprintf(path, sizeof(path), "%s/shares", victims ? victims : ".");
	assert_int_equal(pipe(ready), 0);
	victim = fork();
	if (victim == 0) {
		dup2(ready[1], STDOUT_FILENO);
		execl(path, path, "60", NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	/* Its threads begin. */
	usleep(200000);
}

static uint64_t cpu_time(void)
{
	struct timespec time;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(victim, &clock), 0);
	assert_int_equal(clock_gettime(clock, &time), 0);
	return timespec_ns(time);
}

/* What a type's total grows by while it is sampled for a second or so, for each second that it may
 * have been sampled (CPU: that the kernel counted): no less by the shortest time, no more by the
 * longest. */
static void check_gain(struct session *session, enum sampler_type type, unsigned types,
		       double wanted, double bound)
{
	int64_t before = total(session, type);
	uint64_t outer = clock_now_ns(), outer_cpu = cpu_time(), inner, inner_cpu;
	double grown, shortest, longest;

	assert_int_equal(session_set_types(session, types), 0);
	inner = clock_now_ns();
	inner_cpu = cpu_time();
	sleep(1);
	inner = clock_now_ns() - inner;
	inner_cpu = cpu_time() - inner_cpu;
	assert_int_equal(session_set_types(session, 0), 0);
	outer = clock_now_ns() - outer;
	outer_cpu = cpu_time() - outer_cpu;
	grown = (double)(total(session, type) - before);
	shortest = (double)(type == SAMPLER_CPU ? inner_cpu : inner);
	longest = (double)(type == SAMPLER_CPU ? outer_cpu : outer);
	if (grown < (wanted - bound) * shortest || grown > (wanted + bound) * longest)
		fail_msg("%.3f s in %.3f to %.3f s", grown / 1e9, shortest / 1e9, longest / 1e9);
}

static void samples_on_demand(void **state)
{
	int stop_fd = eventfd(0, EFD_CLOEXEC);
	struct session_options options = {.sampler = {.hz = 100,
						      .types = ALL,
						      .on_demand = true,
						      .stop_fd = stop_fd,
						      .suspend_fd = -1}};
	struct session *session = NULL;
	const struct session_stats *stats;
	pthread_t runner;
	double lasted, grown;
	uint64_t begun;
	int64_t before;

	start_victim();
	options.sampler.pid = victim;
	assert_int_equal(session_new(&options, &session), 0);
	assert_int_equal(pthread_create(&runner, NULL, run, session), 0);
	sleep(1);
	/* Nothing yet, and nothing in between. */
	for (enum sampler_type type = SAMPLER_CPU; type <= SAMPLER_BLOCK; type <<= 1)
		assert_int_equal(total(session, type), 0);
	check_gain(session, SAMPLER_CPU, SAMPLER_CPU, 1, 0.1);
	assert_int_equal(total(session, SAMPLER_WALL), 0);
	before = total(session, SAMPLER_CPU);
	sleep(1);
	assert_int_equal(total(session, SAMPLER_CPU), before);
	/* The second that was not sampled is nobody's. */
	check_gain(session, SAMPLER_WALL, SAMPLER_WALL, N_THREADS, 0.3);
	assert_int_equal(total(session, SAMPLER_CPU), before);
	/* Types come and go beside each other. */
	check_gain(session, SAMPLER_WALL, SAMPLER_WALL | SAMPLER_CPU | SAMPLER_BLOCK, N_THREADS,
		   0.3);
	assert_true(total(session, SAMPLER_CPU) > before);
	assert_true(total(session, SAMPLER_BLOCK) > 0);
	assert_int_equal(total(session, SAMPLER_MUTEX), 0);
	check_gain(session, SAMPLER_MUTEX, SAMPLER_MUTEX, 0.6, 0.35);
	/* Many changes lose nothing: a second of it in eleven pieces. */
	before = total(session, SAMPLER_WALL);
	begun = clock_now_ns();
	assert_int_equal(session_set_types(session, SAMPLER_WALL), 0);
	for (int i = 0; i < 10; i++) {
		usleep(100000);
		assert_int_equal(session_set_types(session, i % 2 ? SAMPLER_WALL : ALL), 0);
	}
	assert_int_equal(session_set_types(session, 0), 0);
	lasted = (double)(clock_now_ns() - begun);
	assert_true(lasted > 1e9);
	grown = (double)(total(session, SAMPLER_WALL) - before);
	if (grown < 0.95 * N_THREADS * 1e9 || grown > 1.02 * N_THREADS * lasted)
		fail_msg("%.3f s in %.3f s", grown / 1e9, lasted / 1e9);

	(void)eventfd_write(stop_fd, 1);
	pthread_join(runner, NULL);
	assert_int_equal(session_set_types(session, SAMPLER_CPU), -ESRCH);
	stats = session_stats(session);
	/* A few seconds of sampling, though it ran for more. */
	assert_in_range(stats->sampler.ticks, 200, 900);
	session_free(session);
	kill(victim, SIGKILL);
	waitpid(victim, NULL, 0);
	close(stop_fd);
}

static void the_target_ends_while_nothing_is_sampled(void **state)
{
	struct session_options options = {.sampler = {.hz = 100,
						      .types = ALL,
						      .on_demand = true,
						      .stop_fd = -1,
						      .suspend_fd = -1}};
	struct session *session = NULL;
	pthread_t runner;
	void *result;

	start_victim();
	options.sampler.pid = victim;
	assert_int_equal(session_new(&options, &session), 0);
	assert_int_equal(pthread_create(&runner, NULL, run, session), 0);
	usleep(100000);
	kill(victim, SIGKILL);
	assert_int_equal(pthread_join(runner, &result), 0);
	assert_int_equal((intptr_t)result, 0);
	assert_true(session_stats(session)->sampler.target_ended);
	assert_int_equal(session_set_types(session, SAMPLER_CPU), -ESRCH);
	session_free(session);
	waitpid(victim, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(samples_on_demand),
		cmocka_unit_test(the_target_ends_while_nothing_is_sampled),
	};
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
