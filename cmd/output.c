/* SPDX-License-Identifier: Apache-2.0 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* pprof numbers its files with three digits. */
#define MAX_NUMBER 99999

static bool open_direct(struct output *output, const char *path)
{
	output->direct = true;
	if (strcmp(path, "-") == 0) {
		if (isatty(STDOUT_FILENO)) {
			fprintf(stderr,
				"cprof: a profile is binary; stdout is a terminal. Redirect "
				"it, or use -o FILE.\n");
			return false;
		}
		output->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	} else {
		output->fd = open(path, O_WRONLY | O_CLOEXEC);
	}
	if (output->fd < 0)
		fprintf(stderr, "cprof: cannot write %s: %s\n", path, strerror(errno));
	return output->fd >= 0;
}

static bool open_temporary(struct output *output, const char *path)
{
	const char *slash = strrchr(path, '/');
	int length = slash ? (int)(slash - path + 1) : 0;
	mode_t mask = umask(0);

	umask(mask);
	if (asprintf(&output->temporary, "%.*s.cprof-XXXXXX", length, path) < 0) {
		output->temporary = NULL;
		fprintf(stderr, "cprof: out of memory\n");
		return false;
	}
	output->fd = mkostemp(output->temporary, O_CLOEXEC);
	if (output->fd < 0) {
		fprintf(stderr, "cprof: cannot write in %.*s: %s. Choose another place with -o.\n",
			length ? length : 1, length ? path : ".", strerror(errno));
		free(take_ptr(output->temporary));
		return false;
	}
	/* mkostemp() makes it private; the person's umask decides. */
	(void)fchmod(output->fd, 0666 & ~mask);
	return true;
}

bool output_open(struct output *output, const char *path, const char *name, const char *type)
{
	struct stat st;
	int r;

	*output = (struct output){.fd = -1, .numbered = !path};
	r = path ? asprintf(&output->path, "%s", path)
		 : asprintf(&output->path, "cprof.%s.samples.%s", name, type);
	if (r < 0) {
		output->path = NULL;
		fprintf(stderr, "cprof: out of memory\n");
		return false;
	}
	if (path && strcmp(path, "-") == 0)
		return open_direct(output, path);
	if (path && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		fprintf(stderr, "cprof: %s is a directory; -o wants a file.\n", path);
		return false;
	}
	if (path && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return open_direct(output, path);
	return open_temporary(output, output->path);
}

static int numbered_path(const struct output *output, unsigned number, char **ret_path)
{
	return asprintf(ret_path, "%s.%03u.pb.gz", output->path, number) < 0 ? -ENOMEM : 0;
}

bool output_has_number(const struct output *output, unsigned number)
{
	char *path;
	bool has;

	if (!output->numbered || number > MAX_NUMBER || numbered_path(output, number, &path) < 0)
		return false;
	has = access(path, F_OK) == 0;
	free(path);
	return has;
}

/* Renames to the first free number; never over a file that is there. */
static int rename_numbered(struct output *output)
{
	for (unsigned i = MAX(output->number, 1U); i <= MAX_NUMBER; i++) {
		char *path;

		if (numbered_path(output, i, &path) < 0)
			return -ENOMEM;
		if (renameat2(AT_FDCWD, output->temporary, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
			free(output->path);
			output->path = path;
			return 0;
		}
		free(path);
		if (errno != EEXIST)
			return err_errno();
	}
	return -EEXIST;
}

static int finish_here(struct output *output)
{
	int r = 0;

	if (close(take_fd(&output->fd)) < 0)
		return err_errno();
	if (output->direct)
		return 0;
	if (output->numbered)
		r = rename_numbered(output);
	else if (rename(output->temporary, output->path) < 0)
		r = err_errno();
	if (r == 0)
		free(take_ptr(output->temporary));
	return r;
}

static int finish_elsewhere(struct output *output, int (*again)(void *, struct sink *), void *user)
{
	const char *directory = getenv("TMPDIR");
	_cleanup_close_ int fd = -1;
	struct sink_fd sink;
	char *path;
	int r;

	if (asprintf(&path, "%s/cprof-rescued-XXXXXX.pb.gz",
		     directory && *directory ? directory : "/tmp") < 0)
		return -ENOMEM;
	fd = mkostemps(path, (int)strlen(".pb.gz"), O_CLOEXEC);
	r = fd < 0 ? err_errno() : 0;
	if (r == 0) {
		sink_fd_init(&sink, fd);
		r = again(user, &sink.sink);
		if (r < 0)
			unlink(path);
	}
	if (r < 0) {
		free(path);
		return r;
	}
	free(output->path);
	output->path = path;
	return 0;
}

int output_finish(struct output *output, int written, int (*again)(void *user, struct sink *sink),
		  void *user)
{
	int r = written < 0 ? written : finish_here(output);

	if (r == 0)
		return 0;
	fprintf(stderr, "cprof: cannot write %s: %s\n", output->path, strerror(-r));
	r = finish_elsewhere(output, again, user);
	if (r < 0) {
		fprintf(stderr,
			"cprof: nor in the temporary directory: %s. The recording is lost.\n",
			strerror(-r));
		return r;
	}
	fprintf(stderr, "cprof: saved as %s instead\n", output->path);
	return 1;
}

void output_close(struct output *output)
{
	if (output->fd >= 0)
		close(take_fd(&output->fd));
	if (output->temporary)
		unlink(output->temporary);
	free(take_ptr(output->temporary));
	free(take_ptr(output->path));
}
