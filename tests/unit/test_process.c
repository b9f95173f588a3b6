/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/clock.h"
#include "process/process.h"

static struct process *open_self(void)
{
	struct process *process;

	assert_int_equal(process_open(getpid(), &process), 0);
	return process;
}

static pid_t fork_sleeper(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void *wait_in_thread(void *arg)
{
	int *pipe_fds = arg;
	pid_t tid = gettid();
	char byte;

	assert_int_equal(write(pipe_fds[1], &tid, sizeof(tid)), sizeof(tid));
	while (read(pipe_fds[2], &byte, 1) < 0)
		;
	return NULL;
}

static void refuses_what_is_not_a_process(void **state)
{
	struct process *process = NULL;
	struct process_tasks tasks = {};
	struct process *self = open_self();
	int fds[4];
	pthread_t thread;
	bool found = false;
	pid_t tid;

	assert_int_equal(process_open(0, &process), -ESRCH);
	assert_int_equal(process_open(-1, &process), -ESRCH);
	assert_int_equal(process_open(0x7ffffffe, &process), -ESRCH);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(fds + 2), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, fds), 0);
	assert_int_equal(read(fds[0], &tid, sizeof(tid)), sizeof(tid));
	assert_int_equal(process_open(tid, &process), -EINVAL);
	assert_null(process);

	assert_int_equal(process_tasks_read(self, &tasks), 0);
	for (size_t i = 0; i < tasks.tids.n; i++) {
		found |= tasks.tids.items[i] == tid;
		assert_true(i == 0 || tasks.tids.items[i - 1] < tasks.tids.items[i]);
	}
	assert_true(found);
	assert_true(tasks.tids.n >= 2);
	close(fds[3]);
	pthread_join(thread, NULL);
	/* Joining returns before the kernel takes the thread off the list. */
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(process_tasks_read(self, &tasks), 0);
		if (tasks.tids.n == 1)
			break;
		usleep(1000);
	}
	assert_int_equal(tasks.tids.n, 1);
	assert_int_equal(tasks.tids.items[0], getpid());
	process_tasks_deinit(&tasks);
	process_close(self);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

static void a_dead_process_is_gone(void **state)
{
	struct process *process;
	struct process_tasks tasks = {};
	struct process_maps maps;
	struct process_stat stat;
	char *text, byte;
	uint64_t ns;
	int fd;
	pid_t pid = fork_sleeper();

	assert_int_equal(process_open(pid, &process), 0);
	assert_int_equal(process_stat_read(process, &stat), 0);
	assert_int_equal(stat.tid, pid);
	assert_int_equal(stat.ppid, getpid());
	assert_int_equal(process_read(process, (uintptr_t)&pid, &byte, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){}, WEXITED | WNOWAIT), 0);

	/* A zombie: still there, without memory. */
	assert_int_equal(process_stat_read(process, &stat), 0);
	assert_int_equal(stat.state, 'Z');
	assert_int_equal(process_maps_read(process, &maps), -ESRCH);
	assert_int_equal(process_read(process, (uintptr_t)&pid, &byte, 1), -ESRCH);
	assert_int_equal(process_cpu_time(process, &ns), 0);

	waitpid(pid, NULL, 0);
	assert_int_equal(process_stat_read(process, &stat), -ESRCH);
	assert_int_equal(process_maps_read(process, &maps), -ESRCH);
	assert_int_equal(process_tasks_read(process, &tasks), -ESRCH);
	assert_int_equal(process_read(process, (uintptr_t)&pid, &byte, 1), -ESRCH);
	assert_int_equal(process_cpu_time(process, &ns), -ESRCH);
	assert_int_equal(process_file_read(process, "status", &text, NULL), -ESRCH);
	assert_int_equal(process_root_open(process, "/etc/passwd", &fd), -ESRCH);
	process_close(process);
	process_tasks_deinit(&tasks);
}

