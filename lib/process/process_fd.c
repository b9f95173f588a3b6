/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is behind a descriptor of a thread, by the link in /proc/PID/task/TID/fd.
 *
 * The links of what has no path are "pipe:[INODE]", "socket:[INODE]" (fs/d_path.c simple_dname via
 * fs/pipe.c, net/socket.c, Linux 6.18) and "anon_inode:NAME" or "anon_inode:[NAME]"
 * (fs/anon_inodes.c).
 */
#include "process/process_wait_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

#define ANON "anon_inode:"
#define MAX_INFO (64 * 1024)

/* "anon_inode:[eventfd]" and "anon_inode:inotify" alike. */
static void strip_anon(char *link)
{
	char *name = link + strlen(ANON);
	size_t n;

	if (name[0] == '[')
		name++;
	n = strcspn(name, "]");
	memmove(link, name, n);
	link[n] = '\0';
}

static bool is_fifo(const struct process *process, const char *path)
{
	struct stat st;

	/* Follows the link to the very file, and opens nothing. */
	return fstatat(process->dirfd, path, &st, 0) == 0 && S_ISFIFO(st.st_mode);
}

size_t process_fd_describe(struct process_waits *waits, pid_t tid, int fd, char *text, size_t cap,
			   enum process_wait_kind *ret_kind)
{
	char path[64], link[PATH_MAX], clean[160];
	const char *socket;
	uint64_t inode;
	ssize_t n;

	*ret_kind = PROCESS_WAIT_FILE;
	text[0] = '\0';
	snprintf(path, sizeof(path), "task/%d/fd/%d", (int)tid, fd);
	n = readlinkat(waits->process->dirfd, path, link, sizeof(link) - 1);
	if (n < 0)
		return 0;
	link[n] = '\0';
	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1) {
		*ret_kind = PROCESS_WAIT_SOCKET;
		socket = process_socket_find(waits, inode);
		return text_add(text, cap, 0, "fd %d (%s)", fd, socket ? socket : "socket");
	}
	if (strncmp(link, ANON, strlen(ANON)) == 0) {
		*ret_kind = PROCESS_WAIT_EVENT;
		strip_anon(link);
		if (strcmp(link, "io_uring") == 0)
			*ret_kind = PROCESS_WAIT_AIO;
	} else if (strncmp(link, "pipe:[", 6) == 0 || is_fifo(waits->process, path)) {
		*ret_kind = PROCESS_WAIT_PIPE;
	}
	text_clean(clean, sizeof(clean), link, strlen(link));
	return text_add(text, cap, 0, "fd %d (%s)", fd, clean);
}

size_t process_epoll_describe(struct process_waits *waits, pid_t tid, int fd, char *text,
			      size_t cap)
{
	_cleanup_free_ char *info = malloc(MAX_INFO);
	enum process_wait_kind ignored;
	unsigned long long total = 0;
	char path[64], named[256] = "";
	unsigned n_named = 0;
	size_t used = 0;

	snprintf(path, sizeof(path), "fdinfo/%d", fd);
	if (!info || process_task_file_read(waits->process, tid, path, info, MAX_INFO) <= 0)
		return text_add(text, cap, 0, "fd %d", fd);
	/* "tfd: 7 events: …", one line each (fs/eventpoll.c ep_show_fdinfo). */
	for (char *line = info; line; line = strchr(line, '\n'), line += line != NULL) {
		char one[128];
		int watched;

		if (sscanf(line, "tfd: %d", &watched) != 1)
			continue;
		total++;
		if (n_named == PROCESS_WAIT_NAMED ||
		    process_fd_describe(waits, tid, watched, one, sizeof(one), &ignored) == 0)
			continue;
		used = text_add(named, sizeof(named), used, "%s%s", n_named ? ", " : ": ", one);
		n_named++;
	}
	return text_add(text, cap, 0, "%llu descriptor%s of epoll fd %d%s%s", total,
			total == 1 ? "" : "s", fd, named, n_named && n_named < total ? ", …" : "");
}
