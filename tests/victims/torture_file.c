/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes, terminals, event descriptors, locks, children. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "torture.h"

#define PIPE_SIZE 4096

/* A child must not take the writing end of a FIFO along. */
static pthread_mutex_t fork_lock = PTHREAD_MUTEX_INITIALIZER;

static int setup_pipe(struct waiter *w)
{
	return pipe2(w->fd, O_CLOEXEC) < 0 ? errno : 0;
}

static int setup_pipes(struct waiter *w)
{
	return setup_pipe(w) || pipe2(w->fd + 2, O_CLOEXEC) < 0 ? errno : 0;
}

static int setup_full_pipe(struct waiter *w)
{
	char bytes[PIPE_SIZE] = {};

	if (setup_pipe(w))
		return errno;
	if (fcntl(w->fd[1], F_SETPIPE_SZ, PIPE_SIZE) != PIPE_SIZE)
		return EPERM;
	return want(write(w->fd[1], bytes, sizeof(bytes)), sizeof(bytes));
}

static int wait_read(struct waiter *w, uint64_t ns)
{
	char byte;

	(void)ns;
	return want(read(w->fd[0], &byte, 1), 1);
}

static void wake_by_byte(struct waiter *w)
{
	(void)!write(w->fd[1], "x", 1);
}

static int wait_write(struct waiter *w, uint64_t ns)
{
	char bytes[PIPE_SIZE] = {};
	int r = want(write(w->fd[1], "x", 1), 1);

	(void)ns;
	return r ? r : want(write(w->fd[1], bytes, PIPE_SIZE - 1), PIPE_SIZE - 1);
}

static void wake_by_room(struct waiter *w)
{
	char bytes[PIPE_SIZE];

	(void)!read(w->fd[0], bytes, sizeof(bytes));
}

static int wait_splice(struct waiter *w, uint64_t ns)
{
	int r = want(splice(w->fd[0], NULL, w->fd[3], NULL, 1, 0), 1);
	char byte;

	(void)ns;
	return r ? r : want(read(w->fd[2], &byte, 1), 1);
}

static int wait_tee(struct waiter *w, uint64_t ns)
{
	int r = want(tee(w->fd[0], w->fd[3], 1, 0), 1);
	char byte;

	(void)ns;
	r = r ? r : want(read(w->fd[0], &byte, 1), 1);
	return r ? r : want(read(w->fd[2], &byte, 1), 1);
}

static int setup_tty(struct waiter *w)
{
	struct termios mode;
	char name[64];

	w->fd[1] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (w->fd[1] < 0 || grantpt(w->fd[1]) < 0 || unlockpt(w->fd[1]) < 0 ||
	    ptsname_r(w->fd[1], name, sizeof(name)))
		return errno;
	w->fd[0] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (w->fd[0] < 0 || tcgetattr(w->fd[0], &mode) < 0)
		return errno;
	cfmakeraw(&mode);
	return tcsetattr(w->fd[0], TCSANOW, &mode) < 0 ? errno : 0;
}

static int setup_eventfd(struct waiter *w)
{
	w->fd[0] = w->fd[1] = eventfd(0, EFD_CLOEXEC);
	return w->fd[0] < 0 ? errno : 0;
}

static int wait_read_8(struct waiter *w, uint64_t ns)
{
	uint64_t value;

	(void)ns;
	return want(read(w->fd[0], &value, 8), 8);
}

static void wake_eventfd(struct waiter *w)
{
	eventfd_write(w->fd[1], 1);
}

static int setup_timerfd(struct waiter *w)
{
	w->fd[0] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	return w->fd[0] < 0 ? errno : 0;
}

static int wait_timerfd(struct waiter *w, uint64_t ns)
{
	struct itimerspec when = {.it_value = timespec_of(w->start + ns)};

	timerfd_settime(w->fd[0], TFD_TIMER_ABSTIME, &when, NULL);
	return wait_read_8(w, ns);
}