/* The number is given to another process while the handle on the first is still held. */
static void a_pid_used_again_is_another_process(void **state)
{
	struct process *process;
	struct process_stat stat;
	char wanted[16], byte;
	uint64_t ns;
	pid_t pid, again;
	int fd;

	pid = fork_sleeper();
	assert_int_equal(process_open(pid, &process), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		process_close(process);
		print_message("ns_last_pid is not there: a pid cannot be had again\n");
		skip();
	}
	again = 0;
	for (int i = 0; i < 50 && again != pid; i++) {
		int n = snprintf(wanted, sizeof(wanted), "%d", (int)pid - 1);

		if (pwrite(fd, wanted, (size_t)n, 0) != n)
			break;
		again = fork_sleeper();
		if (again != pid) {
			kill(again, SIGKILL);
			waitpid(again, NULL, 0);
		}
	}
	close(fd);
	if (again != pid) {
		process_close(process);
		print_message("the pid could not be had again\n");
		skip();
	}
	assert_int_equal(process_stat_read(process, &stat), -ESRCH);
	assert_int_equal(process_read(process, (uintptr_t)&pid, &byte, 1), -ESRCH);
	assert_int_equal(process_cpu_time(process, &ns), -ESRCH);
	process_close(process);
	assert_int_equal(process_open(pid, &process), 0);
	assert_int_equal(process_read(process, (uintptr_t)&pid, &byte, 1), 1);
	process_close(process);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void parses_hostile_names(void **state)
{
	static const char tail[] =
		" S 7 1 1 0 -1 4194560 9 8 7 6 11 22 33 44 20 0 5 0 123456 1 2 3 "
		"4 5 6 7 8 9 10 11 12 13 14 15 17 3 0 0 0 0 0\n";
	static const struct {
		const char *name, *want;
	} cases[] = {
		{"sh", "sh"},
		{"a) R 1 (b", "a) R 1 (b"},
		{"x\ny\tz\x7f", "x?y?z?"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"bad\xff\xc3", "bad??"},
		{"\xc0\xaf\xed\xa0\x80", "?????"},
		{"", ""},
	};
	struct process_stat stat;
	char text[512];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(text, sizeof(text), "42 (%s)%s", cases[i].name, tail);
		assert_int_equal(process_stat_parse(text, &stat), 0);
		assert_string_equal(stat.name, cases[i].want);
		assert_int_equal(stat.tid, 42);
		assert_int_equal(stat.state, 'S');
		assert_int_equal(stat.ppid, 7);
		assert_int_equal(stat.flags, 4194560);
		assert_int_equal(stat.utime, 11);
		assert_int_equal(stat.stime, 22);
		assert_int_equal(stat.n_threads, 5);
		assert_int_equal(stat.start_time, 123456);
		assert_int_equal(stat.processor, 3);
	}
	assert_int_equal(process_stat_parse("", &stat), -EINVAL);
	assert_int_equal(process_stat_parse("42 (sh", &stat), -EINVAL);
	assert_int_equal(process_stat_parse("42 )sh( S 1", &stat), -EINVAL);
	assert_int_equal(process_stat_parse("42 (sh) S 1 2", &stat), -EINVAL);
	/* A kernel thread's name can be longer than a comm. */
	snprintf(text, sizeof(text), "42 (%080d)%s", 0, tail);
	assert_int_equal(process_stat_parse(text, &stat), 0);
	assert_int_equal(strlen(stat.name), 63);
}

