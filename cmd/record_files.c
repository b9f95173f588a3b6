/* SPDX-License-Identifier: Apache-2.0 */
#include "record_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "memory_limit.h"
#include "pprof/pprof.h"
#include "session/heap_delta.h"

/* Who writes what. */
struct writing {
	struct session *session;
	const struct record_file *file;
};

/* A profile for each type cannot go into one pipe or device, where pprof reads one. */
static bool check_path(const char *path)
{
	struct stat st;

	if (strcmp(path, "-") == 0) {
		fprintf(stderr, "cprof: several types make several files, which cannot all go to "
				"stdout; use -o FILE, or one --type.\n");
		return false;
	}
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode))
		return true;
	if (S_ISDIR(st.st_mode))
		fprintf(stderr, "cprof: %s is a directory; -o wants a file.\n", path);
	else
		fprintf(stderr,
			"cprof: several types make several files; %s is none. Use -o FILE, or one "
			"--type.\n",
			path);
	return false;
}

/* Where the ending of a file's name begins: .pb.gz, or what follows the last dot. */
static size_t ending_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const char *dot = strrchr(name, '.');
	size_t length = strlen(path), pprof = strlen(".pb.gz");

	if (strlen(name) > pprof && strcmp(path + length - pprof, ".pb.gz") == 0)
		return length - pprof;
	return dot && dot != name ? (size_t)(dot - path) : length;
}

static bool open_one(struct record_file *file, const char *path, const char *name, bool several)
{
	_cleanup_free_ char *own = NULL;
	size_t ending;

	if (path && several) {
		ending = ending_of(path);
		if (asprintf(&own, "%.*s.%s%s", (int)ending, path, file->name, path + ending) < 0) {
			own = NULL;
			fprintf(stderr, "cprof: out of memory\n");
			return false;
		}
		path = own;
	}
	return output_open(&file->output, path, name, file->name);
}

static void add(struct record_files *files, const char *name, const struct session_type *type,
		const struct custom *custom)
{
	files->items[files->n++] = (struct record_file){
		.name = name, .type = type, .custom = custom, .output = {.fd = -1}};
}

bool record_files_open(struct record_files *files, const struct record_wanted *wanted,
		       const char *path, const char *name)
{
	const struct session_type *type;

	for (unsigned i = 0; (type = session_type_get(i)); i++) {
		if (wanted->types & type->type)
			add(files, type->name, type, NULL);
	}
	if (wanted->heap)
		add(files, "heap", NULL, NULL);
	if (wanted->allocs)
		add(files, "allocs", NULL, NULL);
	for (unsigned i = 0; i < wanted->n_customs; i++)
		add(files, wanted->customs[i]->name, NULL, wanted->customs[i]);
	if (files->n > 1 && path && !check_path(path))
		return false;
	for (unsigned i = 0; i < files->n; i++) {
		if (!open_one(&files->items[i], path, name, files->n > 1))
			return false;
	}
	return true;
}

void record_files_set_custom(struct record_files *files, const struct custom *custom,
			     struct profile *take_profile)
{
	for (unsigned i = 0; i < files->n && take_profile; i++) {
		if (files->items[i].custom == custom)
			files->items[i].heap = take_ptr(take_profile);
	}
	profile_free(take_profile);
}

int record_files_set_heap(struct record_files *files, struct profile *take_profile)
{
	struct profile *profile = take_profile;
	int r = 0;

	for (unsigned i = 0; i < files->n && profile; i++) {
		struct record_file *file = &files->items[i];

		if (file->type || file->custom)
			continue;
		/* The last one has the other's, if there are two. */
		if (i + 1 < files->n && !files->items[i + 1].custom)
			r = profile_clone(profile, &file->heap);
		else
			file->heap = take_ptr(profile);
		if (r >= 0)
			r = heap_delta_set_default(&file->heap, strcmp(file->name, "allocs") == 0);
		if (r < 0)
			break;
	}
	profile_free(profile);
	return r;
}

void record_files_drop_heap(struct record_files *files)
{
	/* They are the last ones. */
	while (files->n && !files->items[files->n - 1].type)
		output_close(&files->items[--files->n].output);
}

void record_files_guard(const struct record_files *files)
{
	const char *temporary[RECORD_MAX_FILES];

	for (unsigned i = 0; i < files->n; i++)
		temporary[i] = files->items[i].output.temporary;
	memory_limit_guard(temporary, files->n);
}

static int write_profile(void *user, struct sink *sink)
{
	const struct writing *writing = user;
	const struct profile *profile = writing->file->heap;
	int r = 0;

	if (writing->file->type)
		r = session_profile(writing->session, writing->file->type->type, &profile);
	return r < 0 ? r : pprof_write(profile, sink);
}

/* The files of one recording have one number. */
static void number(struct record_files *files)
{
	unsigned next = 1, i = 0;

	while (i < files->n) {
		if (output_has_number(&files->items[i].output, next)) {
			next++;
			i = 0;
		} else {
			i++;
		}
	}
	for (i = 0; i < files->n; i++)
		files->items[i].output.number = next;
}

int record_files_write(struct record_files *files, struct session *session)
{
	int worst = 0;

	for (unsigned i = 0; i < files->n; i++) {
		struct record_file *file = &files->items[i];
		struct writing writing = {session, file};
		struct sink_fd sink;

		sink_fd_init(&sink, file->output.fd);
		file->written = write_profile(&writing, &sink.sink);
	}
	memory_limit_forget();
	number(files);
	for (unsigned i = 0; i < files->n; i++) {
		struct record_file *file = &files->items[i];
		struct writing writing = {session, file};
		int r = output_finish(&file->output, file->written, write_profile, &writing);

		worst = worst < 0 || r == 0 ? worst : r;
	}
	return worst;
}

void record_files_print(const struct record_files *files)
{
	for (unsigned i = 0; i < files->n; i++) {
		if (!files->items[i].output.direct)
			fprintf(stderr, "%sgo tool pprof -http=: %s\n", i ? "" : "\n",
				files->items[i].output.path);
	}
}

void record_files_close(struct record_files *files)
{
	for (unsigned i = 0; i < files->n; i++) {
		output_close(&files->items[i].output);
		files->items[i].heap = profile_free(files->items[i].heap);
	}
}
