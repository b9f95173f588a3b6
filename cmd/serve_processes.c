/* SPDX-License-Identifier: Apache-2.0 */
#include "serve_processes.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "process/process.h"
#include "session/session_target.h"
#include "target.h"

/* Between its fork and its execve a process has another name: so it is looked at more than once at
 * first, and now and then later. */
#define FIRST_LOOKS 3
#define LOOK_AGAIN 16
/* What one needs, with some threads. */
#define FDS_PER_PROCESS 64
#define MAX_DEPTH 64

DEFINE_CLEANUP(struct process *, process_close)

static unsigned most_processes(void)
{
	struct rlimit limit;
	rlim_t most = SERVE_MAX_PROCESSES;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
		most = MIN(most, limit.rlim_max / FDS_PER_PROCESS);
	return most ? (unsigned)most : 1;
}

void serve_processes_init(struct serve_processes *processes, struct serve_command *command,
			  struct serve *serve)
{
	*processes = (struct serve_processes){
		.command = command, .serve = serve, .most = most_processes()};
	if (command->serve.is_many)
		command->sampling.session.sampler.fd_sharers = processes->most;
}

void serve_processes_deinit(struct serve_processes *processes)
{
	vec_deinit(&processes->seen);
}

/* Can it be, and is it nobody else's? Says why not, unless that has been told. */
static bool claim(pid_t pid, bool is_told, int *ret_fd)
{
	int64_t other = 0;
	int r = session_target_check(pid, &other);

	if (r == SESSION_TARGET_OK)
		r = session_target_claim(pid, ret_fd, &other);
	if (r == SESSION_TARGET_OK || is_told)
		return r == SESSION_TARGET_OK;
	fprintf(stderr, "cprof: ");
	if (r < 0)
		fprintf(stderr, "cannot look at process %d: %s\n", pid, strerror(-r));
	else
		target_explain(stderr, pid, r, other);
	return false;
}

static bool start_push(const struct serve_command *command, const struct sampling *sampling,
		       struct serve_process *process)
{
	char name[64];

	sampling_target_name(sampling, name);
	return push_options_start(&command->push, name, session_pid(process->session),
				  command->serve.max_samples, &process->push);
}

/* pid 0: the command. Takes the claim. */
static bool serve_one(struct serve_processes *p, pid_t pid, int claim_fd)
{
	struct serve_process process = {.claim_fd = claim_fd};
	struct sampling sampling = p->command->sampling;
	int r;

	sampling.session.sampler.pid = pid;
	process.stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	sampling.session.sampler.stop_fd = process.stop_fd;
	if (process.stop_fd < 0 || !sampling_start(&sampling, &process.session) ||
	    !start_push(p->command, &sampling, &process)) {
		session_free(process.session);
		close_cleanup(&process.stop_fd);
		close_cleanup(&process.claim_fd);
		return false;
	}
	r = serve_add(p->serve, &process);
	if (r < 0)
		fprintf(stderr, "cprof: cannot serve process %d: %s\n", pid, strerror(-r));
	return r >= 0;
}

static bool has_room(struct serve_processes *p)
{
	if (serve_count(p->serve) < p->most) {
		p->is_full_told = false;
		return true;
	}
	if (!p->is_full_told)
		fprintf(stderr,
			"cprof: %u processes are served, and there may be no more%s; a second "
			"cprof can serve others by -p PID.\n",
			p->most,
			p->most < SERVE_MAX_PROCESSES ? " with so few descriptors (ulimit -Hn)"
						      : "");
	p->is_full_told = true;
	return false;
}

/* Who samples it already as one of its children, 0: nobody. */
static pid_t find_sampled_parent(const struct serve_processes *p, pid_t pid)
{
	for (int i = 0; i < MAX_DEPTH && p->command->sampling.session.sampler.children; i++) {
		_cleanup_(process_close_cleanup) struct process *process = NULL;
		struct process_stat stat;

		if (process_open(pid, &process) < 0 || process_stat_read(process, &stat) < 0)
			break;
		pid = stat.ppid;
		if (serve_has(p->serve, pid))
			return pid;
	}
	return 0;
}

