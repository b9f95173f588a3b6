/* SPDX-License-Identifier: Apache-2.0 */
#include "custom_options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "inject/inject.h"
#include "process/process.h"
#include "session/session_type.h"

bool custom_options_declare(struct custom_options *options, const char *text)
{
	struct custom_error error;
	struct custom *custom, **slot;
	int r = custom_parse(text, &custom, &error);

	if (r == -EINVAL) {
		fprintf(stderr, "cprof: --custom '%s': at '%s', expected %s.\n", text, error.word,
			error.expected);
		return false;
	}
	slot = r < 0 ? NULL : vec_push(&options->declared);
	if (!slot) {
		fputs("cprof: out of memory\n", stderr);
		return false;
	}
	*slot = custom;
	if (!session_type_find(custom->name) && strcmp(custom->name, "heap") != 0 &&
	    strcmp(custom->name, "allocs") != 0)
		return true;
	fprintf(stderr, "cprof: --custom '%s': '%s' is another type of profile; choose a name.\n",
		text, custom->name);
	return false;
}

bool custom_options_want(struct custom_options *options, const char *name)
{
	const char **slot;

	for (size_t i = 0; i < options->names.n; i++) {
		if (strcmp(options->names.items[i], name) == 0)
			return true;
	}
	slot = vec_push(&options->names);
	if (slot)
		*slot = strdup(name);
	if (!slot || !*slot) {
		fputs("cprof: out of memory\n", stderr);
		return false;
	}
	return true;
}

bool custom_options_check(struct custom_options *options)
{
	if (!options->names.n) {
		for (size_t i = 0; i < options->declared.n; i++) {
			if (!custom_options_want(options, options->declared.items[i]->name))
				return false;
		}
	}
	options->n_wanted = (unsigned)options->names.n;
	if (options->n_wanted <= AGENT_MAX_PROFILES)
		return true;
	fprintf(stderr, "cprof: no more than %d custom profiles at once.\n", AGENT_MAX_PROFILES);
	return false;
}

const char *custom_options_first(const struct custom_options *options)
{
	return options->names.n ? options->names.items[0] : "";
}

void custom_options_deinit(struct custom_options *options)
{
	for (size_t i = 0; i < options->declared.n; i++)
		custom_free(options->declared.items[i]);
	for (size_t i = 0; i < options->made.n; i++)
		custom_free(options->made.items[i]);
	for (size_t i = 0; i < options->names.n; i++)
		free((char *)options->names.items[i]);
	vec_deinit(&options->declared);
	vec_deinit(&options->made);
	vec_deinit(&options->names);
	free(options->wanted);
}

/* --- what names stand for --- */

static void read_list(pid_t pid, struct inject_list *list)
{
	struct process *process = NULL;

	*list = (struct inject_list){};
	if (pid && process_open(pid, &process) >= 0)
		(void)inject_list_read(process, list);
	process_close(process);
}

static bool has_probe(const struct inject_list *list, const char *name)
{
	for (size_t i = 0; i < list->probes.n; i++) {
		if (strcmp(list->probes.items[i], name) == 0)
			return true;
	}
	return false;
}

static void say_unknown(const char *name, pid_t pid, const struct inject_list *list)
{
	const struct session_type *type;
	const char *preset;

	fprintf(stderr, "cprof: there is no profile type '%s'; known:", name);
	for (unsigned i = 0; (type = session_type_get(i)); i++)
		fprintf(stderr, " %s,", type->name);
	fputs(" heap, allocs", stderr);
	for (unsigned i = 0; (preset = custom_preset_name(i)); i++)
		fprintf(stderr, ", %s", preset);
	if (list->probes.n)
		fprintf(stderr, ". Process %d has probes of", pid);
	else if (list->strings.n)
		fprintf(stderr, ". Process %d has no probes of cprof/probe.h.\n", pid);
	else
		fputs(".\n", stderr);
	for (size_t i = 0; i < list->probes.n; i++)
		fprintf(stderr, "%s %s%s", i ? "," : "", list->probes.items[i],
			i + 1 < list->probes.n ? "" : ".\n");
}

