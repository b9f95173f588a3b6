/* SPDX-License-Identifier: Apache-2.0 */
/* Copies of a profile while it is recorded. */
#include <stdatomic.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "session_fixture.h"

static struct profile *copy(struct session *session, unsigned types)
{
	struct profile *profile = NULL;

	assert_int_equal(session_peek(session, types, &profile), 0);
	assert_non_null(profile);
	assert_int_equal(profile_get_spec(profile)->n_sample_types, types == ALL ? 4 : 2);
	return profile;
}

struct asker {
	struct session *session;
	unsigned types;
	_Atomic bool *done;
	unsigned copies;
	int64_t last;
	bool shrank, failed;
};

/* In a thread, where an assertion would not end the test. */
static void *ask(void *arg)
{
	struct asker *asker = arg;

	while (!atomic_load(asker->done)) {
		struct profile *profile;
		int64_t total;

		if (session_peek(asker->session, asker->types, &profile) < 0) {
			asker->failed = true;
			break;
		}
		total = profile_total(profile, CPU_NS);
		asker->shrank |= total < asker->last;
		asker->last = total;
		asker->copies++;
		profile_free(profile);
	}
	return NULL;
}

static void check_difference(const struct profile *later, const struct profile *earlier)
{
	struct profile *difference = NULL;
	uint32_t n = profile_get_spec(later)->n_sample_types;

	assert_int_equal(profile_subtract(later, earlier, &difference), 0);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(profile_total(difference, i),
				 profile_total(later, i) - profile_total(earlier, i));
	for (uint32_t i = 0; i < profile_n_samples(difference); i++) {
		for (uint32_t k = 0; k < n; k++)
			assert_true(profile_sample(difference, i)->values[k] >= 0);
	}
	assert_true(profile_n_samples(difference) <= profile_n_samples(later));
	assert_int_equal(profile_duration(difference),
			 profile_duration(later) - profile_duration(earlier));
	profile_free(difference);
}

/* All that its threads did up to now, those that wait all the time included. */
static void check_whole(const struct profile *profile)
{
	int64_t wall = profile_total(profile, WALL_NS), lasted = profile_duration(profile);

	assert_true(lasted > 0);
	/* Threads begin a tenth of a second after the process. */
	assert_true(wall > lasted * N_THREADS / 2);
	assert_true(wall < lasted * (N_THREADS + 1));
}

static void copies_while_it_runs(void **state)
{
	/* A failed assertion leaves this function, not the threads. */
	static _Atomic bool done;
	static struct asker askers[3];
	static const unsigned asked[] = {SAMPLER_CPU, SAMPLER_WALL, ALL};
	struct session *session = start(-1);
	pthread_t runner, threads[3];
	struct profile *first, *second, *cpu_first, *cpu_second, *last;
	void *result;

	assert_int_equal(pthread_create(&runner, NULL, run, session), 0);
	sleep(1);
	first = copy(session, ALL);
	cpu_first = copy(session, SAMPLER_CPU);
	check_whole(first);
	for (size_t i = 0; i < 3; i++) {
		askers[i] = (struct asker){session, asked[i], &done};
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &askers[i]), 0);
	}
	sleep(1);
	second = copy(session, ALL);
	cpu_second = copy(session, SAMPLER_CPU);
	check_whole(second);
	assert_true(profile_total(second, CPU_NS) > profile_total(first, CPU_NS));
	/* Not one that somebody else has asked for a moment ago. */
	assert_true(profile_duration(second) > profile_duration(first) + 900000000);
	check_difference(second, first);
	check_difference(cpu_second, cpu_first);
	assert_int_equal(pthread_join(runner, &result), 0);
	assert_int_equal((intptr_t)result, 0);
	/* While it ran, the namer may have been late: it has a low priority. */
	last = copy(session, ALL);
	assert_true(has_function(last, "compute"));
	assert_true(has_function(last, "parked"));
	profile_free(last);
	atomic_store(&done, true);
	for (size_t i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (size_t i = 0; i < 3; i++) {
		assert_false(askers[i].failed);
		assert_false(askers[i].shrank);
		/* A tick of 5 ms each, and as long as the others ask; as many as the machine lets.
		 */
		assert_true(askers[i].copies > 1);
	}
	profile_free(first);
	profile_free(second);
	profile_free(cpu_first);
	profile_free(cpu_second);
	session_free(session);
}

/* What is told after the end is the result; and the last copy is not cut off by the end. */
static void copies_around_the_end(void **state)
{
	struct session *session;
	const struct profile *result;
	struct profile *before, *after;
	pthread_t runner;
	int stop_fd = eventfd(0, EFD_CLOEXEC);

	session = start(stop_fd);
	before = copy(session, ALL);
	assert_int_equal(profile_n_samples(before), 0);
	profile_free(before);
	assert_int_equal(pthread_create(&runner, NULL, run, session), 0);
	usleep(300000);
	(void)eventfd_write(stop_fd, 1);
	/* Some of these meet the consumer, some the end. */
	for (int i = 0; i < 50; i++)
		profile_free(copy(session, i % 2 ? ALL : SAMPLER_WALL));
	pthread_join(runner, NULL);
	after = copy(session, SAMPLER_CPU);
	assert_int_equal(session_profile(session, SAMPLER_CPU, &result), 0);
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(profile_total(after, i), profile_total(result, i));
	assert_int_equal(profile_n_samples(after), profile_n_samples(result));
	assert_int_equal(profile_n_functions(after), profile_n_functions(result));
	assert_int_equal(profile_n_comments(after), profile_n_comments(result));
	assert_int_equal(profile_duration(after), profile_duration(result));
	profile_free(after);
	session_free(session);
	close(stop_fd);
}

static void copies_of_what_never_ran(void **state)
{
	struct session *session = start(-1);

	profile_free(copy(session, SAMPLER_WALL));
	session_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_while_it_runs),
		cmocka_unit_test(copies_around_the_end),
		cmocka_unit_test(copies_of_what_never_ran),
	};

	block_child_signal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
