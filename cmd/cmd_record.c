/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "base/vec.h"
#include "cmd.h"
#include "memory_limit.h"
#include "module/module.h"
#include "options.h"
#include "output.h"
#include "pprof/pprof.h"
#include "record_summary.h"
#include "session/session.h"
#include "target.h"

#define MAX_HZ 10000
#define DEFAULT_HZ 100
#define DEFAULT_DURATION 30000000000ULL
#define DEFAULT_MAX_OVERHEAD 0.05

enum {
	OPTION_TID = 256,
	OPTION_TYPE,
	OPTION_UNWINDER,
	OPTION_NO_INLINES,
	OPTION_EXIT_STATUS,
	OPTION_CHILDREN,
	OPTION_MAX_OVERHEAD,
	OPTION_MAX_PAUSE,
};

static const struct option_row rows[] = {
	{'p', "pid", "PID", "profile this running process"},
	{'n', "name", "NAME", "profile the one process of this name"},
	{OPTION_TID, "tid", "TID[,TID...]", "only these of its threads; may be repeated"},
	{'d', "duration", "TIME", "stop after this time, e.g. 30s, 500ms, 1m30s (default 30s)"},
	{'F', "frequency", "HZ", "samples per second and busy thread, 1 to 10000 (default 100)"},
	{'o', "output", "FILE", "where to write; - for stdout (default: the next free name)"},
	{OPTION_TYPE, "type", "TYPE", "what to measure: cpu (default) or wall"},
	{OPTION_CHILDREN, "children", NULL, "also the processes that it starts"},
	{OPTION_MAX_OVERHEAD, "max-overhead", "PERCENT",
	 "of its CPU time that stops may take; 0: any (default 5)"},
	{OPTION_MAX_PAUSE, "max-pause", "TIME", "lower the rate when a stop takes longer"},
	{OPTION_UNWINDER, "unwinder", "NAME", "fast (default) or libunwind"},
	{OPTION_NO_INLINES, "no-inlines", NULL, "do not expand inlined functions"},
	{OPTION_EXIT_STATUS, "exit-status", NULL, "end with the command's own exit status"},
	{'q', "quiet", NULL, "print errors and warnings only"},
	{'v', "verbose", NULL, "print more figures; twice: also internal errors"},
};

static const struct option_table table = {
	.usage = "cprof record [OPTIONS] -p PID | -n NAME\n"
		 "       cprof record [OPTIONS] -- COMMAND [ARGUMENTS]",
	.about = "Samples the stacks of a running process, or of a command from its first "
		 "instruction on,\nand writes a CPU profile that go tool pprof opens.",
	.rows = rows,
	.n_rows = ARRAY_SIZE(rows),
	.see = "cprof-record(1)",
};

struct record {
	struct session_options session;
	VEC(pid_t) tids;
	const char *name, *output_path, *type;
	char command_line[1024];
	bool has_duration, exit_status, quiet;
	unsigned verbose;
	struct output output;
	struct session *running;
};

static bool parse_tids(struct record *record, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	while (copy && (part = strsep(&rest, ","))) {
		pid_t tid, *slot;

		if (!target_parse_pid(part, "--tid", &tid))
			return false;
		slot = vec_push(&record->tids);
		if (slot)
			*slot = tid;
	}
	return copy != NULL;
}

static bool parse_time(const char *text, const char *option, uint64_t *ret_ns)
{
	uint64_t ns;
	int r = parse_duration(text, &ns);

	if (r == 0 && ns > 0) {
		*ret_ns = ns;
		return true;
	}
	if (r == 0)
		fprintf(stderr, "cprof: %s wants more than 0, e.g. 10s.\n", option);
	else if (r == -ERANGE)
		fprintf(stderr, "cprof: '%s' is too long for %s.\n", text, option);
	else
		fprintf(stderr,
			"cprof: %s wants a duration with a unit, e.g. 30s, 500ms or 1m30s, "
			"not '%s'.\n",
			option, text);
	return false;
}

static bool parse_percent(const char *text, double *ret_share)
{
	char *end;
	double percent;

	errno = 0;
	percent = strtod(text, &end);
	if (end != text && *end == '%')
		end++;
	if (end == text || *end || errno || !(percent >= 0 && percent <= 100)) {
		fprintf(stderr,
			"cprof: --max-overhead wants a percentage from 0 to 100, "
			"not '%s'.\n",
			text);
		return false;
	}
	*ret_share = percent / 100;
	return true;
}

static bool parse_type(const char *text, enum sampler_type *ret_type)
{
	static const char *const names[] = {[SAMPLER_CPU] = "cpu", [SAMPLER_WALL] = "wall"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			*ret_type = (enum sampler_type)i;
			return true;
		}
	}
	fprintf(stderr, "cprof: there is no profile type '%s'; known: cpu, wall.\n", text);
	return false;
}