static void parses_maps(void **state)
{
	char *text = strdup(
		"1000-3000 r-xp 00002000 fe:0a 247134                     /usr/bin/a b\n"
		"2000-4000 r-xp 00003000 fe:0a 247134                     /usr/bin/a b\n"
		"5000-6000 rw-s 00000000 00:01 99                         /x\\012y (deleted)\n"
		"7000-8000 ---p 00000000 00:00 0 \n"
		"7fff00000000-7fff00001000 rw-p 00000000 00:00 0          [stack]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0  [vsyscall]");
	const struct process_mapping *m;
	struct process_maps maps;

	assert_int_equal(process_maps_parse(text, &maps), 0);
	assert_int_equal(maps.mappings.n, 6);
	m = process_maps_find(&maps, 0x1fff);
	assert_int_equal(m->start, 0x1000);
	assert_int_equal(m->end, 0x2000);
	m = process_maps_find(&maps, 0x2000);
	assert_ptr_equal(m, &maps.mappings.items[1]);
	assert_true(m->read && m->exec && !m->write && !m->shared && !m->deleted);
	assert_int_equal(m->device, makedev(0xfe, 0x0a));
	assert_int_equal(m->inode, 247134);
	assert_int_equal(m->offset, 0x3000);
	assert_string_equal(process_mapping_path(&maps, m), "/usr/bin/a b");
	m = process_maps_find(&maps, 0x5000);
	assert_string_equal(process_mapping_path(&maps, m), "/x\ny");
	assert_true(m->deleted && m->shared);
	assert_null(process_maps_find(&maps, 0x4000));
	assert_null(process_maps_find(&maps, 0));
	assert_string_equal(process_mapping_path(&maps, process_maps_find(&maps, 0x7000)), "");
	assert_string_equal(process_mapping_path(&maps, process_maps_find(&maps, 0x7fff00000fff)),
			    "[stack]");
	assert_int_equal(process_maps_find(&maps, 0xffffffffff600000)->end, 0xffffffffff601000);
	process_maps_deinit(&maps);
	assert_int_equal(process_maps_parse(strdup("1000-2000 r-xp\n"), &maps), -EINVAL);
	assert_int_equal(process_maps_parse(strdup("2000-1000 r-xp 0 0:0 0 \n"), &maps), -EINVAL);
}

static const struct process_mapping *map_file(struct process *self, const char *path, bool unlinked,
					      struct process_maps *ret_maps, void **ret_addr)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	*ret_addr = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(*ret_addr, MAP_FAILED);
	close(fd);
	if (unlinked)
		unlink(path);
	assert_int_equal(process_maps_read(self, ret_maps), 0);
	return process_maps_find(ret_maps, (uintptr_t)*ret_addr);
}

static void tells_deleted_from_a_name_like_it(void **state)
{
	char dir[] = "/tmp/cprof-test-XXXXXX", path[256];
	struct process *self = open_self();
	static const char *const names[] = {"plain", "sp ace\nline", "named (deleted)"};
	const struct process_mapping *m;
	struct process_maps maps;
	struct stat st;
	void *addr;

	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 3; i++) {
		for (int unlinked = 0; unlinked < 2; unlinked++) {
			snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
			m = map_file(self, path, unlinked, &maps, &addr);
			assert_string_equal(process_mapping_path(&maps, m), path);
			assert_int_equal(m->deleted, unlinked);
			if (!unlinked) {
				assert_int_equal(stat(path, &st), 0);
				assert_int_equal(m->inode, st.st_ino);
				unlink(path);
			}
			process_maps_deinit(&maps);
			munmap(addr, 4096);
		}
	}
	rmdir(dir);
	process_close(self);
}

static void reads_memory_up_to_the_hole(void **state)
{
	struct process *self = open_self();
	char *pages =
		mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char bytes[3 * 4096];

	memset(pages, 'x', 3 * 4096);
	munmap(pages + 8192, 4096);
	assert_int_equal(process_read(self, (uintptr_t)pages + 100, bytes, sizeof(bytes)), 8092);
	assert_int_equal(bytes[0], 'x');
	assert_int_equal(bytes[8091], 'x');
	assert_int_equal(process_read(self, (uintptr_t)pages + 8192, bytes, 8), 0);
	assert_int_equal(process_read(self, 0, bytes, 8), 0);
	assert_int_equal(process_read(self, UINT64_MAX - 3, bytes, 8), 0);
	assert_int_equal(process_read(self, (uintptr_t)pages, bytes, 0), 0);
	munmap(pages, 8192);
	process_close(self);
}