static struct custom *find_declared(const struct custom_options *options, const char *name)
{
	for (size_t i = 0; i < options->declared.n; i++) {
		if (strcmp(options->declared.items[i]->name, name) == 0)
			return options->declared.items[i];
	}
	return NULL;
}

static bool resolve_one(struct custom_options *options, const char *name, pid_t pid,
			struct inject_list *list, const struct custom **ret_custom)
{
	struct custom *custom = find_declared(options, name), **slot;
	int r;

	*ret_custom = custom;
	if (custom)
		return true;
	r = custom_preset(name, &custom);
	if (r == -ENOENT && options->takes_all) {
		r = custom_probe(name, &custom);
	} else if (r == -ENOENT) {
		if (!list->strings.n && !list->probes.n)
			read_list(pid, list);
		if (!has_probe(list, name)) {
			say_unknown(name, pid, list);
			return false;
		}
		r = custom_probe(name, &custom);
	}
	slot = r < 0 ? NULL : vec_push(&options->made);
	if (!slot) {
		fputs("cprof: out of memory\n", stderr);
		return false;
	}
	*ret_custom = *slot = custom;
	return true;
}

bool custom_options_want_probes(struct custom_options *options, pid_t pid)
{
	struct inject_list list;
	bool good = true;

	read_list(pid, &list);
	if (!list.probes.n)
		fprintf(stderr, "cprof: process %d has no probes of cprof/probe.h.\n", pid);
	for (size_t i = 0; i < list.probes.n && good; i++)
		good = custom_options_want(options, list.probes.items[i]);
	good = good && list.probes.n;
	inject_list_deinit(&list);
	return good;
}

bool custom_options_resolve(struct custom_options *options, pid_t pid)
{
	struct inject_list list = {};
	bool good = true;

	options->wanted = calloc(options->names.n + 1, sizeof(struct custom *));
	good = options->wanted != NULL;
	for (size_t i = 0; i < options->names.n && good; i++)
		good = resolve_one(options, options->names.items[i], pid, &list,
				   &options->wanted[i]);
	inject_list_deinit(&list);
	return good;
}

static unsigned count_uses(const struct custom_options *options, const char *function)
{
	unsigned n = 0;

	for (unsigned i = 0; i < options->n_wanted; i++) {
		const struct custom *custom = options->wanted[i];

		for (size_t k = 0; k < custom->calls.n; k++)
			n += !custom->is_probe &&
			     strcmp(custom->calls.items[k].function, function) == 0;
	}
	return n;
}

bool custom_options_go_together(const struct custom_options *options, bool heap)
{
	for (unsigned i = 0; i < options->n_wanted; i++) {
		const struct custom *custom = options->wanted[i];

		for (size_t k = 0; k < custom->calls.n && !custom->is_probe; k++) {
			const char *function = custom->calls.items[k].function;

			if (heap && inject_is_alloc(function)) {
				fprintf(stderr,
					"cprof: --custom %s: %s is one of --type heap already; "
					"record one after the other.\n",
					custom->name, function);
				return false;
			}
			if (count_uses(options, function) > AGENT_MAX_ACTIONS) {
				fprintf(stderr,
					"cprof: more than %d uses of %s in all types; record one "
					"after the other.\n",
					AGENT_MAX_ACTIONS, function);
				return false;
			}
		}
	}
	return true;
}

/* --- what is imported instead --- */

#define MAX_SIMILAR 8

/* How much of the shorter name the two have in common, in percent: the longest piece. */
static unsigned likeness(const char *a, const char *b)
{
	size_t n = strlen(a), m = strlen(b), best = 0;

	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < m; k++) {
			size_t same = 0;

			while (i + same < n && k + same < m && a[i + same] == b[k + same])
				same++;
			best = MAX(best, same);
		}
	}
	return (unsigned)(100 * best / (MAX(n, m) + 1));
}

