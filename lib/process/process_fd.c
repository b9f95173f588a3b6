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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

#define ANON "anon_inode:"
#define MAX_INFO (64 * 1024)

static bool is_fifo(const struct process *process, const char *path)
{
	struct stat st;

	/* Follows the link to the very file, and opens nothing. */
	return fstatat(process->dirfd, path, &st, 0) == 0 && S_ISFIFO(st.st_mode);
}

size_t process_link_read(const struct process *process, pid_t tid, int fd,
			 char ret_text[static PROCESS_LINK_SIZE])
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "task/%d/fd/%d", (int)tid, fd);
	n = readlinkat(process->dirfd, path, ret_text, PROCESS_LINK_SIZE - 1);
	if (n < 0)
		return 0;
	ret_text[n] = '\0';
	return (size_t)n + 1;
}

size_t process_link_describe(struct process_waits *waits, const char *link, char *text, size_t cap,
			     enum process_wait_kind *ret_kind)
{
	const char *socket;
	uint64_t inode;
	size_t n = strlen(link);

	*ret_kind = PROCESS_WAIT_FILE;
	if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1) {
		*ret_kind = PROCESS_WAIT_SOCKET;
		socket = process_socket_find(waits, inode);
		return text_add(text, cap, 0, "%s", socket ? socket : "socket");
	}
	if (strncmp(link, ANON, strlen(ANON)) == 0) {
		/* "anon_inode:[eventfd]" and "anon_inode:inotify" alike. */
		link += strlen(ANON);
		link += link[0] == '[';
		n = strcspn(link, "]");
		*ret_kind =
			strncmp(link, "io_uring", n) == 0 ? PROCESS_WAIT_AIO : PROCESS_WAIT_EVENT;
	} else if (strncmp(link, "pipe:[", 6) == 0) {
		*ret_kind = PROCESS_WAIT_PIPE;
	}
	return text_clean(text, cap, link, n);
}

size_t process_fd_describe(struct process_waits *waits, pid_t tid, int fd, char *text, size_t cap,
			   enum process_wait_kind *ret_kind)
{
	char path[64], link[PROCESS_LINK_SIZE], words[160];

	*ret_kind = PROCESS_WAIT_FILE;
	text[0] = '\0';
	if (!process_link_read(waits->process, tid, fd, link))
		return 0;
	process_link_describe(waits, link, words, sizeof(words), ret_kind);
	snprintf(path, sizeof(path), "task/%d/fd/%d", (int)tid, fd);
	if (*ret_kind == PROCESS_WAIT_FILE && is_fifo(waits->process, path))
		*ret_kind = PROCESS_WAIT_PIPE;
	return text_add(text, cap, 0, "fd %d (%s)", fd, words);
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
