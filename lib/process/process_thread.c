/* SPDX-License-Identifier: Apache-2.0 */
/* One thread, by the files in /proc/PID/task/TID. */
#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/parse.h"
#include "process/process_priv.h"

int process_thread_stat_read(const struct process *process, pid_t tid,
			     struct process_stat *ret_stat)
{
	char text[1024];

	if (process_task_file_read(process, tid, "stat", text, sizeof(text)) <= 0)
		return errno == ENOENT || errno == ESRCH ? -ESRCH : err_trace(err_errno());
	return process_stat_parse(text, ret_stat);
}

int process_turns_read(const struct process *process, pid_t tid, struct process_turns *ret_turns)
{
	/* Run time, time on the run queue, slices. */
	uint64_t fields[3];
	char text[128];

	if (process_task_file_read(process, tid, "schedstat", text, sizeof(text)) <= 0)
		return errno == ENOENT || errno == ESRCH ? -ESRCH : err_trace(err_errno());
	if (parse_fields(text, fields, ARRAY_SIZE(fields)) != ARRAY_SIZE(fields))
		return err_trace(-EINVAL);
	*ret_turns = (struct process_turns){.run_ns = fields[0], .slices = fields[2]};
	return 0;
}

pid_t process_inner_tid(const struct process *process, pid_t tid)
{
	/* One per namespace, and the kernel nests them 32 deep (MAX_PID_NS_LEVEL). */
	int64_t numbers[33];
	char text[8192];
	unsigned n;

	if (process_task_file_read(process, tid, "status", text, sizeof(text)) <= 0)
		return 0;
	n = process_status_numbers(text, "NSpid", numbers, ARRAY_SIZE(numbers));
	return n ? (pid_t)numbers[n - 1] : tid;
}