static void the_mark_tells_the_image(void **state)
{
	struct process *self = open_self();
	char text[] = "memory", bytes[sizeof(text)] = "";
	struct process_mark mark;
	bool same;

	process_mark_read(self, &mark);
	assert_int_equal(mark.addr, getauxval(AT_RANDOM));
	assert_memory_equal(mark.bytes, (const void *)getauxval(AT_RANDOM), sizeof(mark.bytes));
	assert_int_equal(
		process_read_stopped(getpid(), &mark, (uintptr_t)text, bytes, sizeof(bytes), &same),
		sizeof(bytes));
	assert_true(same);
	assert_string_equal(bytes, text);
	/* Another image: other bytes there, or nothing at all. What was asked for is read. */
	mark.bytes[15] ^= 1;
	for (int i = 0; i < 3; i++) {
		memset(bytes, 0, sizeof(bytes));
		assert_int_equal(process_read_stopped(getpid(), &mark, (uintptr_t)text, bytes,
						      sizeof(bytes), &same),
				 sizeof(bytes));
		assert_false(same);
		assert_string_equal(bytes, text);
		mark.addr = i == 0 ? 4096 : 0;
	}
	mark.addr = getauxval(AT_RANDOM);
	assert_int_equal(process_read_stopped(getpid(), &mark, 4096, bytes, 8, &same), 0);
	assert_int_equal(process_auxv(self, AT_SYSINFO_EHDR), getauxval(AT_SYSINFO_EHDR));
	process_close(self);
}

static void parses_what_a_thread_waits_in(void **state)
{
	struct process_syscall call = {.nr = 99};

	assert_int_equal(process_syscall_parse(
				 "7 0x7ffd 0x1 0xffffffff 0x4 0x5 0x6 0x7ffc00 0x401234\n", &call),
			 0);
	assert_int_equal(call.nr, 7);
	assert_int_equal(call.args[0], 0x7ffd);
	assert_int_equal(call.args[5], 6);
	assert_int_equal(call.sp, 0x7ffc00);
	assert_int_equal(call.pc, 0x401234);
	/* Blocked in a page fault. */
	assert_int_equal(process_syscall_parse("-1 0x10 0x20\n", &call), 0);
	assert_int_equal(call.nr, -1);
	assert_int_equal(call.sp, 0x10);
	assert_int_equal(call.pc, 0x20);
	assert_int_equal(process_syscall_parse("running\n", &call), PROCESS_SYSCALL_RUNNING);
	assert_int_equal(process_syscall_parse("", &call), -EINVAL);
	assert_int_equal(process_syscall_parse("7 0x1 0x2\n", &call), -EINVAL);
	assert_int_equal(call.pc, 0x20);
}

static void tells_what_a_thread_waits_in(void **state)
{
	struct process *process;
	struct process_syscall call;
	pid_t pid = fork_sleeper();
	int r;

	assert_int_equal(process_open(pid, &process), 0);
	/* It may still be on its way into the call. */
	do
		r = process_syscall_read(process, pid, &call);
	while (r == PROCESS_SYSCALL_RUNNING);
	assert_int_equal(r, 0);
	assert_int_equal(call.nr, SYS_pause);
	assert_int_equal(process_syscall_read(process, 1 << 22, &call), PROCESS_SYSCALL_GONE);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(process_syscall_read(process, pid, &call), PROCESS_SYSCALL_GONE);
	process_close(process);
}

static uint64_t thread_cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return timespec_ns(ts);
}

static void cpu_time_moves(void **state)
{
	struct process *self = open_self();
	uint64_t before, after, own, own_before = thread_cpu();

	assert_int_equal(process_cpu_time(self, &before), 0);
	do
		own = thread_cpu() - own_before;
	while (own < 50 * NSEC_PER_MSEC);
	assert_int_equal(process_cpu_time(self, &after), 0);
	/* This thread's own clock judges: others may have the CPU in between. */
	assert_in_range(after - before, 49 * NSEC_PER_MSEC, own + 20 * NSEC_PER_MSEC);
	process_close(self);
}

