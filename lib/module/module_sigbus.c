/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Staying alive when a mapped file becomes shorter.
 *
 * libelf maps files, and an access behind the new end of a file raises SIGBUS with BUS_ADRERR
 * (mmap(2)). The handler puts an anonymous page of zeroes there; libelf then reads zeroes, which is
 * one more kind of corrupt file. Any other SIGBUS goes to whoever had it before.
 *
 * A signal handler has no argument to carry state, so this file keeps state in file scope: an
 * exception to the rule, and the reason why the guard is process-wide.
 */
#include "module/module_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

#define REMEMBERED 64

static struct sigaction previous;
static uintptr_t page_size;
static atomic_uint n_hits;
static atomic_uintptr_t hits[REMEMBERED];

/* Runs in signal context: only what signal-safety(7) and mmap(2) allow. */
static void on_sigbus(int signal, siginfo_t *siginfo, void *context)
{
	int saved_errno = errno;

	if (siginfo->si_code == BUS_ADRERR) {
		uintptr_t page = (uintptr_t)siginfo->si_addr & ~(page_size - 1);

		if (mmap((void *)page, page_size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED) {
			unsigned n = atomic_fetch_add(&n_hits, 1);

			atomic_store(&hits[n % REMEMBERED], page);
			errno = saved_errno;
			return;
		}
	}
	/* The access is repeated on return and meets the previous disposition; a signal that was
	 * sent is not repeated by itself. */
	sigaction(SIGBUS, &previous, NULL);
	if (siginfo->si_code <= 0)
		raise(signal);
	errno = saved_errno;
}

int module_sigbus_guard(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO}, now;

	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	sigemptyset(&action.sa_mask);
	if (sigaction(SIGBUS, NULL, &now) < 0)
		return err_trace(err_errno());
	if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_sigbus)
		return 0;
	previous = now;
	if (sigaction(SIGBUS, &action, NULL) < 0)
		return err_trace(err_errno());
	return 0;
}

unsigned module_sigbus_count(void)
{
	return atomic_load(&n_hits);
}

bool module_sigbus_hit(const void *start, size_t size, unsigned since)
{
	unsigned n = atomic_load(&n_hits);

	if (n > REMEMBERED)
		since = MAX(since, n - REMEMBERED);
	for (unsigned i = since; i < n; i++) {
		uintptr_t page = atomic_load(&hits[i % REMEMBERED]);

		if (page + page_size > (uintptr_t)start && page < (uintptr_t)start + size)
			return true;
	}
	return false;
}
