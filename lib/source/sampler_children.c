/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding child processes without a tracer's fork events.
 *
 * Fork events come to a tracer that stays attached, and whoever is attached to stops at every
 * signal. So children are looked for instead: the kernel gives out ids in ascending order and tells
 * the newest one in /proc/loadavg (fs/proc/loadavg.c), so that one read per tick tells whether
 * anything was born, and the ids in between are all there is to look at. An id is given out shortly
 * before its task can be seen, hence each is looked at in two ticks.
 *
 * Missed are processes that live shorter than a tick, and those whose parent ended before they were
 * seen (init is their parent then).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/parse.h"
#include "source/sampler_priv.h"

/* Where more were born than this since the last look, /proc is listed instead. */
#define MAX_RANGE 512
/* … and so it is, this often, where the newest id is not told. */
#define LIST_EVERY (50 * NSEC_PER_MSEC)

/* In some containers a FUSE file lies over it (lxcfs), which follows seconds later. */
static int open_loadavg(void)
{
	_cleanup_close_ int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	struct statfs fs;

	if (fd < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return -1;
	return take_fd(&fd);
}

/* 0 when it cannot be told. */
static uint64_t newest_pid(const struct sampler *s)
{
	unsigned long newest;
	char text[128];
	ssize_t n;

	n = s->newest_fd < 0 ? -1 : pread(s->newest_fd, text, sizeof(text) - 1, 0);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return sscanf(text, "%*s %*s %*s %*s %lu", &newest) == 1 ? newest : 0;
}

/* With no descriptor left for anything, one is kept to tell at least that it is a child. */
static int open_stat(struct sampler *s, pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 || (errno != EMFILE && errno != ENFILE) || s->spare_fd < 0)
		return fd;
	close(s->spare_fd);
	s->spare_fd = -1;
	return open(path, O_RDONLY | O_CLOEXEC);
}

static pid_t parent_of(struct sampler *s, pid_t pid)
{
	struct process_stat stat;
	char text[1024];
	ssize_t n;
	int fd = open_stat(s, pid);

	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	if (s->spare_fd < 0)
		s->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	return process_stat_parse(text, &stat) < 0 || stat.state == 'Z' ? 0 : stat.ppid;
}

/* Once, although each is looked at in two ticks. */
static void count_refused(struct sampler *s, pid_t pid, int error, bool first)
{
	if (!first && (uint64_t)pid <= s->newest_pid)
		return;
	if (error == -EMFILE || error == -ENFILE)
		s->stats.children_over++;
	else
		s->stats.children_refused++;
}

/* True when it is a child of a process that is sampled, and is sampled from now on. */
static bool look_at(struct sampler *s, pid_t pid, uint64_t now, bool first)
{
	pid_t parent = parent_of(s, pid);
	struct sampler_target *target;
	int r;

	if (!parent || !sampler_target_find(s, parent) || sampler_target_find(s, pid))
		return false;
	r = s->targets.n < s->max_targets ? sampler_target_add(s, pid, first) : -EMFILE;
	if (r >= 0) {
		target = s->targets.items[s->targets.n - 1];
		sampler_put_image(s, target, SNAPSHOT_IMAGE);
		sampler_maps_refresh(target, now);
		r = sampler_threads_refresh(s, target, now, first);
	}
	/* ESRCH: it has ended already. EINVAL: it is a thread. */
	if (r < 0 && r != -ESRCH && r != -EINVAL) {
		log_line(LOG_DEBUG, "child process %d: %s", pid, strerror(-r));
		count_refused(s, pid, r, first);
	}
	if (r < 0)
		return false;
	s->stats.children++;
	return true;
}

static void look_at_all(struct sampler *s, uint64_t now, bool first)
{
	bool found;

	/* A child may have a smaller number than its parent: until nothing is found any more. */
	do {
		_cleanup_closedir_ DIR *proc = opendir("/proc");
		const struct dirent *entry;
		uint64_t pid;

		found = false;
		while (proc && (entry = readdir(proc))) {
			if (parse_u64(entry->d_name, 1, INT32_MAX, &pid) == 0)
				found |= look_at(s, (pid_t)pid, now, first);
		}
	} while (found);
}

void sampler_children_find(struct sampler *s, uint64_t now, bool first)
{
	uint64_t newest, from = s->newest_before;

	if (first)
		s->newest_fd = open_loadavg();
	newest = newest_pid(s);
	if (!newest && !first && now < s->children_at + LIST_EVERY)
		return;
	if (newest && !first && newest == s->newest_pid && newest == from)
		return;
	s->children_at = now;
	if (!newest || first || newest < from || newest - from > MAX_RANGE) {
		look_at_all(s, now, first);
	} else {
		for (uint64_t pid = from + 1; pid <= newest; pid++)
			look_at(s, (pid_t)pid, now, false);
	}
	s->newest_before = s->newest_pid;
	s->newest_pid = newest;
}