static bool parse_one(struct record *record, int option, const char *text)
{
	struct sampler_options *sampler = &record->session.sampler;
	uint64_t hz;

	switch (option) {
	case 'p':
		return target_parse_pid(text, "-p", &sampler->pid);
	case 'n':
		record->name = text;
		return true;
	case OPTION_TID:
		return parse_tids(record, text);
	case 'd':
		record->has_duration = true;
		return parse_time(text, "-d", &sampler->duration_ns);
	case 'F':
		if (parse_u64(text, 1, MAX_HZ, &hz) < 0) {
			fprintf(stderr,
				"cprof: -F wants a rate from 1 to %d per second, not '%s'.\n",
				MAX_HZ, text);
			return false;
		}
		sampler->hz = (unsigned)hz;
		return true;
	case 'o':
		record->output_path = text;
		return true;
	case OPTION_TYPE:
		record->type = text;
		return parse_type(text, &sampler->type);
	case OPTION_CHILDREN:
		sampler->children = true;
		return true;
	case OPTION_MAX_OVERHEAD:
		return parse_percent(text, &sampler->max_overhead);
	case OPTION_MAX_PAUSE:
		return parse_time(text, "--max-pause", &sampler->max_pause_ns);
	case OPTION_UNWINDER:
		if (strcmp(text, "fast") != 0 && strcmp(text, "libunwind") != 0) {
			fprintf(stderr,
				"cprof: there is no unwinder '%s'; known: fast, libunwind.\n",
				text);
			return false;
		}
		sampler->engine = text[0] == 'l' ? SAMPLER_LIBUNWIND : SAMPLER_COPY;
		return true;
	case OPTION_NO_INLINES:
		record->session.inlines = false;
		return true;
	case OPTION_EXIT_STATUS:
		record->exit_status = true;
		return true;
	case 'q':
		record->quiet = true;
		return true;
	case 'v':
		record->verbose++;
		return true;
	default:
		return false;
	}
}

static int parse(struct record *record, int argc, char **argv)
{
	struct sampler_options *sampler = &record->session.sampler;
	const char *text;
	int option;

	while ((option = options_next(&table, argc, argv, &text)) != OPTIONS_END) {
		if (option == OPTIONS_HELP)
			return OPTIONS_HELP;
		if (option == OPTIONS_BAD || !parse_one(record, option, text))
			return CMD_USAGE;
	}
	if (optind < argc)
		sampler->argv = argv + optind;
	if ((sampler->pid != 0) + (record->name != NULL) + (sampler->argv != NULL) != 1) {
		fprintf(stderr, "cprof: say what to profile: one of -p PID, -n NAME and "
				"-- COMMAND.\nTry 'record --help'.\n");
		return CMD_USAGE;
	}
	if (record->exit_status && !sampler->argv) {
		fprintf(stderr, "cprof: --exit-status goes with -- COMMAND only.\n");
		return CMD_USAGE;
	}
	if (record->tids.n && sampler->argv) {
		fprintf(stderr, "cprof: --tid goes with -p or -n only.\n");
		return CMD_USAGE;
	}
	if (record->tids.n && sampler->children) {
		fprintf(stderr, "cprof: --tid names threads of one process; it does not go with "
				"--children.\n");
		return CMD_USAGE;
	}
	if (!record->has_duration && !sampler->argv)
		sampler->duration_ns = DEFAULT_DURATION;
	return CMD_OK;
}

static void remember_command_line(struct record *record, int argc, char **argv)
{
	size_t at = (size_t)snprintf(record->command_line, sizeof(record->command_line), "cprof");

	for (int i = 0; i < argc && at < sizeof(record->command_line) - 1; i++)
		at += (size_t)snprintf(record->command_line + at, sizeof(record->command_line) - at,
				       " %s", argv[i]);
	record->session.command_line = record->command_line;
}

static void on_progress(void *user, const struct session_progress *progress)
{
	const struct record *record = user;

	summary_progress(progress, record->session.sampler.duration_ns);
}

static void on_log(void *user, enum log_level level, const char *text)
{
	const struct record *record = user;

	if (level <= LOG_WARNING || (int)level < LOG_NOTICE + (int)record->verbose)
		fprintf(stderr, "cprof: %s\n", text);
}

static bool check_tids(const struct record *record)
{
	for (size_t i = 0; i < record->tids.n; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/task/%d", record->session.sampler.pid,
			 record->tids.items[i]);
		if (access(path, F_OK) == 0)
			continue;
		fprintf(stderr,
			"cprof: process %d has no thread %d. 'ls /proc/%d/task' lists them.\n",
			record->session.sampler.pid, record->tids.items[i],
			record->session.sampler.pid);
		return false;
	}
	return true;
}

