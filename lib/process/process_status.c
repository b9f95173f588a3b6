/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/status: lines of "Key:\tvalue". A newline in Name is written as \n (fs/proc/array.c,
 * proc_task_name), so no name can forge a line. */
#include "process/process.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

#define STATUS_MAX 16384

static const char *find_value(const char *status, const char *key)
{
	const char *line = status;
	size_t length = strlen(key);

	while (line) {
		if (strncmp(line, key, length) == 0 && line[length] == ':')
			return line + length + 1;
		line = strchr(line, '\n');
		line += line != NULL;
	}
	return NULL;
}

int process_status_read(pid_t tid, char **ret_text)
{
	_cleanup_fclose_ FILE *file = NULL;
	_cleanup_free_ char *text = NULL;
	char path[64];
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : err_errno();
	text = malloc(STATUS_MAX);
	if (!text)
		return err_trace(-ENOMEM);
	n = fread(text, 1, STATUS_MAX - 1, file);
	if (n == 0)
		return -ESRCH;
	text[n] = '\0';
	*ret_text = take_ptr(text);
	return 0;
}

int64_t process_status_number(const char *status, const char *key, int base)
{
	const char *value = find_value(status, key);

	return value ? (int64_t)strtoull(value, NULL, base) : -1;
}

unsigned process_status_numbers(const char *status, const char *key, int64_t *ret_numbers,
				unsigned max)
{
	const char *value = find_value(status, key);
	unsigned n = 0;

	while (value && n < max) {
		char *end;

		value += strspn(value, " \t");
		if (*value < '0' || *value > '9')
			break;
		ret_numbers[n++] = (int64_t)strtoull(value, &end, 10);
		value = end;
	}
	return n;
}

bool process_thread_is_filtered(pid_t tid)
{
	_cleanup_free_ char *status = NULL;

	return process_status_read(tid, &status) == 0 &&
	       process_status_number(status, "Seccomp", 10) > 0;
}
