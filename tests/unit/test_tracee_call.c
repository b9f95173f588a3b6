/* SPDX-License-Identifier: Apache-2.0 */
/* System calls made in a stopped child, which must not notice; also when its tracer is killed. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tracee/tracee_call.h"

/* Code of the child, which is ours: see arch->call_code. */
static uint8_t *code;

static void make_code(void)
{
	const struct arch *arch = arch_native();

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		    0);
	assert_ptr_not_equal(code, MAP_FAILED);
	memcpy(code, arch->call_code, arch->call_code_size);
	memcpy(code + 64, arch->resume_code, arch->resume_code_size);
}

/* How long the child does what it does. */
static uint64_t lasts = 400 * NSEC_PER_MSEC;

/* Computes in floating point all the time; its result tells whether a register was lost. */
static _Noreturn void compute(void)
{
	double x = 1, expected = 1;
	uint64_t end = clock_now_ns() + lasts;

	for (int i = 0; i < 1000; i++)
		expected = expected * 1.0000001 + 0.5;
	do {
		x = 1;
		for (int i = 0; i < 1000; i++)
			x = x * 1.0000001 + 0.5;
	} while (x == expected && clock_now_ns() < end);
	_exit(x == expected ? 0 : 1);
}

/* Waits; the call must last as long as it was to, and not be interrupted. */
static _Noreturn void wait_long(void)
{
	struct timespec ts = ns_timespec(lasts);
	uint64_t start = clock_now_ns();
	int r = nanosleep(&ts, NULL);

	_exit(r != 0 || clock_now_ns() - start < lasts);
}

static pid_t start(void (*run)(void))
{
	struct timespec pause = {0, 50000000};
	pid_t pid = fork();

	if (pid == 0)
		run();
	nanosleep(&pause, NULL);
	return pid;
}

static void stop(struct tracee_set *set, pid_t pid, struct tracee_call *call)
{
	struct tracee_event event;

	assert_int_equal(tracee_stop(set, pid, pid), TRACEE_OK);
	while (!tracee_next(set, &event))
		;
	assert_int_equal(event.kind, TRACEE_STOPPED);
	assert_int_equal(tracee_call_begin(set, pid, arch_native(), (uint64_t)(uintptr_t)code,
					   (uint64_t)(uintptr_t)code + 64, call),
			 TRACEE_OK);
}

static void check_calls(void (*run)(void))
{
	struct tracee_call *call = calloc(1, sizeof(*call));
	const uint64_t none[6] = {}, close_args[6] = {UINT64_MAX};
	struct tracee_set *set;
	int64_t result = 0;
	pid_t pid;
	int status;

	assert_int_equal(tracee_set_new(&set), 0);
	pid = start(run);
	for (unsigned i = 0; i < 20; i++) {
		stop(set, pid, call);
		assert_int_equal(tracee_call(call, SYS_getpid, none, &result), TRACEE_OK);
		assert_int_equal(result, pid);
		assert_int_equal(tracee_call(call, SYS_close, close_args, &result), TRACEE_OK);
		assert_int_equal(result, -EBADF);
		assert_int_equal(tracee_call_end(call), TRACEE_OK);
		tracee_release(set, pid);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	tracee_set_free(set);
	free(call);
}

static void test_running(void **state)
{
	check_calls(compute);
}

static void test_waiting(void **state)
{
	check_calls(wait_long);
}

/* A tracer of its own, which dies in the middle. */
static void die_within(pid_t pid, unsigned n_calls)
{
	pid_t tracer = fork();
	int status;

	if (tracer == 0) {
		struct tracee_call *call = calloc(1, sizeof(*call));
		const uint64_t none[6] = {};
		struct tracee_set *set;
		int64_t result;

		if (tracee_set_new(&set) != 0)
			_exit(1);
		stop(set, pid, call);
		for (unsigned i = 0; i < n_calls; i++)
			(void)tracee_call(call, SYS_getppid, none, &result);
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	assert_int_equal(waitpid(tracer, &status, 0), tracer);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void check_deaths(void (*run)(void))
{
	pid_t pid = start(run);
	int status;

	for (unsigned i = 0; i < 8; i++)
		die_within(pid, i % 4);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_tracer_dies(void **state)
{
	lasts = 2 * NSEC_PER_SEC;
	check_deaths(compute);
	check_deaths(wait_long);
}

/* A signal that comes meanwhile is there afterwards. */
static void test_signal(void **state)
{
	struct tracee_call *call = calloc(1, sizeof(*call));
	const uint64_t none[6] = {};
	struct tracee_set *set;
	int64_t result;
	pid_t pid;
	int status;

	assert_int_equal(tracee_set_new(&set), 0);
	pid = start(compute);
	stop(set, pid, call);
	kill(pid, SIGUSR1);
	assert_int_equal(tracee_call(call, SYS_getpid, none, &result), TRACEE_OK);
	assert_int_equal(result, pid);
	assert_int_equal(tracee_call_end(call), TRACEE_OK);
	tracee_release(set, pid);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGUSR1);
	tracee_set_free(set);
	free(call);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_tracer_dies),
		cmocka_unit_test(test_signal),
	};

	make_code();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
