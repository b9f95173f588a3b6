/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof top: the functions of a process that runs.
 *
 * The recording runs on a thread of its own; the main thread shows copies of its profile. Signals
 * are the main thread's: it tells the sampler by descriptors when to stop, or to stop this process.
 */
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/sink.h"
#include "cmd.h"
#include "heap_options.h"
#include "memory_limit.h"
#include "module/module.h"
#include "record_summary.h"
#include "target.h"
#include "top.h"
#include "top_terminal.h"

/* Said while the table is shown. */
#define MAX_HELD 65536

struct run {
	struct top top;
	pthread_t thread;
	bool started;
	int result; /* of session_run() */
	pthread_mutex_t lock;
	struct sink_memory held; /* log lines, until the terminal is free */
};

static void on_log(void *user, enum log_level level, const char *text)
{
	struct run *run = user;

	if (level > LOG_WARNING)
		return;
	pthread_mutex_lock(&run->lock);
	if (!run->top.live)
		fprintf(stderr, "cprof: %s\n", text);
	else if (run->held.size < MAX_HELD)
		(void)sink_printf(&run->held.sink, "cprof: %s\n", text);
	pthread_mutex_unlock(&run->lock);
}

/* Blocked here, before any thread is there, they are so in all. */
static int block_signals(void)
{
	static const int read_here[] = {SIGINT,  SIGTERM, SIGHUP,  SIGQUIT,
					SIGTSTP, SIGCONT, SIGWINCH};
	sigset_t signals, all;

	sigemptyset(&signals);
	for (size_t i = 0; i < ARRAY_SIZE(read_here); i++)
		sigaddset(&signals, read_here[i]);
	all = signals;
	sigaddset(&all, SIGCHLD);
	/* The terminal is set back from the background, too: that must not stop us. */
	sigaddset(&all, SIGTTOU);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool open_descriptors(struct top *top)
{
	struct sampler_options *sampler = &top->sampling.session.sampler;

	top->signal_fd = block_signals();
	top->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	top->suspend_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	top->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (top->signal_fd < 0 || top->stop_fd < 0 || top->suspend_fd < 0 || top->done_fd < 0 ||
	    module_sigbus_guard() < 0) {
		fprintf(stderr, "cprof: cannot set up signals: %s\n", strerror(errno));
		return false;
	}
	sampler->stop_fd = top->stop_fd;
	sampler->suspend_fd = top->suspend_fd;
	return true;
}

static void close_descriptors(const struct top *top)
{
	close_cleanup(&top->signal_fd);
	close_cleanup(&top->stop_fd);
	close_cleanup(&top->suspend_fd);
	close_cleanup(&top->done_fd);
}

/* Names of the target are UTF-8; where the user's locale is not, but nobody reads the lines from a
 * terminal either, they are left as they are. */
static void choose_locale(const struct top *top)
{
	(void)setlocale(LC_CTYPE, "");
	if (!top->live && !isatty(STDOUT_FILENO) && strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
		(void)setlocale(LC_CTYPE, "C.UTF-8");
}

static void choose_output(struct top *top)
{
	const char *why = NULL;

	top->live = !top->plain && top_terminal_can(&why);
	if (!top->live && why && !top->plain)
		fprintf(stderr, "cprof: no live table, but plain lines: %s.\n", why);
	choose_locale(top);
	/* Started in the background: as with every program that wants the terminal. */
	while (top->live && !top_terminal_is_ours())
		(void)raise(SIGSTOP);
}

/* A command would write into the table, and take away the keys: what it has of the terminal is
 * replaced while it is started. */
static bool start(struct top *top)
{
	int saved[] = {-1, -1, -1}, nothing = -1;
	bool started;

	if (top->live && top->sampling.session.sampler.argv)
		nothing = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; nothing >= 0 && fd < 3; fd++) {
		if (!isatty(fd))
			continue;
		saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		if (saved[fd] >= 0)
			(void)dup2(nothing, fd);
	}
	started = sampling_start(&top->sampling, &top->session);
	for (int fd = 0; fd < 3; fd++) {
		if (saved[fd] < 0)
			continue;
		(void)dup2(saved[fd], fd);
		close(saved[fd]);
	}
	if (nothing >= 0)
		close(nothing);
	return started;
}

static void *run_main(void *arg)
{
	struct run *run = arg;

	run->result = session_run(run->top.session);
	(void)eventfd_write(run->top.done_fd, 1);
	return NULL;
}

/* Of a command, as soon as it has loaded its libraries. */
static bool start_heap(struct top *top)
{
	const struct session_heap_options options = {
		.pid = session_pid(top->session),
		.rate = SESSION_HEAP_RATE,
		.inlines = top->sampling.session.inlines,
	};
	int r;

	if (!top->has_heap)
		return true;
	r = session_heap_new(&options, &top->heap);
	if (r >= 0)
		r = session_heap_start(top->heap);
	if (r >= 0 && top->sampling.session.sampler.pid)
		r = session_heap_await(top->heap);
	if (r > 0)
		heap_options_explain(options.pid, r);
	else if (r < 0)
		fprintf(stderr, "cprof: cannot count the heap: %s\n", strerror(-r));
	return r == 0;
}

static bool prepare(struct run *run)
{
	struct top *top = &run->top;
	const struct sampler_options *sampler = &top->sampling.session.sampler;
	const struct session_type *type = session_type_get(0);

	if (!sampling_find(&top->sampling))
		return false;
	sampling_target_name(&top->sampling, top->name);
	if (sampler->pid && !target_claim(sampler->pid))
		return false;
	choose_output(top);
	memory_limit_guard(NULL, 0);
	if (!start(top))
		return false;
	for (unsigned i = 0; session_type_get(i); i++) {
		if (session_type_get(i)->type == top->sampling.first_type)
			type = session_type_get(i);
	}
	if (!start_heap(top))
		return false;
	if (top->heap_first)
		type = &top_figures_heap;
	if (top_figures_init(&top->figures, top->session, top->heap, sampler->types,
			     sampler->children, type) < 0 ||
	    top_figures_show(&top->figures, type, top->by_thread) < 0) {
		fprintf(stderr, "cprof: out of memory\n");
		return false;
	}
	if (sampler->pid && !top->live)
		target_hint(sampler->pid);
	return !top->live || top_terminal_open();
}

static int finish(struct run *run, int shown)
{
	const struct session_stats *stats = session_stats(run->top.session);
	bool partial = false;

	if (run->held.size)
		fwrite(run->held.bytes, 1, run->held.size, stderr);
	if (shown < 0 && shown != -EPIPE) {
		fprintf(stderr, "cprof: cannot show the table: %s\n", strerror(-shown));
		return CMD_FAILED;
	}
	if (run->result < 0) {
		fprintf(stderr, "cprof: the recording ended early: %s\n", strerror(-run->result));
		partial = true;
	}
	partial |= summary_losses(stats);
	if (run->top.live && stats->sampler.target_ended)
		fprintf(stderr, "cprof: %s (process %d) has ended\n", run->top.name,
			session_pid(run->top.session));
	if (stats->sampler.denied && !stats->sampler.samples)
		return CMD_FAILED;
	return partial ? CMD_PARTIAL : CMD_OK;
}

/* With the terminal still taken, if it was. */
static int run_session(struct run *run)
{
	struct top *top = &run->top;
	int r, shown;

	r = pthread_create(&run->thread, NULL, run_main, run);
	if (r) {
		top_terminal_close();
		fprintf(stderr, "cprof: cannot start a thread: %s\n", strerror(r));
		return CMD_FAILED;
	}
	shown = top_loop(top);
	/* Before what may take a moment. */
	top_terminal_close();
	session_abandon(top->session);
	(void)eventfd_write(top->stop_fd, 1);
	pthread_join(run->thread, NULL);
	r = finish(run, shown);
	/* As in cmd_record.c. */
	if (session_stats(top->session)->watchdog) {
		top->heap = session_heap_free(top->heap);
		fflush(NULL);
		_exit(r);
	}
	return r;
}

int cmd_top(int argc, char **argv)
{
	struct run run = {.top = {.signal_fd = -1, .stop_fd = -1, .suspend_fd = -1, .done_fd = -1}};
	int r = top_options_parse(&run.top, argc, argv);

	pthread_mutex_init(&run.lock, NULL);
	sink_memory_init(&run.held);
	if (r == OPTIONS_HELP) {
		r = CMD_OK;
	} else if (r == CMD_OK) {
		log_set_hook(on_log, &run);
		r = open_descriptors(&run.top) && prepare(&run) ? run_session(&run) : CMD_FAILED;
		top_terminal_close();
		log_set_hook(NULL, NULL);
	}
	top_view_deinit(&run.top.view);
	top_figures_deinit(&run.top.figures);
	session_free(run.top.session);
	session_heap_free(run.top.heap);
	close_descriptors(&run.top);
	sink_memory_deinit(&run.held);
	sampling_deinit(&run.top.sampling);
	return r;
}
