/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "cmd.h"
#include "memory_limit.h"
#include "module/module.h"
#include "options.h"
#include "record_files.h"
#include "record_heap.h"
#include "record_options.h"
#include "record_push.h"
#include "record_summary.h"
#include "session/session.h"
#include "target.h"

struct record {
	struct record_options options;
	struct record_files files;
	struct session *running; /* NULL: only allocations are counted */
	struct session_heap *heap;
	struct session_heap_stats heap_stats;
	pid_t pid;
	char name[64]; /* the target's */
};

static void on_progress(void *user, const struct session_progress *progress)
{
	const struct record *record = user;

	summary_progress(progress, record->options.sampling.session.sampler.duration_ns);
}

static void on_log(void *user, enum log_level level, const char *text)
{
	const struct record *record = user;

	if (level <= LOG_WARNING || (int)level < LOG_NOTICE + (int)record->options.verbose)
		fprintf(stderr, "cprof: %s\n", text);
}

/* Everything that can be refused is refused before the target is touched. */
static bool prepare(struct record *record)
{
	struct record_options *options = &record->options;
	struct sampler_options *sampler = &options->sampling.session.sampler;
	struct record_wanted wanted = {.types = options->heap_only ? 0 : sampler->types,
				       .heap = options->heap,
				       .allocs = options->allocs};

	if (!sampling_find(&options->sampling))
		return false;
	/* A process that was named is known only now. */
	if (!options->custom.wanted &&
	    (!custom_options_resolve(&options->custom, sampler->pid) ||
	     !custom_options_go_together(&options->custom, options->heap_rate != 0)))
		return false;
	wanted.customs = options->custom.wanted;
	wanted.n_customs = options->custom.n_wanted;
	sampling_target_name(&options->sampling, record->name);
	if (!record_files_open(&record->files, &wanted, options->output_path, record->name))
		return false;
	if (sampler->pid && !target_claim(sampler->pid))
		return false;
	if (isatty(STDERR_FILENO) && !record->options.quiet) {
		record->options.sampling.session.on_progress = on_progress;
		record->options.sampling.session.user = record;
	}
	return true;
}

/* Signals that end the recording are read from a descriptor, which also the tracer thread waits
 * on: blocked in all threads, they interrupt nothing and cannot get lost. */
