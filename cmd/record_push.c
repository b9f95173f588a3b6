/* SPDX-License-Identifier: Apache-2.0 */
#include "record_push.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"

#define PUSH_WITHIN (30 * NSEC_PER_SEC)

/* The signal that ended the recording shall not end this as well; the next one shall. */
static void forget_signals(int stop_fd)
{
	struct signalfd_siginfo signal;

	while (read(stop_fd, &signal, sizeof(signal)) > 0)
		;
}

static bool add(struct push *push, const struct record_file *file, struct session *session)
{
	const struct profile *profile = file->heap;
	int r = 0;

	if (file->type)
		r = session_profile(session, file->type->type, &profile);
	if (r >= 0)
		r = push_add(push, file->name, profile);
	if (r == PUSH_EMPTY)
		fprintf(stderr, "cprof: the %s profile is empty: it was not pushed.\n", file->name);
	else if (r < 0)
		fprintf(stderr, "cprof: the %s profile was not pushed: %s\n", file->name,
			strerror(-r));
	return r >= 0;
}

static void print_lost(const struct record_files *files, const char *url, uint64_t lost)
{
	fprintf(stderr, "cprof: %" PRIu64 " of %u profiles did not get to %s", lost, files->n, url);
	for (unsigned i = 0; i < files->n; i++) {
		if (!files->items[i].output.direct)
			fprintf(stderr, "%s%s", i ? " and " : "; what was recorded is in ",
				files->items[i].output.path);
	}
	fputs(".\n", stderr);
}

bool record_push(struct record_options *options, const struct record_files *files, pid_t pid,
		 struct session *session, const char *name)
{
	int stop_fd = options->sampling.session.sampler.stop_fd;
	struct push_stats stats;
	struct push *push;
	bool all = true;
	uint64_t lost;

	if (!push_options_start(&options->push, name, pid, 0, &push))
		return false;
	if (!push)
		return true;
	forget_signals(stop_fd);
	for (unsigned i = 0; i < files->n; i++)
		all &= add(push, &files->items[i], session);
	lost = push_finish(push, PUSH_WITHIN, stop_fd);
	push_get_stats(push, &stats);
	if (lost)
		print_lost(files, options->push.url, lost);
	else if (stats.pushed && !options->quiet)
		fprintf(stderr, "cprof: pushed to %s\n", options->push.url);
	push_free(push);
	return all && !lost;
}
