/* SPDX-License-Identifier: Apache-2.0 */
#include "secret_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

bool secret_file_read(const char *path, const char *what, char *secret, size_t cap)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat file;
	ssize_t n = fd < 0 ? -1 : read(fd, secret, cap - 1);

	if (n < 0) {
		fprintf(stderr, "cprof: cannot read the %s in %s: %s\n", what, path,
			strerror(errno));
		return false;
	}
	secret[n] = '\0';
	secret[strcspn(secret, "\r\n")] = '\0';
	if (!secret[0] || strlen(secret) == cap - 1) {
		fprintf(stderr, "cprof: %s wants a %s of 1 to %zu characters in its first line.\n",
			path, what, cap - 2);
		return false;
	}
	if (fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_mode & (S_IROTH | S_IRGRP))
		fprintf(stderr, "cprof: others can read %s; 'chmod 600 %s' mends that.\n", path,
			path);
	return true;
}
