/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spins on a stack whose far end is never served: missing pages behind userfaultfd(2). Whoever
 *reads them waits for ever.
 *
 *	lazystack [signals]
 *
 * Prints "ready"; exits with 77 where userfaultfd is not allowed. With an argument it sends itself
 * one signal after the other, and prints a line "lost" for each that did not come.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define SIZE (1UL << 20)
#define USED (SIZE / 2)

static volatile uint64_t sink;

static void spin(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		sink = sink * 3 + 1;
}

static volatile uint64_t received;

static void on_signal(int signal)
{
	received++;
}

static void signal_itself(void)
{
	pid_t pid = getpid();

	puts("ready");
	fflush(stdout);
	for (uint64_t sent = 0;;) {
		/* Not blocked, hence delivered before kill(2) returns. */
		kill(pid, SIGUSR1);
		if (received == ++sent)
			continue;
		puts("lost");
		fflush(stdout);
		received = sent;
	}
}

int main(int argc, char **argv)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffdio_api api = {.api = UFFD_API};
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	ucontext_t context, back;
	char *stack;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0)
		return 77;
	alarm(600);
	signal(SIGUSR1, on_signal);
	stack = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)stack + USED;
	reg.range.len = SIZE - USED;
	if (stack == MAP_FAILED || ioctl(fd, UFFDIO_REGISTER, &reg) < 0)
		return 77;
	getcontext(&context);
	context.uc_stack.ss_sp = stack;
	context.uc_stack.ss_size = USED;
	context.uc_link = &back;
	makecontext(&context, argc > 1 ? signal_itself : spin, 0);
	return swapcontext(&back, &context);
}
