/* SPDX-License-Identifier: Apache-2.0 */
/* Custom profiles of a process that goes on: looked at several times, in turn with its heap. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "session/session_heap.h"

/* What `presets` has left open after each line that it gets. */
#define LEFT_OPEN 15
#define MAPPED_PAGES 20

struct victim {
	pid_t pid;
	int in, out; /* of ours */
};

static void await_line(const struct victim *victim)
{
	char byte = 0;

	while (byte != '\n')
		assert_int_equal(read(victim->out, &byte, 1), 1);
}

static void start(struct victim *victim)
{
	const char *victims = getenv("CPROF_VICTIMS");
	int in[2], out[2];
	char path[4096];

	snprintf(path, sizeof(path), "%s/presets", victims ? victims : ".");
	assert_int_equal(pipe(in), 0);
	assert_int_equal(pipe(out), 0);
	victim->pid = fork();
	if (victim->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execl(path, path, (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	victim->in = in[1];
	victim->out = out[0];
	await_line(victim);
}

static void work(const struct victim *victim)
{
	assert_int_equal(write(victim->in, "\n", 1), 1);
	await_line(victim);
}

static void check(struct session_heap *heap, unsigned custom, unsigned column, int64_t expected)
{
	struct profile *profile;

	assert_int_equal(session_heap_peek_custom(heap, custom, &profile), INJECT_OK);
	assert_int_equal(profile_total(profile, column), expected);
	profile_free(profile);
}

static void test_peek(void **state)
{
	struct session_heap_options options = {.rate = 1, .inlines = true, .n_customs = 2};
	struct session_heap_stats stats;
	struct custom *fd, *mapped;
	const struct custom *customs[2];
	struct session_heap *heap;
	struct profile *profile;
	struct victim victim;
	long page = sysconf(_SC_PAGESIZE);

	assert_int_equal(custom_preset("fd", &fd), 0);
	assert_int_equal(custom_preset("mmap", &mapped), 0);
	customs[0] = fd;
	customs[1] = mapped;
	options.customs = customs;
	start(&victim);
	options.pid = victim.pid;
	assert_int_equal(session_heap_new(&options, &heap), 0);
	assert_int_equal(session_heap_start(heap), 0);
	assert_int_equal(session_heap_await(heap), INJECT_OK);
	check(heap, 0, 0, 0);
	for (int64_t i = 1; i <= 3; i++) {
		work(&victim);
		/* dup3(2) to 100 replaces that of the last time. */
		check(heap, 0, 0, i * LEFT_OPEN - (i - 1));
		check(heap, 1, 1, i * MAPPED_PAGES * page);
		assert_int_equal(session_heap_peek(heap, &profile), INJECT_OK);
		assert_true(profile_total(profile, 0) > 0);
		profile_free(profile);
	}
	assert_int_equal(session_heap_finish(heap, &stats, NULL), INJECT_OK);
	assert_int_equal(session_heap_finish_custom(heap, 0, &profile), 0);
	assert_int_equal(profile_total(profile, 0), 3 * LEFT_OPEN - 2);
	assert_string_equal(profile_get_spec(profile)->sample_types[0].type, "fd");
	profile_free(profile);
	session_heap_free(heap);
	custom_free(fd);
	custom_free(mapped);
	close(victim.in);
	close(victim.out);
	assert_int_equal(waitpid(victim.pid, NULL, 0), victim.pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_peek)};
	sigset_t child;

	/* The tracer waits for it. */
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