static bool is_imported(const struct inject_list *list, const char *function)
{
	for (size_t i = 0; i < list->imports.n; i++) {
		if (strcmp(list->imports.items[i].function, function) == 0)
			return true;
	}
	return false;
}

static void say_similar(const struct inject_list *list, const char *function)
{
	unsigned n = 0;

	for (unsigned least = 90; least >= 40 && n < MAX_SIMILAR; least -= 10) {
		for (size_t i = 0; i < list->imports.n && n < MAX_SIMILAR; i++) {
			const struct inject_import *import = &list->imports.items[i];
			unsigned like = likeness(import->function, function);

			if (like < least || like >= least + 10)
				continue;
			fprintf(stderr, "%s  %s imports %s\n", n++ ? "" : "cprof: similar ones:\n",
				import->module, import->function);
		}
	}
}

static void explain_one(const struct custom *custom, const struct inject_list *list, pid_t pid)
{
	bool any = false;

	for (size_t i = 0; i < custom->calls.n; i++) {
		const struct inject_custom *call = &custom->calls.items[i];
		bool here = is_imported(list, call->function);

		any |= here && call->action.what == AGENT_ADD;
		if (here || !call->required)
			continue;
		fprintf(stderr,
			"cprof: no module of process %d imports '%s', which --custom %s is of: "
			"only calls from one module into another can be seen.\n",
			pid, call->function, custom->name);
		say_similar(list, call->function);
		return;
	}
	if (!any)
		fprintf(stderr,
			"cprof: no module of process %d imports a function of '%s': it is linked "
			"statically, or does not do that.\n",
			pid, custom->name);
}

void custom_options_explain(const struct custom_options *options, pid_t pid)
{
	struct inject_list list;

	read_list(pid, &list);
	for (unsigned i = 0; i < options->n_wanted; i++) {
		if (!options->wanted[i]->is_probe)
			explain_one(options->wanted[i], &list, pid);
	}
	inject_list_deinit(&list);
}

/* --- figures --- */

bool custom_options_losses(const struct custom_options *options,
			   const struct session_heap_stats *stats)
{
	bool any = false;

	for (unsigned i = 0; i < options->n_wanted; i++) {
		const struct agent_profile *of = &stats->profiles[i];
		const char *name = options->wanted[i]->name;

		if (of->no_stack)
			fprintf(stderr,
				"cprof: %s: %" PRIu64
				" entries came faster than they could be fetched, and have no "
				"stack\n",
				name, of->no_stack);
		if (of->not_live)
			fprintf(stderr,
				"cprof: %s: %" PRIu64
				" entries are missing, there were too many at once\n",
				name, of->not_live);
		any |= of->no_stack || of->not_live;
	}
	return any;
}

void custom_options_print(const struct custom_options *options,
			  const struct session_heap_stats *stats)
{
	for (unsigned i = 0; i < options->n_wanted; i++) {
		const struct agent_profile *of = &stats->profiles[i];
		const char *name = options->wanted[i]->name;

		fprintf(stderr, "%-8s %" PRIu64 " added in %.1f s", name, of->added,
			(double)stats->elapsed_ns / 1e9);
		if (of->counted)
			fprintf(stderr, ", %" PRIu64 " counted", of->counted);
		if (of->twice)
			fprintf(stderr, ", %" PRIu64 " of them over another one", of->twice);
		if (of->unknown)
			fprintf(stderr, "; %" PRIu64 " removed that were there before cprof came",
				of->unknown);
		if (stats->closed[i])
			fprintf(stderr, "; %" PRIu64 " left out, closed unseen", stats->closed[i]);
		fputc('\n', stderr);
	}
	if (options->n_wanted)
		fprintf(stderr, "entries  %" PRIu64 " at the end\n", stats->in_use);
}
