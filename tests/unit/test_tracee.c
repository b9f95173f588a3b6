/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ptrace.h>

#include <cmocka.h>

#include "tracee/tracee_status.h"

/* Wait statuses as the kernel makes them (man ptrace(2)): event << 16 | signal << 8 | 0x7f. */
#define STOP(event, signal) ((event) << 16 | (signal) << 8 | 0x7f)
#define EXITED(code) ((code) << 8)
#define KILLED(signal) (signal)

struct step {
	int status;
	bool asked, child;
	enum tracee_action action;
	int signal;
	bool followed;
};

static void replay(const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int signal = -1;

		assert_int_equal(
			tracee_action_for(steps[i].status,
					  (struct tracee_known){.asked = steps[i].asked,
								.followed = steps[i].followed,
								.child = steps[i].child},
					  &signal),
			steps[i].action);
		assert_int_equal(signal, steps[i].signal);
	}
}

#define REPLAY(...)                                                                                \
	do {                                                                                       \
		static const struct step steps[] = {__VA_ARGS__};                                  \
		replay(steps, sizeof(steps) / sizeof(steps[0]));                                   \
	} while (0)

static void a_followed_thread_goes_on(void **state)
{
	const struct step steps[] = {
		/* Its own first stop, as a new thread. */
		{STOP(PTRACE_EVENT_STOP, SIGTRAP), false, false, TRACEE_ACT_GO_ON, 0, true},
		{STOP(PTRACE_EVENT_CLONE, SIGTRAP), false, false, TRACEE_ACT_CLONED, 0, true},
		{STOP(0, SIGUSR1), false, false, TRACEE_ACT_SIGNALLED, SIGUSR1, true},
		/* Asked for a sample meanwhile: the clone first, then the stop. */
		{STOP(PTRACE_EVENT_CLONE, SIGTRAP), true, false, TRACEE_ACT_CLONED, 0, true},
		{STOP(PTRACE_EVENT_STOP, SIGTRAP), true, false, TRACEE_ACT_SAMPLE, 0, true},
		{STOP(0, SIGUSR1), true, false, TRACEE_ACT_SAMPLE, SIGUSR1, true},
		{STOP(PTRACE_EVENT_STOP, SIGSTOP), false, false, TRACEE_ACT_LISTEN, 0, true},
		{EXITED(0), false, false, TRACEE_ACT_IGNORE, 0, true},
		/* Who is not followed is none of ours. */
		{STOP(PTRACE_EVENT_CLONE, SIGTRAP), false, false, TRACEE_ACT_DETACH, 0, false},
	};

	replay(steps, sizeof(steps) / sizeof(steps[0]));
}

static void interrupt_gives_a_sample(void **state)
{
	REPLAY({STOP(PTRACE_EVENT_STOP, SIGTRAP), true, false, TRACEE_ACT_SAMPLE, 0});
}

static void group_stop_stays_one(void **state)
{
	/* SIGSTOP reached the process between SEIZE and INTERRUPT: first its delivery … */
	REPLAY({STOP(0, SIGSTOP), true, false, TRACEE_ACT_SAMPLE, SIGSTOP},
	       /* … or, when another thread took it, the group-stop itself. */
	       {STOP(PTRACE_EVENT_STOP, SIGSTOP), true, false, TRACEE_ACT_DETACH, 0},
	       {STOP(PTRACE_EVENT_STOP, SIGTSTP), true, false, TRACEE_ACT_DETACH, 0},
	       {STOP(PTRACE_EVENT_STOP, SIGTTIN), true, false, TRACEE_ACT_DETACH, 0},
	       {STOP(PTRACE_EVENT_STOP, SIGTTOU), true, false, TRACEE_ACT_DETACH, 0});
}

static void signals_are_passed_on(void **state)
{
	REPLAY({STOP(0, SIGUSR1), true, false, TRACEE_ACT_SAMPLE, SIGUSR1},
	       {STOP(0, SIGTRAP), true, false, TRACEE_ACT_SAMPLE, SIGTRAP},
	       {STOP(0, SIGSEGV), true, false, TRACEE_ACT_SAMPLE, SIGSEGV},
	       {STOP(0, 64), false, false, TRACEE_ACT_DETACH, 64});
}

static void exec_from_a_non_leader(void **state)
{
	/* The asked thread turns up under the leader's id, which nobody asked; the siblings that
	 * were asked report their end. */
	REPLAY({EXITED(0), true, false, TRACEE_ACT_FORGET, 0},
	       {STOP(PTRACE_EVENT_STOP, SIGTRAP), false, false, TRACEE_ACT_DETACH, 0});
}

static void clone_reported_child_first(void **state)
{
	REPLAY({STOP(PTRACE_EVENT_STOP, SIGTRAP), false, false, TRACEE_ACT_DETACH, 0},
	       {STOP(PTRACE_EVENT_CLONE, SIGTRAP), true, false, TRACEE_ACT_DETACH, 0});
}

static void vfork_parent_answers_late(void **state)
{
	/* The child's end comes first; then the parent wakes and stops as asked. */
	REPLAY({EXITED(0), false, false, TRACEE_ACT_IGNORE, 0},
	       {STOP(PTRACE_EVENT_STOP, SIGTRAP), true, false, TRACEE_ACT_SAMPLE, 0});
}

static void exit_during_the_stop(void **state)
{
	REPLAY({KILLED(SIGKILL), true, false, TRACEE_ACT_FORGET, 0},
	       {EXITED(3), true, false, TRACEE_ACT_FORGET, 0},
	       {KILLED(SIGSEGV | 0x80), true, false, TRACEE_ACT_FORGET, 0});
}

static void own_child_ends(void **state)
{
	REPLAY({EXITED(3), false, true, TRACEE_ACT_CHILD_ENDED, 0},
	       {KILLED(SIGTERM), true, true, TRACEE_ACT_CHILD_ENDED, 0},
	       {STOP(PTRACE_EVENT_EXEC, SIGTRAP), false, true, TRACEE_ACT_DETACH, 0});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupt_gives_a_sample),
		cmocka_unit_test(a_followed_thread_goes_on),
		cmocka_unit_test(group_stop_stays_one),
		cmocka_unit_test(signals_are_passed_on),
		cmocka_unit_test(exec_from_a_non_leader),
		cmocka_unit_test(clone_reported_child_first),
		cmocka_unit_test(vfork_parent_answers_late),
		cmocka_unit_test(exit_during_the_stop),
		cmocka_unit_test(own_child_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
