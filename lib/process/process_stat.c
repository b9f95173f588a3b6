/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/PID/stat. */
#include "process/process_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"

/* Fields by their number in proc_pid_stat(5). */
enum {
	PPID = 4,
	FLAGS = 9,
	UTIME = 14,
	STIME,
	CUTIME,
	CSTIME,
	NUM_THREADS = 20,
	STARTTIME = 22,
	PROCESSOR = 39,
};

/* Length of the UTF-8 sequence at s (RFC 3629, section 4), 0 when there is none. */
static size_t utf8_length(const unsigned char *s, size_t left)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t code;

	if (n == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4 || left < n)
		return 0;
	code = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3fu);
	}
	/* Overlong forms, surrogates and what lies beyond Unicode. */
	if ((n == 3 && code < 0x800) || (n == 4 && code < 0x10000) || code > 0x10ffff ||
	    (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return n;
}

/* Copies whole characters; what is not printable becomes a question mark. */
static void copy_name(char *name, size_t cap, const char *from, size_t size)
{
	size_t n = 0, used;

	for (size_t i = 0; i < size; i += used) {
		const unsigned char *s = (const unsigned char *)from + i;
		size_t length = utf8_length(s, size - i);
		/* C0, DEL, and C1 as encoded in UTF-8. */
		bool printable = length > 0 && s[0] >= 0x20 && s[0] != 0x7f &&
				 !(length == 2 && s[0] == 0xc2 && s[1] < 0xa0);

		used = MAX(length, (size_t)1);
		if (n + (printable ? used : 1) >= cap)
			break;
		if (!printable) {
			name[n++] = '?';
			continue;
		}
		memcpy(name + n, s, used);
		n += used;
	}
	name[n] = '\0';
}

int process_stat_parse(const char *text, struct process_stat *ret_stat)
{
	struct process_stat stat = {};
	/* Only numbers and the state follow the name, so its end is the last parenthesis. */
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	uint64_t tid, fields[PROCESSOR + 1];

	if (!open || !close || close < open || parse_fields(text, &tid, 1) != 1 ||
	    close[1] != ' ' || !close[2] ||
	    parse_fields(close + 3, fields + PPID, ARRAY_SIZE(fields) - PPID) !=
		    ARRAY_SIZE(fields) - PPID)
		return err_trace(-EINVAL);
	stat.state = close[2];
	stat.tid = (pid_t)tid;
	stat.ppid = (pid_t)fields[PPID];
	stat.flags = fields[FLAGS];
	stat.utime = fields[UTIME];
	stat.stime = fields[STIME];
	stat.cutime = fields[CUTIME];
	stat.cstime = fields[CSTIME];
	stat.n_threads = (uint32_t)fields[NUM_THREADS];
	stat.start_time = fields[STARTTIME];
	stat.processor = (int)fields[PROCESSOR];
	copy_name(stat.name, sizeof(stat.name), open + 1, (size_t)(close - open - 1));
	*ret_stat = stat;
	return 0;
}

int process_stat_read(const struct process *process, struct process_stat *ret_stat)
{
	struct process_stat stat;
	_cleanup_free_ char *text = NULL;
	int r;

	r = process_file_read(process, "stat", &text, NULL);
	if (r < 0)
		return err_trace(r == -ENOENT ? -ESRCH : r);
	r = process_stat_parse(text, &stat);
	if (r < 0)
		return err_trace(r);
	if (process->start_time && stat.start_time != process->start_time)
		return err_trace(-ESRCH);
	*ret_stat = stat;
	return 0;
}