static void opens_regular_files_of_the_root_only(void **state)
{
	char dir[] = "/tmp/cprof-test-XXXXXX", path[256], bytes[8];
	struct process *process;
	struct process_stat stat;
	int fd, ready[2];
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	if (geteuid() != 0) {
		print_message("needs chroot(2)\n");
		rmdir(dir);
		skip();
	}
	snprintf(path, sizeof(path), "%s/fifo", dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/absolute", dir);
	assert_int_equal(symlink("/file", path), 0);
	snprintf(path, sizeof(path), "%s/escape", dir);
	assert_int_equal(symlink("../../../../etc/passwd", path), 0);
	snprintf(path, sizeof(path), "%s/loop", dir);
	assert_int_equal(symlink("loop", path), 0);
	snprintf(path, sizeof(path), "%s/file", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "inside", 6), 6);
	close(fd);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (chroot(dir) < 0)
			_exit(1);
		close(ready[1]);
		close(ready[0]);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], bytes, 1), 0);
	close(ready[0]);
	assert_int_equal(process_open(pid, &process), 0);
	assert_int_equal(process_root_open(process, "/absolute", &fd), 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), 6);
	assert_memory_equal(bytes, "inside", 6);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	close(fd);
	assert_int_equal(process_root_open(process, "/escape", &fd), -ENOENT);
	assert_int_equal(process_root_open(process, "/etc/passwd", &fd), -ENOENT);
	assert_int_equal(process_root_open(process, "/loop", &fd), -ELOOP);
	assert_int_equal(process_root_open(process, "/fifo", &fd), -EINVAL);
	assert_int_equal(process_root_open(process, "/", &fd), -EINVAL);
	assert_int_equal(process_own_open("/etc/passwd", &fd), 0);
	close(fd);
	assert_int_equal(process_link_open(process, "exe", &fd), 0);
	close(fd);
	assert_int_equal(process_link_open(process, "map_files/1000-2000", &fd), -ENOENT);
	assert_int_equal(process_link_open(process, "cwd", &fd), -EINVAL);
	assert_false(process_shares_root(process));
	assert_int_equal(process_stat_read(process, &stat), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	process_close(process);
	snprintf(path, sizeof(path), "rm -r '%s'", dir);
	assert_int_equal(system(path), 0);
}

static void reads_files_whole(void **state)
{
	struct process *self = open_self();
	char *text;
	size_t size;

	assert_int_equal(prctl(PR_SET_NAME, "a) \n(b"), 0);
	assert_int_equal(process_file_read(self, "comm", &text, &size), 0);
	assert_string_equal(text, "a) \n(b\n");
	assert_int_equal(size, 7);
	free(text);
	assert_int_equal(process_file_read(self, "no such file", &text, NULL), -ENOENT);
	assert_int_equal(process_file_read(self, "smaps", &text, &size), 0);
	assert_true(size > 4096);
	assert_int_equal(strlen(text), size);
	free(text);
	process_close(self);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_what_is_not_a_process),
		cmocka_unit_test(a_dead_process_is_gone),
		cmocka_unit_test(a_pid_used_again_is_another_process),
		cmocka_unit_test(parses_hostile_names),
		cmocka_unit_test(parses_maps),
		cmocka_unit_test(tells_deleted_from_a_name_like_it),
		cmocka_unit_test(reads_memory_up_to_the_hole),
		cmocka_unit_test(the_mark_tells_the_image),
		cmocka_unit_test(parses_what_a_thread_waits_in),
		cmocka_unit_test(tells_what_a_thread_waits_in),
		cmocka_unit_test(cpu_time_moves),
		cmocka_unit_test(opens_regular_files_of_the_root_only),
		cmocka_unit_test(reads_files_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
