/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that lives by its signals: faults handled on an alternate stack, traps, timers,
 * children, sigsuspend(2); one thread for each.
 *
 *	faults SECONDS
 *
 * Prints "ready", begins at a line on stdin, and prints at the end one line of "NAME NUMBER" pairs:
 *for each kind how many "raised" and "handled"; for timers "due" by the clock and "handled" with
 *overruns; "strange" for siginfo or a stack that is not what it must be.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ALARM_NS 5000000ULL
#define TIMER_NS 2000000ULL

static volatile uint64_t sink;
static atomic_int strange;
static uint64_t deadline;

static struct {
	atomic_ulong raised, handled;
} segv, trap, int3, children, suspended, alarms, timers;

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void compute(int n)
{
	for (int i = 0; i < n; i++)
		sink = sink * 3 + 1;
}

static void unblock(int signal)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, signal);
	pthread_sigmask(SIG_UNBLOCK, &signals, NULL);
}

/* --- SIGSEGV --- */

static sigjmp_buf back;
static char *forbidden, alternate[65536];

static void on_segv(int signal, siginfo_t *info, void *context)
{
	char here;

	if (info->si_addr != forbidden + 8 || info->si_code != SEGV_ACCERR || &here < alternate ||
	    &here >= alternate + sizeof(alternate))
		atomic_fetch_add(&strange, 1);
	atomic_fetch_add(&segv.handled, 1);
	siglongjmp(back, 1);
}

static void *fault(void *arg)
{
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};

	forbidden = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaltstack(&stack, NULL);
	while (now() < deadline) {
		if (sigsetjmp(back, 1) == 0) {
			atomic_fetch_add(&segv.raised, 1);
			*(volatile char *)(forbidden + 8) = 1;
		}
	}
	return NULL;
}

/* --- SIGTRAP --- */

static void on_trap(int signal, siginfo_t *info, void *context)
{
	if (info->si_code == SI_TKILL)
		atomic_fetch_add(&trap.handled, 1);
	else if (info->si_code == SI_KERNEL)
		atomic_fetch_add(&int3.handled, 1);
	else
		atomic_fetch_add(&strange, 1);
}

static void *trap_often(void *arg)
{
	unblock(SIGTRAP);
	while (now() < deadline) {
		atomic_fetch_add(&trap.raised, 1);
		pthread_kill(pthread_self(), SIGTRAP);
		compute(1000);
		atomic_fetch_add(&int3.raised, 1);
		__asm__ volatile("int3");
	}
	return NULL;
}

/* --- SIGCHLD --- */

static void on_child(int signal, siginfo_t *info, void *context)
{
	if (info->si_code != CLD_EXITED || info->si_status != 3)
		atomic_fetch_add(&strange, 1);
	atomic_fetch_add(&children.handled, 1);
}

static void *have_children(void *arg)
{
	sigset_t suspend;

	sigfillset(&suspend);
	sigdelset(&suspend, SIGCHLD);
	while (now() < deadline) {
		unsigned long n = atomic_fetch_add(&children.raised, 1);
		int status;
		pid_t pid = fork();

		if (pid == 0) {
			compute(1000);
			_exit(3);
		}
		while (atomic_load(&children.handled) == n) {
			if (sigsuspend(&suspend) == 0 || errno != EINTR)
				atomic_fetch_add(&strange, 1);
		}
		if (waitpid(pid, &status, 0) != pid || status != 3 << 8)
			atomic_fetch_add(&strange, 1);
	}
	return NULL;
}

/* --- sigsuspend --- */

static atomic_int asleep;

static void on_usr(int signal)
{
	atomic_fetch_add(&suspended.handled, 1);
}

static void *suspend_often(void *arg)
{
	sigset_t suspend;

	sigfillset(&suspend);
	sigdelset(&suspend, SIGUSR1);
	for (;;) {
		unsigned long before = atomic_load(&suspended.handled);

		compute(1000);
		atomic_store(&asleep, 1);
		sigsuspend(&suspend);
		/* Only a handled signal ends it, and only one is on its way. */
		if (atomic_load(&suspended.handled) != before + 1)
			atomic_fetch_add(&strange, 1);
	}
	return arg;
}

static void *wake_often(void *arg)
{
	pthread_t thread;

	pthread_create(&thread, NULL, suspend_often, NULL);
	while (now() < deadline) {
		if (!atomic_exchange(&asleep, 0)) {
			sched_yield();
			continue;
		}
		atomic_fetch_add(&suspended.raised, 1);
		pthread_kill(thread, SIGUSR1);
	}
	while (!atomic_load(&asleep))
		sched_yield();
	return NULL;
}

/* --- timers --- */

static void on_alarm(int signal)
{
	atomic_fetch_add(&alarms.handled, 1);
}

static void on_timer(int signal, siginfo_t *info, void *context)
{
	if (info->si_code != SI_TIMER || info->si_value.sival_int != 77)
		atomic_fetch_add(&strange, 1);
	atomic_fetch_add(&timers.handled, 1 + (unsigned long)info->si_overrun);
}

static void *take_timers(void *arg)
{
	struct itimerval alarm = {{0, ALARM_NS / 1000}, {0, ALARM_NS / 1000}}, none = {};
	struct itimerspec spec = {{0, TIMER_NS}, {0, TIMER_NS}};
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 77};
	uint64_t start = now();
	timer_t timer;

	unblock(SIGALRM);
	unblock(SIGRTMIN);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &spec, NULL);
	setitimer(ITIMER_REAL, &alarm, NULL);
	while (now() < deadline)
		compute(10000);
	setitimer(ITIMER_REAL, &none, NULL);
	timer_delete(timer);
	alarms.raised = (now() - start) / ALARM_NS;
	timers.raised = (now() - start) / TIMER_NS;
	return NULL;
}

static void handle(int signal, void (*handler)(int, siginfo_t *, void *), int flags)
{
	struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags};

	sigaction(signal, &action, NULL);
}

int main(int argc, char **argv)
{
	void *(*const work[])(void *) = {fault, trap_often, have_children, wake_often, take_timers};
	pthread_t threads[5];
	sigset_t all;
	char line[16];

	if (argc != 2)
		return 64;
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigprocmask(SIG_BLOCK, &all, NULL);
	handle(SIGSEGV, on_segv, SA_ONSTACK);
	handle(SIGTRAP, on_trap, 0);
	handle(SIGCHLD, on_child, 0);
	handle(SIGRTMIN, on_timer, 0);
	signal(SIGUSR1, on_usr);
	signal(SIGALRM, on_alarm);
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	deadline = now() + (uint64_t)(atof(argv[1]) * 1e9);
	for (int i = 0; i < 5; i++)
		pthread_create(&threads[i], NULL, work[i], NULL);
	for (int i = 0; i < 5; i++)
		pthread_join(threads[i], NULL);
	printf("segv_raised %lu segv_handled %lu trap_raised %lu trap_handled %lu int3_raised %lu "
	       "int3_handled %lu children_raised %lu children_handled %lu suspended_raised %lu "
	       "suspended_handled %lu alarms_due %lu alarms_handled %lu timers_due %lu "
	       "timers_handled %lu strange %d\n",
	       segv.raised, segv.handled, trap.raised, trap.handled, int3.raised, int3.handled,
	       children.raised, children.handled, suspended.raised, suspended.handled,
	       alarms.raised, alarms.handled, timers.raised, timers.handled, strange);
	return 0;
}
