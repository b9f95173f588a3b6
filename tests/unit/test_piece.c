/* SPDX-License-Identifier: Apache-2.0 */
/* A recording that is taken away piece by piece. */
#include <errno.h>

#include "session_fixture.h"

#define PIECES 5

struct sums {
	int64_t values[4], lasted;
};

static void add(struct sums *sums, const struct profile *piece)
{
	for (uint32_t i = 0; i < 4; i++)
		sums->values[i] += profile_total(piece, i);
	sums->lasted += profile_duration(piece);
}

/* Every sample has a stack, labels and positive values: ids that mean something else would show. */
static void check_piece(const struct profile *piece)
{
	assert_true(profile_n_samples(piece) > 0);
	for (uint32_t i = 0; i < profile_n_samples(piece); i++) {
		const struct profile_sample *sample = profile_sample(piece, i);
		uint32_t n, depth = 0;
		const struct profile_label *labels = profile_labels(piece, sample->labels, &n);

		for (uint32_t k = 0; k < n; k++)
			assert_string_not_equal(profile_get_string(piece, labels[k].key), "");
		for (uint32_t id = sample->stack; id; id = profile_stack_callers(piece, id))
			depth++;
		/* A name in brackets alone, or a stack of a thread. */
		assert_true(depth == 1 || (depth > 1 && n >= 2));
		assert_true(sample->values[WALL_NS] >= 0 && sample->values[CPU_NS] >= 0);
	}
}

/* What is in one is in no other, and nothing is lost. */
static void pieces_make_up_the_whole(void **state)
{
	struct session *session = start(-1);
	struct sums sums = {};
	struct profile *piece, *copy;
	const struct profile *last;
	int64_t threads = N_THREADS, ended_at = 0;
	uint64_t number;
	bool computes = false;
	pthread_t runner;
	void *result;

	assert_int_equal(session_take_piece(session, &piece), -ESRCH);
	assert_int_equal(pthread_create(&runner, NULL, run, session), 0);
	for (uint64_t i = 0; i < PIECES; i++) {
		usleep(400000);
		assert_int_equal(session_peek_piece(session, &copy, &number), 0);
		assert_int_equal(number, i);
		assert_int_equal(session_take_piece(session, &piece), 0);
		check_piece(piece);
		(void)session_await_names(session, 5000000000, true);
		assert_int_equal(session_name(session, piece), 0);
		/* They never move: nobody has looked at them again since the first piece. */
		assert_true(has_function(piece, "parked"));
		computes |= has_function(piece, "compute");
		assert_true(profile_total(piece, WALL_NS) >= profile_total(copy, WALL_NS));
		assert_true(profile_duration(piece) >= profile_duration(copy));
		/* One begins where the other has ended. */
		assert_true(i == 0 || llabs(profile_time(piece) - ended_at) < 1000);
		ended_at = profile_time(piece) + profile_duration(piece);
		add(&sums, piece);
		profile_free(copy);
		profile_free(piece);
	}
	assert_true(computes);
	assert_int_equal(pthread_join(runner, &result), 0);
	assert_int_equal((intptr_t)result, 0);
	assert_int_equal(session_take_piece(session, &piece), -ESRCH);
	assert_int_equal(session_peek_piece(session, &copy, &number), 0);
	assert_int_equal(number, PIECES);
	last = copy;
	check_piece(last);
	for (uint32_t i = 0; i < 4; i++)
		sums.values[i] += profile_total(last, i);
	sums.lasted += profile_duration(last);
	/* Threads begin a tenth of a second after the process. */
	assert_true(sums.values[WALL_NS] > sums.lasted * threads * 3 / 4);
	assert_true(sums.values[WALL_NS] < sums.lasted * (threads + 1));
	assert_true(sums.values[CPU_NS] > 0);
	profile_free(copy);
	session_free(session);
}

static bool has_label(const struct profile *profile, const char *text)
{
	for (uint32_t i = 0; i < profile_n_samples(profile); i++) {
		uint32_t n;
		const struct profile_label *labels =
			profile_labels(profile, profile_sample(profile, i)->labels, &n);

		for (uint32_t k = 0; k < n; k++) {
			if (strcmp(profile_get_string(profile, labels[k].text), text) == 0)
				return true;
		}
	}
	return false;
}

/* Words of the samples of `gone` that `later` has no sample with, and has all the same. */
static void count_left_over(const struct profile *gone, const struct profile *later,
			    unsigned *ret_gone, unsigned *ret_left)
{
	*ret_gone = *ret_left = 0;
	for (uint32_t i = 0; i < profile_n_strings(gone); i++) {
		const char *text = profile_get_string(gone, i);

		if (!has_label(gone, text) || has_label(later, text))
			continue;
		++*ret_gone;
		for (uint32_t k = 0; k < profile_n_strings(later); k++)
			*ret_left += strcmp(profile_get_string(later, k), text) == 0;
	}
}

/* What only samples of threads had that have ended goes with their piece. */
static void a_piece_does_not_grow(void **state)
{
	static const char program[] =
		"import threading, time\n"
		"end = time.time() + 3\n"
		"while time.time() < end:\n"
		"    ts = [threading.Thread(target=time.sleep, args=(0.1,)) for _ in range(4)]\n"
		"    [t.start() for t in ts]\n"
		"    [t.join() for t in ts]\n";
	static char *const argv[] = {(char *)"/usr/bin/python3", (char *)"-c", (char *)program,
				     NULL};
	struct session *session = start_command(argv, -1);
	struct profile *pieces[4];
	unsigned gone, left;
	pthread_t runner;

	assert_int_equal(pthread_create(&runner, NULL, run, session), 0);
	for (size_t i = 0; i < 4; i++) {
		usleep(600000);
		assert_int_equal(session_take_piece(session, &pieces[i]), 0);
	}
	/* The first one is of how python starts. Of the threads that live when a piece ends, the
	 * next one has what they were seen in. */
	count_left_over(pieces[1], pieces[3], &gone, &left);
	assert_true(gone > 0);
	assert_int_equal(left, 0);
	for (size_t i = 0; i < 4; i++)
		profile_free(pieces[i]);
	pthread_join(runner, NULL);
	session_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_make_up_the_whole),
		cmocka_unit_test(a_piece_does_not_grow),
	};

	block_child_signal();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
