/* SPDX-License-Identifier: Apache-2.0 */
#include "sampling.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/parse.h"
#include "target.h"

#define MAX_HZ 10000
#define DEFAULT_HZ 100
#define DEFAULT_MAX_OVERHEAD 0.05

static void remember_command_line(struct sampling *sampling, int argc, char **argv)
{
	size_t at =
		(size_t)snprintf(sampling->command_line, sizeof(sampling->command_line), "cprof");

	for (int i = 0; i < argc && at < sizeof(sampling->command_line) - 1; i++)
		at += (size_t)snprintf(sampling->command_line + at,
				       sizeof(sampling->command_line) - at, " %s", argv[i]);
	sampling->session.command_line = sampling->command_line;
}

void sampling_init(struct sampling *sampling, int argc, char **argv)
{
	*sampling = (struct sampling){
		.session = {.sampler = {.hz = DEFAULT_HZ, .max_overhead = DEFAULT_MAX_OVERHEAD},
			    .inlines = true},
	};
	remember_command_line(sampling, argc, argv);
}

void sampling_deinit(struct sampling *sampling)
{
	vec_deinit(&sampling->tids);
}

static bool parse_tids(struct sampling *sampling, const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	while (copy && (part = strsep(&rest, ","))) {
		pid_t tid, *slot;

		if (!target_parse_pid(part, "--tid", &tid))
			return false;
		slot = vec_push(&sampling->tids);
		if (slot)
			*slot = tid;
	}
	return copy != NULL;
}

bool sampling_parse_time(const char *text, const char *option, uint64_t *ret_ns)
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

static bool parse_type(const char *name, struct sampling *sampling)
{
	const struct session_type *type = session_type_find(name);

	if (type) {
		if (!sampling->first_type)
			sampling->first_type = type->type;
		sampling->session.sampler.types |= type->type;
		return true;
	}
	fprintf(stderr, "cprof: there is no profile type '%s'; known:", name);
	for (unsigned i = 0; (type = session_type_get(i)); i++)
		fprintf(stderr, "%s %s", i ? "," : "", type->name);
	fputs(".\n", stderr);
	return false;
}

static bool parse_types(const char *text, struct sampling *sampling)
{
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *part;

	while (copy && (part = strsep(&rest, ","))) {
		if (!parse_type(part, sampling))
			return false;
	}
	return copy != NULL;
}

bool sampling_parse(struct sampling *sampling, int option, const char *text)
{
	struct sampler_options *sampler = &sampling->session.sampler;
	uint64_t hz;

	switch (option) {
	case 'p':
		return target_parse_pid(text, "-p", &sampler->pid);
	case SAMPLING_TID:
		return parse_tids(sampling, text);
	case 'd':
		sampling->has_duration = true;
		return sampling_parse_time(text, "-d", &sampler->duration_ns);
	case 'F':
		if (parse_u64(text, 1, MAX_HZ, &hz) < 0) {
			fprintf(stderr,
				"cprof: -F wants a rate from 1 to %d per second, not '%s'.\n",
				MAX_HZ, text);
			return false;
		}
		sampler->hz = (unsigned)hz;
		return true;
	case SAMPLING_TYPE:
		return parse_types(text, sampling);
	case SAMPLING_CHILDREN:
		sampler->children = true;
		return true;
	case SAMPLING_MAX_OVERHEAD:
		return parse_percent(text, &sampler->max_overhead);
	case SAMPLING_MAX_PAUSE:
		return sampling_parse_time(text, "--max-pause", &sampler->max_pause_ns);
	case SAMPLING_UNWINDER:
		if (strcmp(text, "fast") != 0 && strcmp(text, "libunwind") != 0) {
			fprintf(stderr,
				"cprof: there is no unwinder '%s'; known: fast, libunwind.\n",
				text);
			return false;
		}
		sampler->engine = text[0] == 'l' ? SAMPLER_LIBUNWIND : SAMPLER_COPY;
		return true;
	case SAMPLING_NO_INLINES:
		sampling->session.inlines = false;
		return true;
	default:
		return false;
	}
}

bool sampling_check(struct sampling *sampling, int argc, char **argv, const char *name_option)
{
	struct sampler_options *sampler = &sampling->session.sampler;

	if (optind < argc)
		sampler->argv = argv + optind;
	if ((sampler->pid != 0) + (sampling->name != NULL) + (sampler->argv != NULL) != 1) {
		fprintf(stderr,
			"cprof: say what to profile: one of -p PID, %s and -- COMMAND.\n"
			"Try '%s --help'.\n",
			name_option, argv[0]);
		return false;
	}
	if (sampling->tids.n && sampler->argv) {
		fprintf(stderr, "cprof: --tid goes with -p or %.*s only.\n",
			(int)strcspn(name_option, " "), name_option);
		return false;
	}
	if (sampling->tids.n && sampler->children) {
		fprintf(stderr, "cprof: --tid names threads of one process; it does not go with "
				"--children.\n");
		return false;
	}
	return true;
}

static bool check_tids(const struct sampling *sampling)
{
	for (size_t i = 0; i < sampling->tids.n; i++) {
		pid_t pid = sampling->session.sampler.pid, tid = sampling->tids.items[i];
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
		if (access(path, F_OK) == 0)
			continue;
		fprintf(stderr,
			"cprof: process %d has no thread %d. 'ls /proc/%d/task' lists them.\n", pid,
			tid, pid);
		return false;
	}
	return true;
}

bool sampling_find(struct sampling *sampling)
{
	struct sampler_options *sampler = &sampling->session.sampler;

	if (sampling->name && !target_find(sampling->name, &sampler->pid))
		return false;
	sampler->tids = sampling->tids.items;
	sampler->n_tids = (unsigned)sampling->tids.n;
	return !sampler->pid || (target_check(sampler->pid) && check_tids(sampling));
}

void sampling_target_name(const struct sampling *sampling, char name[static 64])
{
	const struct sampler_options *sampler = &sampling->session.sampler;
	const char *slash;

	if (sampler->pid) {
		target_name(sampler->pid, name);
		return;
	}
	slash = strrchr(sampler->argv[0], '/');
	snprintf(name, 64, "%s", slash ? slash + 1 : sampler->argv[0]);
}

bool sampling_start(const struct sampling *sampling, struct session **ret_session)
{
	const struct sampler_options *sampler = &sampling->session.sampler;
	int r = session_new(&sampling->session, ret_session);

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
