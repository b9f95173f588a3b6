/* SPDX-License-Identifier: Apache-2.0 */
#include "memory_limit.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cmd.h"

/* What a handler needs is in file scope. */
static _Atomic(const char *) files[MEMORY_LIMIT_FILES];
static char stack[16384];

static void on_crash(int signal)
{
	static const char text[] =
		"cprof: out of memory under the limit of this process (see ulimit -v and -d). The "
		"recording is lost; the target runs.\n";

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *path = atomic_load(&files[i]);

		if (path)
			(void)unlink(path);
	}
	(void)!write(STDERR_FILENO, text, sizeof(text) - 1);
	/* The kernel releases what is held with this process. */
	_exit(CMD_FAILED);
}

static bool is_limited(void)
{
	static const __rlimit_resource_t resources[] = {RLIMIT_AS, RLIMIT_DATA};

	for (size_t i = 0; i < ARRAY_SIZE(resources); i++) {
		struct rlimit limit;

		if (getrlimit(resources[i], &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
			return true;
	}
	return false;
}

void memory_limit_guard(const char *const *temporary, unsigned n)
{
	struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK};
	/* Of the main thread, whose stack grows; those of the others are there from the start. */
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};

	if (!is_limited())
		return;
	for (unsigned i = 0; i < n && i < ARRAY_SIZE(files); i++)
		atomic_store(&files[i], temporary[i]);
	sigemptyset(&action.sa_mask);
	if (sigaltstack(&alternate, NULL) < 0 || sigaction(SIGSEGV, &action, NULL) < 0)
		return;
	(void)sigaction(SIGABRT, &action, NULL);
}

void memory_limit_forget(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		atomic_store(&files[i], NULL);
}
