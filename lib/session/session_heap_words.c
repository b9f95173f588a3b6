/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a heap: in its profile, and where there is none. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "session/session_heap_priv.h"

static int comment_losses(struct profile *profile, const struct session_heap_stats *stats)
{
	const struct allocs_stats *a = &stats->allocs;
	int r = profile_comment_format(profile,
				       "losses: of %" PRIu64 " samples %" PRIu64
				       " without a stack, %" PRIu64
				       " not followed until they are freed",
				       a->samples, a->no_stack + a->dropped, a->not_live);

	if (r >= 0 && stats->images > 1)
		r = profile_comment_format(profile,
					   "the target became another program %" PRIu32
					   " times: in use is what the last one has",
					   stats->images - 1);
	if (r >= 0 && a->target_ended)
		r = profile_comment_format(
			profile, "the target ended, or became another program: in use is what was "
				 "up to a second before");
	return r;
}

int session_heap_comment(struct profile *profile, const char *command_line,
			 const struct session_heap_stats *stats)
{
	const struct inject_stats *inject = &stats->allocs.inject;
	time_t seconds = (time_t)(stats->begun_wall / NSEC_PER_SEC);
	char since[32] = "?", start[32], map[32], stop[32], unmap[32];
	struct tm tm;
	int r = profile_comment_format(profile, "cprof " CPROF_VERSION);

	if (gmtime_r(&seconds, &tm))
		strftime(since, sizeof(since), "%Y-%m-%dT%H:%M:%SZ", &tm);
	if (r >= 0 && command_line)
		r = profile_comment_format(profile, "command: %s", command_line);
	if (r >= 0)
		r = profile_comment_format(
			profile,
			"counted since %s: in use is what was allocated since then and not freed",
			since);
	if (r >= 0 && stats->has_ended)
		r = profile_comment_format(
			profile,
			"agent: %" PRIu32 " import slots in %" PRIu32
			" modules; the threads that ran stood still for %s and one for %s to bring "
			"it in, for %s and one for %s to take it out",
			inject->n_slots, inject->n_modules,
			format_duration(inject->start_ns, start),
			format_duration(inject->map_ns, map),
			format_duration(inject->stop_ns, stop),
			format_duration(inject->unmap_ns, unmap));
	else if (r >= 0)
		r = profile_comment_format(
			profile,
			"agent: %" PRIu32 " import slots in %" PRIu32
			" modules; the threads that ran stood still for %s and one for %s to bring "
			"it in",
			inject->n_slots, inject->n_modules,
			format_duration(inject->start_ns, start),
			format_duration(inject->map_ns, map));
	return r < 0 ? r : comment_losses(profile, stats);
}

void session_heap_explain(pid_t pid, int why, char *text, size_t size)
{
	switch ((enum inject_result)why) {
	case INJECT_OK:
		text[0] = '\0';
		return;
	case INJECT_GONE:
		snprintf(text, size, "process %d has ended, or became another program.", pid);
		return;
	case INJECT_NOT_IMPORTED:
		snprintf(text, size,
			 "no module of process %d imports a function that the profile is of: it is "
			 "linked statically, or does not do that.",
			 pid);
		return;
	case INJECT_NO_FRAME:
		snprintf(text, size,
			 "in the dynamic linker of process %d no place was found that exceptions "
			 "could pass; declare functions by an argument (:argN) only.",
			 pid);
		return;
	case INJECT_NO_SLOTS:
		snprintf(text, size,
			 "process %d imports no malloc or operator new: it is linked "
			 "statically, or has a heap of its own, as Go programs do. Link its C "
			 "library and allocator dynamically; a Go program has "
			 "/debug/pprof/heap of net/http/pprof.",
			 pid);
		return;
	case INJECT_OWN_ALLOCATOR:
		snprintf(text, size,
			 "process %d has an allocator linked into its program, whose calls "
			 "cannot be reached. Link jemalloc, tcmalloc or mimalloc as a shared "
			 "library, "
			 "or use its own profiler.",
			 pid);
		return;
	case INJECT_SECCOMP:
		snprintf(text, size,
			 "process %d is under seccomp(2), and may be killed for a system "
			 "call "
			 "that it does not make itself; it was not touched. Start it without the "
			 "filter.",
			 pid);
		return;
	case INJECT_SHADOW_STACK:
		snprintf(text, size,
			 "process %d has shadow stacks, and was not touched. Start it with "
			 "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off.",
			 pid);
		return;
	case INJECT_OTHER_AGENT:
		snprintf(text, size,
			 "another version of cprof has left its agent in process %d. Run "
			 "'cprof record --type heap -d 1s' of that version once: it takes it out.",
			 pid);
		return;
	case INJECT_NO_CODE:
		snprintf(text, size,
			 "no C library that is known was found in process %d: glibc or musl "
			 "is "
			 "needed.",
			 pid);
		return;
	case INJECT_NO_THREAD:
		snprintf(text, size,
			 "no thread of process %d was met at a place where it can be used: "
			 "all "
			 "wait in calls that must not be interrupted, or on stacks of their own. "
			 "Try "
			 "again while it is busy.",
			 pid);
		return;
	case INJECT_NO_MEMORY:
		snprintf(text, size,
			 "process %d may not map 8 MiB more: look at its limits (ulimit -v) "
			 "and at policies against executable memory.",
			 pid);
		return;
	case INJECT_SHARED:
		snprintf(text, size,
			 "the threads of process %d are traced all the time for the type "
			 "threadcreate: allocations are counted when that ends.",
			 pid);
		return;
	case INJECT_DENIED:
		snprintf(text, size,
			 "process %d cannot be changed: another tracer has it, or this user "
			 "may not write to its memory. End the other one, or try it as root.",
			 pid);
		return;
	}
}
