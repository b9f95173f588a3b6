/* SPDX-License-Identifier: Apache-2.0 */
/* Which processes cprof serve serves: those that are named at the beginning, and those of a name
 * that are started later. */
#pragma once

#include <stdbool.h>

#include "base/vec.h"
#include "serve/serve.h"
#include "serve_options.h"

/** A process that was looked at for its name. */
struct serve_seen {
	pid_t pid;
	unsigned looks;
	bool matches;
	bool is_told; /* that it is, or why it cannot be, served */
};

struct serve_processes {
	struct serve_command *command; /* borrowed, as is the server */
	struct serve *serve;
	VEC(struct serve_seen) seen; /* by pid; --name */
	unsigned scans;
	unsigned most; /* processes */
	bool has_begun, is_full_told;
};

/** To be released in any case. */
void serve_processes_init(struct serve_processes *processes, struct serve_command *command,
			  struct serve *serve);
void serve_processes_deinit(struct serve_processes *processes);

/** Starts to serve what is there, and the command if there is one. False after saying why that
 * cannot be. */
bool serve_processes_begin(struct serve_processes *processes);

/** For serve_options: serves what has come. @param user the processes */
void serve_processes_look(void *user);

/** For serve_options: says that one has ended. */
void serve_processes_ended(void *user, pid_t pid, const char *name, int result, bool is_last);