static bool add_process(struct serve_processes *p, pid_t pid, bool is_told)
{
	pid_t parent = find_sampled_parent(p, pid);
	char name[64];
	int claim_fd = -1;

	if (parent && !is_told)
		fprintf(stderr, "cprof: process %d is sampled as a child of process %d.\n", pid,
			parent);
	if (parent || !has_room(p) || !claim(pid, is_told, &claim_fd) ||
	    !serve_one(p, pid, claim_fd))
		return false;
	target_name(pid, name);
	fprintf(stderr, "cprof: serving process %d (%s)%s\n", pid, name,
		p->has_begun ? ", too" : "");
	target_hint(pid);
	return true;
}

/* The names of all processes that are new, and of some of the others. */
static bool look_at(struct serve_processes *p, struct serve_seen *seen)
{
	if (seen->looks++ < FIRST_LOOKS || (p->scans + (unsigned)seen->pid) % LOOK_AGAIN == 0)
		seen->matches = target_has_name(seen->pid, p->command->sampling.name);
	return seen->matches && !serve_has(p->serve, seen->pid);
}

/* Returns how many there are of the name, served or not. */
static unsigned scan(struct serve_processes *p)
{
	_cleanup_closedir_ DIR *proc = opendir("/proc");
	VEC(struct serve_seen) now = {};
	const struct dirent *entry;
	unsigned matches = 0;
	size_t at = 0;

	p->scans++;
	/* Ascending (fs/proc/base.c proc_pid_readdir). */
	while (proc && (entry = readdir(proc))) {
		pid_t pid = (pid_t)atoi(entry->d_name);
		struct serve_seen *seen;

		if (pid <= 0 || pid == getpid() || !(seen = vec_push(&now)))
			continue;
		while (at < p->seen.n && p->seen.items[at].pid < pid)
			at++;
		if (at < p->seen.n && p->seen.items[at].pid == pid)
			*seen = p->seen.items[at];
		seen->pid = pid;
		if (look_at(p, seen)) {
			(void)add_process(p, pid, seen->is_told);
			seen->is_told = true;
		}
		matches += seen->matches;
	}
	vec_deinit(&p->seen);
	p->seen.items = now.items;
	p->seen.n = now.n;
	p->seen.cap = now.cap;
	return matches;
}

static bool begin_by_name(struct serve_processes *p)
{
	unsigned matches = scan(p);

	if (p->command->serve.stays || serve_count(p->serve))
		return true;
	if (!matches)
		fprintf(stderr,
			"cprof: no process is named '%s'. 'ps -e' lists the names; --wait waits "
			"for one.\n",
			p->command->sampling.name);
	return false;
}

static bool begin_one(struct serve_processes *p)
{
	const struct sampler_options *sampler = &p->command->sampling.session.sampler;
	int claim_fd = -1;

	return sampling_find(&p->command->sampling) &&
	       (!sampler->pid || claim(sampler->pid, false, &claim_fd)) &&
	       serve_one(p, sampler->pid, claim_fd);
}

bool serve_processes_begin(struct serve_processes *p)
{
	const struct serve_command *command = p->command;
	bool good = true;

	if (!command->serve.is_many)
		return begin_one(p);
	if (command->sampling.name)
		good = begin_by_name(p);
	for (size_t i = 0; i < command->pids.n && good; i++)
		good = serve_has(p->serve, command->pids.items[i]) ||
		       add_process(p, command->pids.items[i], false);
	p->has_begun = true;
	return good;
}

void serve_processes_look(void *user)
{
	struct serve_processes *p = user;

	if (p->command->sampling.name)
		scan(p);
}

void serve_processes_ended(void *user, pid_t pid, const char *name, int result, bool is_last)
{
	/* Of the last one the caller of serve_run() tells. */
	if (result < 0 && !is_last)
		fprintf(stderr, "cprof: the recording of process %d ended early: %s\n", pid,
			strerror(-result));
	else if (result >= 0)
		fprintf(stderr, "cprof: process %d (%s) has ended\n", pid, name);
}
