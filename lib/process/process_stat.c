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
#include "base/text.h"

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
	text_clean(stat.name, sizeof(stat.name), open + 1, (size_t)(close - open - 1));
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