static int setup_signalfd(struct waiter *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIG_TAKEN);
	w->fd[0] = signalfd(-1, &set, SFD_CLOEXEC);
	return w->fd[0] < 0 ? errno : 0;
}

static int wait_signalfd(struct waiter *w, uint64_t ns)
{
	struct signalfd_siginfo siginfo;

	(void)ns;
	return want(read(w->fd[0], &siginfo, sizeof(siginfo)), sizeof(siginfo));
}

static void wake_signal(struct waiter *w)
{
	syscall(SYS_tgkill, getpid(), w->tid, SIG_TAKEN);
}

static int setup_inotify(struct waiter *w)
{
	char path[64];

	w->fd[1] = open_nameless();
	w->fd[0] = inotify_init1(IN_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd[1]);
	return inotify_add_watch(w->fd[0], path, IN_MODIFY) < 0 ? errno : 0;
}

static int wait_inotify(struct waiter *w, uint64_t ns)
{
	struct inotify_event event;

	(void)ns;
	return want(read(w->fd[0], &event, sizeof(event)), sizeof(event));
}

static int setup_fifo(struct waiter *w)
{
	char path[64];

	snprintf(path, sizeof(path), "/tmp/torture-%d-%p", getpid(), (void *)w);
	if (mkfifo(path, 0600) < 0)
		return errno;
	w->fd[0] = open(path, O_PATH | O_CLOEXEC);
	unlink(path);
	return w->fd[0] < 0 ? errno : 0;
}

static int wait_open(struct waiter *w, uint64_t ns)
{
	char path[64];
	int fd;

	(void)ns;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd[0]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* The writer that woke us is gone when it has let go of the lock. */
	pthread_mutex_lock(&fork_lock);
	pthread_mutex_unlock(&fork_lock);
	return fd < 0 ? errno : want(close(fd), 0);
}

static void wake_by_open(struct waiter *w)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd[0]);
	pthread_mutex_lock(&fork_lock);
	close(open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC));
	pthread_mutex_unlock(&fork_lock);
}

/* fd[0] has the lock, fd[1] wants it. */
static int setup_locks(struct waiter *w)
{
	char path[64];

	w->fd[0] = open_nameless();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", w->fd[0]);
	w->fd[1] = open(path, O_RDWR | O_CLOEXEC);
	return w->fd[1] < 0 ? errno : 0;
}

static int setup_flock(struct waiter *w)
{
	return setup_locks(w) || flock(w->fd[0], LOCK_EX) < 0 ? errno : 0;
}

static int wait_flock(struct waiter *w, uint64_t ns)
{
	int r = want(flock(w->fd[1], LOCK_EX), 0);

	(void)ns;
	if (r)
		return r;
	flock(w->fd[1], LOCK_UN);
	return want(flock(w->fd[0], LOCK_EX | LOCK_NB), 0);
}

static void wake_flock(struct waiter *w)
{
	flock(w->fd[0], LOCK_UN);
}

static long record_lock(int fd, int command, short type)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};

	return fcntl(fd, command, &lock);
}

static int setup_ofd_lock(struct waiter *w)
{
	return setup_locks(w) || record_lock(w->fd[0], F_OFD_SETLK, F_WRLCK) < 0 ? errno : 0;
}

static int wait_ofd_lock(struct waiter *w, uint64_t ns)
{
	int r = want(record_lock(w->fd[1], F_OFD_SETLKW, F_WRLCK), 0);

	(void)ns;
	if (r)
		return r;
	record_lock(w->fd[1], F_OFD_SETLK, F_UNLCK);
	return want(record_lock(w->fd[0], F_OFD_SETLK, F_WRLCK), 0);
}

static void wake_ofd_lock(struct waiter *w)
{
	record_lock(w->fd[0], F_OFD_SETLK, F_UNLCK);
}

