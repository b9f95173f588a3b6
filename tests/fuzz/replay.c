/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Feeds every file of the folders named as arguments to LLVMFuzzerTestOneInput(), so that what a
 * fuzzer found once is tried in each run of the tests. Fails when there is no file.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Returns whether the entry is a file that was fed. The copy has its exact size, so that a
 * sanitizer sees a read behind it. */
static bool replay_file(int folder, const char *name)
{
	_cleanup_free_ uint8_t *bytes = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	fd = openat(folder, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		perror(name);
		exit(1);
	}
	if (!S_ISREG(st.st_mode))
		return false;
	bytes = malloc((size_t)st.st_size);
	if ((!bytes && st.st_size) || read(fd, bytes, (size_t)st.st_size) != st.st_size) {
		perror(name);
		exit(1);
	}
	printf("%s\n", name);
	fflush(stdout);
	LLVMFuzzerTestOneInput(bytes, (size_t)st.st_size);
	return true;
}

int main(int argc, char **argv)
{
	unsigned int n = 0;

	for (int i = 1; i < argc; i++) {
		_cleanup_closedir_ DIR *folder = opendir(argv[i]);
		struct dirent *entry;

		if (!folder) {
			perror(argv[i]);
			return 1;
		}
		while ((entry = readdir(folder)))
			n += replay_file(dirfd(folder), entry->d_name);
	}
	printf("%u files\n", n);
	if (n == 0) {
		fprintf(stderr, "there was no file to feed\n");
		return 1;
	}
	return 0;
}
