/* SPDX-License-Identifier: Apache-2.0 */
/* A session of the victim `shares`, which has threads that wait, and some that do so for ever. */
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "session/session.h"

#define ALL (SAMPLER_CPU | SAMPLER_WALL)
#define SECONDS "3"
/* Of the victim: five that wait, a feeder, one that computes, the main one; and the parked ones. */
#define PARKED 2
#define N_THREADS (8 + PARKED)

enum {
	CPU_NS = 1,
	WALL_NS = 3,
}; /* columns of a profile of both */

static struct session *start_command(char *const *argv, int stop_fd)
{
	struct session_options options = {
		.sampler = {.argv = argv,
			    .hz = 200,
			    .types = ALL,
			    .stop_fd = stop_fd,
			    .suspend_fd = -1},
		.inlines = true,
	};
	struct session *session = NULL;

	assert_int_equal(session_new(&options, &session), 0);
	return session;
}

static inline struct session *start(int stop_fd)
{
	const char *victims = getenv("CPROF_VICTIMS");
	static char path[4096];
	static char *argv[] = {path, (char *)SECONDS, (char *)"2", NULL};

	snprintf(path, sizeof(path), "%s/shares", victims ? victims : ".");
	return start_command(argv, stop_fd);
}

static void *run(void *arg)
{
	return (void *)(intptr_t)session_run(arg);
}

static bool has_function(const struct profile *profile, const char *name)
{
	for (uint32_t id = 1; id <= profile_n_functions(profile); id++) {
		if (strcmp(profile_get_string(profile, profile_function(profile, id)->name),
			   name) == 0)
			return true;
	}
	return false;
}

/* It is the tracer's; before any thread is there. */
static void block_child_signal(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
}
