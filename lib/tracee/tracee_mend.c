/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a stop leaves behind in a socket.
 *
 * A recvmmsg that has some messages and is interrupted while it waits for more returns their
 * number, and keeps the code it was interrupted with as the socket's error for the next call (Linux
 * 6.18, net/socket.c do_recvmmsg). That is one of the kernel's own codes, which would then reach
 * user space: "Unknown error 512". Reading SO_ERROR clears it.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tracee/tracee.h"

/* include/uapi/linux/pidfd.h, since 6.9: any thread, not only a leader. */
#define TRACEE_PIDFD_THREAD O_EXCL

bool tracee_mend_socket(pid_t tid, const struct arch *arch, const void *user)
{
	uint64_t flags = arch_user_word(user, arch->user_args[3]);
	_cleanup_close_ int pidfd = -1, fd = -1;
	socklen_t size = sizeof(int);
	int error;

	/* These end a wait with -EAGAIN, which is not kept. */
	if (flags & (MSG_DONTWAIT | MSG_WAITFORONE))
		return false;
	pidfd = (int)syscall(SYS_pidfd_open, tid, TRACEE_PIDFD_THREAD);
	if (pidfd < 0)
		return false;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)arch_user_word(user, arch->user_args[0]), 0);
	if (fd < 0 || fcntl(fd, F_GETFL) & O_NONBLOCK)
		return false;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0;
}