static int block_signals(int *ret_suspend_fd)
{
	sigset_t signals, stop, suspend;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	signals = stop;
	sigaddset(&signals, SIGCHLD);
	sigemptyset(&suspend);
	sigaddset(&suspend, SIGTSTP);
	sigaddset(&signals, SIGTSTP);
	/* Progress is written from the background, too: that must not stop us. */
	sigaddset(&signals, SIGTTOU);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	*ret_suspend_fd = signalfd(-1, &suspend, SFD_CLOEXEC | SFD_NONBLOCK);
	return signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What only counts allocations, of a process or a command. */
static int finish_heap(struct record *record)
{
	bool partial;
	int r = record_files_write(&record->files, record->running);

	if (r < 0)
		return CMD_FAILED;
	partial = record_heap_print(&record->options, &record->heap_stats) || r > 0;
	if (!record->options.quiet)
		record_files_print(&record->files);
	partial |= !record_push(&record->options, &record->files, record->pid, record->running,
				record->name);
	return partial ? CMD_PARTIAL : CMD_OK;
}

static int finish(struct record *record, int result)
{
	const struct session_stats *stats = session_stats(record->running);
	bool partial = false;
	int r;

	if (record->options.sampling.session.on_progress)
		summary_progress_end();
	r = record_files_write(&record->files, record->running);
	if (r < 0)
		return CMD_FAILED;
	partial |= r > 0;
	if (result < 0) {
		fprintf(stderr, "cprof: the recording ended early: %s\n", strerror(-result));
		partial = true;
	}
	partial |= summary_losses(stats);
	if (!record->options.quiet) {
		summary_print(stats, &record->options.sampling.session.sampler,
			      record->options.verbose > 0);
	}
	if (record->heap_stats.images)
		partial |= record_heap_print(&record->options, &record->heap_stats);
	if (!record->options.quiet)
		record_files_print(&record->files);
	partial |= !record_push(&record->options, &record->files, record->pid, record->running,
				record->name);
	if (stats->sampler.denied && !stats->sampler.samples)
		return CMD_FAILED;
	return partial ? CMD_PARTIAL : CMD_OK;
}

static int command_status(const struct record *record, int code)
{
	const struct sampler_stats *stats = &session_stats(record->running)->sampler;

	if (!record->options.exit_status || code == CMD_FAILED || !stats->target_ended)
		return code;
	/* As shells do. */
	return WIFSIGNALED(stats->status) ? 128 + WTERMSIG(stats->status)
					  : WEXITSTATUS(stats->status);
}

/* Where there is a process, and nothing is sampled. */
static int run_heap(struct record *record)
{
	int r;

	record->heap = record_heap_start(&record->options, record->pid);
	if (!record->heap)
		return CMD_FAILED;
	record_heap_wait(&record->options, record->heap);
	r = record_heap_finish(&record->options, record->heap, record->pid, &record->heap_stats,
			       &record->files);
	return r == CMD_OK ? finish_heap(record) : r;
}

/* Behind the sampler, which may have had all threads. */
static int end_heap(struct record *record, int result)
{
	int r = record_heap_finish(&record->options, record->heap, record->pid, &record->heap_stats,
				   &record->files);

	if (record->options.heap_only)
		return r == CMD_OK ? finish_heap(record) : r;
	if (r != CMD_OK)
		record_files_drop_heap(&record->files);
	r = finish(record, result);
	return r == CMD_OK && !record->heap_stats.images ? CMD_PARTIAL : r;
}

static int run(struct record *record)
{
	_cleanup_close_ int suspend_fd = -1, stop_fd = block_signals(&suspend_fd);
	int r;

	if (stop_fd < 0 || suspend_fd < 0 || module_sigbus_guard() < 0) {
		fprintf(stderr, "cprof: cannot set up signals: %s\n", strerror(errno));
		return CMD_FAILED;
	}
	record->options.sampling.session.sampler.stop_fd = stop_fd;
	record->options.sampling.session.sampler.suspend_fd = suspend_fd;
	if (!prepare(record))
		return CMD_FAILED;
	record_files_guard(&record->files);
	record->pid = record->options.sampling.session.sampler.pid;
	if (record->pid)
		target_hint(record->pid);
	if (record->pid && record->options.heap_only)
		return run_heap(record);
	if (!sampling_start(&record->options.sampling, &record->running))
		return CMD_FAILED;
	record->pid = session_pid(record->running);
	if (record_options_by_agent(&record->options)) {
		record->heap = record_heap_start(&record->options, record->pid);
		if (!record->heap)
			return CMD_FAILED;
	}
	r = session_run(record->running);
	r = record->heap ? end_heap(record, r) : finish(record, r);
	/* A thread of ours is stuck for good: nothing that waits for threads may run any more. The
	 * kernel lets go of the target with this process. */
	if (session_stats(record->running)->watchdog) {
		fflush(NULL);
		_exit(r);
	}
	return command_status(record, r);
}

int cmd_record(int argc, char **argv)
{
	struct record record = {};
	int r = record_options_parse(&record.options, argc, argv);

	if (r == OPTIONS_HELP) {
		r = CMD_OK;
	} else if (r == CMD_OK) {
		log_set_hook(on_log, &record);
		r = run(&record);
		log_set_hook(NULL, NULL);
	}
	session_free(record.running);
	session_heap_free(record.heap);
	memory_limit_forget();
	record_files_close(&record.files);
	record_options_deinit(&record.options);
	return r;
}