/* Record locks belong to a process: a child has it. Each byte tells it to lock or unlock. */
static int setup_record_lock(struct waiter *w)
{
	int to[2], from[2];
	char byte = 0;

	w->fd[0] = open_nameless();
	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		return errno;
	w->id = fork();
	if (w->id == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(to[1]);
		for (short type = F_WRLCK;; type = type == F_WRLCK ? F_UNLCK : F_WRLCK) {
			record_lock(w->fd[0], F_SETLKW, type);
			if (write(from[1], &byte, 1) != 1 || read(to[0], &byte, 1) != 1)
				_exit(0);
		}
	}
	close(to[0]);
	close(from[1]);
	w->fd[1] = to[1];
	w->fd[2] = from[0];
	return want(read(w->fd[2], &byte, 1), 1);
}

static int wait_record_lock(struct waiter *w, uint64_t ns)
{
	int r = want(record_lock(w->fd[0], F_SETLKW, F_WRLCK), 0);
	char bytes[2];

	(void)ns;
	if (r)
		return r;
	record_lock(w->fd[0], F_SETLK, F_UNLCK);
	if (write(w->fd[1], "l", 1) != 1)
		return errno;
	for (int i = 0; i < 2; i++) {
		r = want(read(w->fd[2], bytes, 1), 1);
		if (r)
			return WRONG;
	}
	return 0;
}

/* A child that ends when it should. */
static pid_t start_child(struct waiter *w, uint64_t ns)
{
	pid_t pid;

	pthread_mutex_lock(&fork_lock);
	pid = fork();
	if (pid == 0) {
		struct timespec when = timespec_of(w->start + ns);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &when, NULL);
		atomic_store(&w->woken_at, now_ns());
		_exit(7);
	}
	pthread_mutex_unlock(&fork_lock);
	return pid;
}

static int wait_wait4(struct waiter *w, uint64_t ns)
{
	int status;

	if (!w->id)
		w->id = start_child(w, ns);
	if (want(wait4(w->id, &status, 0, NULL), w->id))
		return errno;
	w->id = 0;
	return WEXITSTATUS(status) == 7 ? 0 : WRONG;
}

static int wait_waitid(struct waiter *w, uint64_t ns)
{
	siginfo_t siginfo;

	if (!w->id)
		w->id = start_child(w, ns);
	if (want(waitid(P_PID, (id_t)w->id, &siginfo, WEXITED), 0))
		return errno;
	w->id = 0;
	return siginfo.si_status == 7 ? 0 : WRONG;
}

const struct call calls_file[] = {
	{"read-pipe", setup_pipe, wait_read, wake_by_byte},
	{"write-pipe", setup_full_pipe, wait_write, wake_by_room},
	{"splice", setup_pipes, wait_splice, wake_by_byte},
	{"tee", setup_pipes, wait_tee, wake_by_byte},
	{"read-tty", setup_tty, wait_read, wake_by_byte},
	{"read-eventfd", setup_eventfd, wait_read_8, wake_eventfd},
	{"read-timerfd", setup_timerfd, wait_timerfd},
	{"read-signalfd", setup_signalfd, wait_signalfd, wake_signal},
	{"read-inotify", setup_inotify, wait_inotify, wake_by_byte},
	{"open-fifo", setup_fifo, wait_open, wake_by_open},
	{"flock", setup_flock, wait_flock, wake_flock},
	{"fcntl-setlkw", setup_record_lock, wait_record_lock, wake_by_byte},
	{"fcntl-ofd-setlkw", setup_ofd_lock, wait_ofd_lock, wake_ofd_lock},
	{"wait4", NULL, wait_wait4, .by_child = true},
	{"waitid", NULL, wait_waitid, .by_child = true},
	{"h-read-pipe", setup_pipe, wait_read, .handled = true},
	{"h-write-pipe", setup_full_pipe, wait_write, .handled = true},
	{"h-read-tty", setup_tty, wait_read, .handled = true},
	{"h-open-fifo", setup_fifo, wait_open, .handled = true},
	{"h-flock", setup_flock, wait_flock, .handled = true},
	{},
};