/* Everything that can be refused is refused before the target is touched. */
static bool prepare(struct record *record)
{
	struct sampler_options *sampler = &record->session.sampler;
	char name[64];

	if (record->name && !target_find(record->name, &sampler->pid))
		return false;
	if (sampler->pid) {
		if (!target_check(sampler->pid) || !check_tids(record))
			return false;
		target_name(sampler->pid, name);
	} else {
		const char *slash = strrchr(sampler->argv[0], '/');

		snprintf(name, sizeof(name), "%s", slash ? slash + 1 : sampler->argv[0]);
	}
	if (!output_open(&record->output, record->output_path, name, record->type))
		return false;
	if (sampler->pid && !target_claim(sampler->pid))
		return false;
	sampler->tids = record->tids.items;
	sampler->n_tids = (unsigned)record->tids.n;
	if (isatty(STDERR_FILENO) && !record->quiet) {
		record->session.on_progress = on_progress;
		record->session.user = record;
	}
	return true;
}

/* Signals that end the recording are read from a descriptor, which also the tracer thread waits
 * on: blocked in all threads, they interrupt nothing and cannot get lost. */
static int block_signals(void)
{
	sigset_t signals, stop;

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	signals = stop;
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool start(struct record *record)
{
	const struct sampler_options *sampler = &record->session.sampler;
	int r = session_new(&record->session, &record->running);

	if (r >= 0)
		return true;
	if (sampler->argv)
		fprintf(stderr, "cprof: cannot start '%s': %s\n", sampler->argv[0], strerror(-r));
	else if (r == -ESRCH)
		fprintf(stderr, "cprof: process %d has ended\n", sampler->pid);
	else
		fprintf(stderr, "cprof: cannot profile process %d: %s\n", sampler->pid,
			strerror(-r));
	return false;
}

static int write_profile(void *user, struct sink *sink)
{
	const struct record *record = user;

	return pprof_write(session_profile(record->running), sink);
}

static int finish(struct record *record, int result)
{
	const struct session_stats *stats = session_stats(record->running);
	bool partial = false;
	struct sink_fd sink;
	int r;

	if (record->session.on_progress)
		summary_progress_end();
	sink_fd_init(&sink, record->output.fd);
	r = write_profile(record, &sink.sink);
	memory_limit_forget();
	r = output_finish(&record->output, r, write_profile, record);
	if (r < 0)
		return CMD_FAILED;
	partial |= r > 0;
	if (result < 0) {
		fprintf(stderr, "cprof: the recording ended early: %s\n", strerror(-result));
		partial = true;
	}
	partial |= summary_losses(stats);
	if (!record->quiet) {
		summary_print(stats, record->verbose > 0);
		if (!record->output.direct)
			fprintf(stderr, "\ngo tool pprof -http=: %s\n", record->output.path);
	}
	if (stats->sampler.denied && !stats->sampler.samples)
		return CMD_FAILED;
	return partial ? CMD_PARTIAL : CMD_OK;
}

static int command_status(const struct record *record, int code)
{
	const struct sampler_stats *stats = &session_stats(record->running)->sampler;

	if (!record->exit_status || code == CMD_FAILED || !stats->target_ended)
		return code;
	/* As shells do. */
	return WIFSIGNALED(stats->status) ? 128 + WTERMSIG(stats->status)
					  : WEXITSTATUS(stats->status);
}

static int run(struct record *record)
{
	_cleanup_close_ int stop_fd = block_signals();
	int r;

	if (stop_fd < 0 || module_sigbus_guard() < 0) {
		fprintf(stderr, "cprof: cannot set up signals: %s\n", strerror(errno));
		return CMD_FAILED;
	}
	record->session.sampler.stop_fd = stop_fd;
	if (!prepare(record))
		return CMD_FAILED;
	memory_limit_guard(record->output.temporary);
	if (!start(record))
		return CMD_FAILED;
	if (record->session.sampler.pid)
		target_hint(record->session.sampler.pid);
	r = session_run(record->running);
	r = finish(record, r);
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
	struct record record = {
		.session = {.sampler = {.hz = DEFAULT_HZ, .max_overhead = DEFAULT_MAX_OVERHEAD},
			    .inlines = true},
		.type = "cpu",
		.output = {.fd = -1},
	};
	int r = parse(&record, argc, argv);

	if (r == OPTIONS_HELP) {
		r = CMD_OK;
	} else if (r == CMD_OK) {
		remember_command_line(&record, argc, argv);
		log_set_hook(on_log, &record);
		r = run(&record);
		log_set_hook(NULL, NULL);
	}
	session_free(record.running);
	memory_limit_forget();
	output_close(&record.output);
	vec_deinit(&record.tids);
	return r;
}
