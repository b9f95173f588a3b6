/* SPDX-License-Identifier: Apache-2.0 */
#include "dump_words.h"

#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "symbol/symbol.h"

size_t dump_thread_words(const struct dump_thread *thread, char *text, size_t cap)
{
	return text_add(text, cap, 0, "%d \"%s\"", (int)thread->tid, thread->name);
}

static const char *state_word(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "uninterruptible";
	case 'T':
		return "stopped";
	case 't':
		return "in a tracing stop";
	case 'Z':
	case 'X':
		return "ended";
	case 'I':
		return "idle";
	default:
		return "in a state";
	}
}

static size_t add_owner(const struct dump *dump, const struct dump_thread *thread, char *text,
			size_t n)
{
	const struct process_lock *lock = &thread->lock;
	const struct dump_thread *owner;

	if (thread->owner != DUMP_NONE) {
		owner = &dump->threads.items[thread->owner];
		if (owner == thread)
			return text_add(text, DUMP_HEAD_SIZE, n, ", which it holds itself");
		return text_add(text, DUMP_HEAD_SIZE, n, ", held by thread %d \"%s\"",
				(int)owner->tid, owner->name);
	}
	if (lock->owner_died)
		return text_add(text, DUMP_HEAD_SIZE, n,
				", whose owner ended without giving it up");
	if (lock->owner > 0)
		return text_add(text, DUMP_HEAD_SIZE, n,
				", held by thread id %d, which is not among these threads",
				(int)lock->owner);
	if (lock->readers)
		return text_add(text, DUMP_HEAD_SIZE, n, ", held by %u reader%s", lock->readers,
				lock->readers == 1 ? "" : "s");
	return text_add(text, DUMP_HEAD_SIZE, n, ", owner not known");
}

static size_t add_lock(const struct dump *dump, const struct dump_thread *thread, char *text,
		       size_t n)
{
	const struct process_lock *lock = &thread->lock;
	const char *verb = "for ", *what = "mutex";
	char name[sizeof(thread->lock_name) + 4] = "";

	switch (lock->kind) {
	case PROCESS_LOCK_THREAD:
		if (thread->owner != DUMP_NONE) {
			const struct dump_thread *owner = &dump->threads.items[thread->owner];

			return text_add(text, DUMP_HEAD_SIZE, n,
					", waits for the end of thread %d \"%s\"", (int)owner->tid,
					owner->name);
		}
		return text_add(text, DUMP_HEAD_SIZE, n, ", waits for the end of thread id %d",
				(int)lock->owner);
	case PROCESS_LOCK_REFUSED:
		return text_add(text, DUMP_HEAD_SIZE, n,
				", waits for ever for a priority-inheriting mutex: the kernel has "
				"refused it, as a deadlock or since its owner has ended");
	case PROCESS_LOCK_READ:
		verb = "to read ";
		what = "rwlock";
		break;
	case PROCESS_LOCK_WRITE:
		verb = "to write ";
		what = "rwlock";
		break;
	case PROCESS_LOCK_MUTEX:
	case PROCESS_LOCK_NONE:
	case PROCESS_LOCK_KINDS:
		break;
	}
	if (thread->lock_name[0])
		text_add(name, sizeof(name), 0, " (%s)", thread->lock_name);
	n = text_add(text, DUMP_HEAD_SIZE, n, ", waits %s%s%s%s%s 0x%llx%s", verb,
		     lock->recursive ? "recursive " : "", lock->robust ? "robust " : "",
		     lock->pi ? "priority-inheriting " : "", what, (unsigned long long)lock->addr,
		     name);
	return add_owner(dump, thread, text, n);
}

static size_t add_wait(const struct dump_thread *thread, char *text, size_t n)
{
	const struct process_wait *wait = &thread->wait;

	/* Stopped where it was, not waiting. */
	if (wait->kind == PROCESS_WAIT_FAULT)
		return thread->how == CENSUS_READ && (thread->state == 'S' || thread->state == 'D')
			       ? text_add(text, DUMP_HEAD_SIZE, n, ", in a page fault")
			       : n;
	if (!wait->text[0])
		return n;
	return text_add(text, DUMP_HEAD_SIZE, n, ", waits for %s", wait->text);
}

size_t dump_head(const struct dump *dump, const struct dump_thread *thread,
		 char text[static DUMP_HEAD_SIZE])
{
	size_t n = text_add(text, DUMP_HEAD_SIZE, 0, "%s (%c)", state_word(thread->state),
			    thread->state);

	if (thread->syscall >= 0)
		n = text_add(text, DUMP_HEAD_SIZE, n, " in %s",
			     arch_syscall_name(arch_native(), thread->syscall));
	if (thread->lock.kind != PROCESS_LOCK_NONE)
		n = add_lock(dump, thread, text, n);
	else
		n = add_wait(thread, text, n);
	if (thread->wait.timed && thread->wait.kind != PROCESS_WAIT_SLEEP)
		n = text_add(text, DUMP_HEAD_SIZE, n, ", with a time-out");
	return n;
}

const char *dump_why_no_stack(const struct dump_thread *thread)
{
	switch (thread->how) {
	case CENSUS_READ:
	case CENSUS_STOPPED:
		return thread->stack == DUMP_NONE ? "it could not be read" : NULL;
	case CENSUS_ENDED:
		return "the thread has ended";
	case CENSUS_LATE:
		return "it did not come to its stop in time";
	case CENSUS_DENIED:
		return "it runs, and another tracer has it";
	case CENSUS_NOT_64BIT:
		return "it runs 32-bit code";
	case CENSUS_NO_MEMORY:
		return "no memory for it";
	case CENSUS_UNREAD:
		return "a page of the target's memory did not come";
	case CENSUS_GONE:
		break;
	}
	return "the thread has ended";
}

const char *dump_why_cut(enum trace_end end)
{
	switch (end) {
	case TRACE_ROOT:
		return NULL;
	case TRACE_DEPTH:
		return "more frames than are followed";
	case TRACE_CUT:
		return "more stack than is copied";
	case TRACE_NO_REGISTER:
		return "the caller hangs on a register that is not known without a stop";
	case TRACE_NO_CFI:
		return "no unwind table for this address";
	case TRACE_BAD_MEMORY:
	case TRACE_LOOP:
	case TRACE_ENDS:
		break;
	}
	return "the stack does not lead on";
}

char *dump_name(const char *name, bool demangle)
{
	_cleanup_free_ char *demangled = demangle ? symbol_demangle(name) : NULL;
	const char *from = demangled ? demangled : name;
	size_t size = strlen(from);
	/* Cleaning makes nothing longer. */
	char *clean = malloc(size + 1);

	if (clean)
		text_clean(clean, size + 1, from, size);
	return clean;
}

bool dump_is_partial(const struct dump *dump)
{
	if (dump->census.ended || dump->census.exec || dump->census.stuck)
		return true;
	for (size_t i = 0; i < dump->threads.n; i++) {
		const struct dump_thread *thread = &dump->threads.items[i];

		if (thread->how != CENSUS_ENDED && thread->stack == DUMP_NONE)
			return true;
	}
	return dump->census.n_threads > CENSUS_MAX_THREADS;
}
