/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Read-only view of a process through /proc: who it is, what is mapped, which threads it has and
 * what they used. Nothing here stops, signals or changes it.
 *
 * A process is identified by pid and start time; its /proc directory is held open, so that a pid
 * used again is an error (ESRCH) and never another process. A handle belongs to one thread at a
 * time, except that process_read() may be called from any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vec.h"

struct process;

/**
 * Opens /proc/PID of a thread group leader.
 *
 * @param pid		in our pid namespace
 * @return 0; -ESRCH no such process; -EINVAL when pid is a thread but not a process; -ENOMEM,
 *	   -EMFILE
 */
int process_open(pid_t pid, struct process **ret_process);
struct process *process_close(struct process *process);

/** A second handle on the very same process, for another thread. It is left, as after
 * process_leave(), where the first one is or no descriptor is to be had. Returns 0 or -ENOMEM. */
int process_clone(const struct process *process, struct process **ret_process);

/** Closes its descriptors: from here on all that is asked fails with an error. */
void process_leave(struct process *process);

/** Has it ended? Whether its parent has waited for it does not matter. */
bool process_has_ended(const struct process *process);

pid_t process_pid(const struct process *process);

/** A descriptor that polls readable when the process has ended (pidfd_open(2)); borrowed. */
int process_pidfd(const struct process *process);

/** The /proc/PID directory; borrowed, for openat() of what this module does not know. */
int process_dirfd(const struct process *process);

/** What /proc/PID[/task/TID]/stat tells; man proc(5), fields by number. */
struct process_stat {
	pid_t tid;               /* 1 */
	char name[64];           /* 2, the kernel's 15 bytes, made valid UTF-8 and printable */
	char state;              /* 3: R S D T t Z X I */
	pid_t ppid;              /* 4 */
	uint64_t flags;          /* 9: PF_* of the kernel, PF_KTHREAD = 0x00200000 */
	uint64_t utime, stime;   /* 14, 15: clock ticks */
	uint64_t cutime, cstime; /* 16, 17: of children that were waited for */
	uint32_t n_threads;      /* 20 */
	uint64_t start_time;     /* 22: clock ticks since boot */
	int processor;           /* 39: CPU last run on */
};

/**
 * Parses the text of a stat file. The name may hold any byte, parentheses and newlines included.
 *
 * @param text	NUL-terminated
 * @return 0, or -EINVAL when the text is not of that form
 */
int process_stat_parse(const char *text, struct process_stat *ret_stat);

/** Reads /proc/PID/stat. Returns 0, -ESRCH when it is gone, or a negative errno. */
int process_stat_read(const struct process *process, struct process_stat *ret_stat);

/** Reads /proc/PID/task/TID/stat. Returns 0, -ESRCH when it is gone, or a negative errno. */
int process_thread_stat_read(const struct process *process, pid_t tid,
			     struct process_stat *ret_stat);

/** What /proc/PID/task/TID/schedstat tells (fs/proc/base.c proc_pid_schedstat): while neither
 * number moves, the thread is not put on a CPU, and is in one and the same wait. */
struct process_turns {
	uint64_t run_ns; /* CPU time, up to the last scheduler tick while it runs */
	uint64_t slices; /* times it was put on a CPU */
};

/** Returns 0, -ESRCH when it is gone, -EINVAL without CONFIG_SCHED_INFO, or a negative errno. */
int process_turns_read(const struct process *process, pid_t tid, struct process_turns *ret_turns);

/** The thread's id in the innermost pid namespace that it is in (NSpid of its status file); 0 when
 * it is gone. */
pid_t process_inner_tid(const struct process *process, pid_t tid);

/** What /proc/PID/task/TID/syscall tells of a thread that is not running; man proc(5). */
struct process_syscall {
	int64_t nr;       /* -1: blocked, but not in a system call */
	uint64_t args[6]; /* of the call */
	uint64_t sp, pc;  /* of user mode */
};

enum process_syscall_result {
	PROCESS_SYSCALL_RUNNING = 1, /* runnable: nothing is told */
	PROCESS_SYSCALL_GONE,        /* no such thread, or a kernel without this file */
};

/** Parses such a file. Returns 0, PROCESS_SYSCALL_RUNNING, or -EINVAL. */
int process_syscall_parse(const char *text, struct process_syscall *ret_call);

/**
 * Looks at a thread without stopping it. The kernel asks for the right to trace it
 * (PTRACE_MODE_ATTACH, fs/proc/base.c proc_pid_syscall).
 *
 * @return 0, an enum process_syscall_result, or a negative errno
 */
int process_syscall_read(const struct process *process, pid_t tid,
			 struct process_syscall *ret_call);

/** Is a thread under seccomp(2), so that not every system call is allowed to it? */
bool process_thread_is_filtered(pid_t tid);

/**
 * Reads /proc/TID/status of any process or thread, by number alone; caller frees.
 *
 * @return 0, -ESRCH, -ENOMEM, or another negative errno
 */
int process_status_read(pid_t tid, char **ret_text);

/**
 * The (first) number behind `key:` in the text of a status file, proc(5).
 *
 * @param base	of the number: 10, or 16 for the capability sets
 * @return -1 when there is no such key
 */
int64_t process_status_number(const char *status, const char *key, int base);

/** All decimal numbers behind `key:`, at most max: Uid has four, NSpid one per pid namespace from
 * ours to the innermost. Returns how many, 0 when there is no such key. */
unsigned process_status_numbers(const char *status, const char *key, int64_t *ret_numbers,
				unsigned max);

/** CPU time of all threads, dead ones included, in nanoseconds: the process CPU clock, which
 * clock_getcpuclockid(3) allows across processes. Running threads may be behind by one scheduler
 * tick. Returns 0 or -ESRCH. */
int process_cpu_time(const struct process *process, uint64_t *ret_ns);

/** One line of /proc/PID/maps. */
struct process_mapping {
	uint64_t start, end; /* target addresses, end exclusive */
	uint64_t offset;     /* in the file, bytes */
	uint64_t device;     /* makedev() form; 0 with inode 0 for anonymous memory */
	uint64_t inode;
	bool read, write, exec, shared;
	bool deleted;     /* the inode is unlinked; " (deleted)" was cut from the path */
	uint32_t path_at; /* into process_maps.text; "" for anonymous, else path, [stack], [vdso] …
			   */
};

struct process_maps {
	VEC(struct process_mapping) mappings; /* ascending */
	char *text;                           /* owned; paths are NUL-terminated pieces of it */
};

/** The path of a mapping as the target sees it; borrowed from maps. */
const char *process_mapping_path(const struct process_maps *maps, const struct process_mapping *m);

/** Reads and parses /proc/PID/maps. Returns 0, -ESRCH when the process is gone (a zombie has no
 * maps either), -EACCES, -ENOMEM. */
int process_maps_read(struct process *process, struct process_maps *ret_maps);

/**
 * Parses text of that form; takes the text (free()d with the maps, also on error). A path that ends
 * in " (deleted)" counts as unlinked; only process_maps_read() can look whether that is its name.
 *
 * @return 0, -EINVAL when the text is not of that form, -ENOMEM
 */
int process_maps_parse(char *take_text, struct process_maps *ret_maps);
void process_maps_deinit(struct process_maps *maps);

/** The mapping that holds addr, or NULL. */
const struct process_mapping *process_maps_find(const struct process_maps *maps, uint64_t addr);

struct process_tasks {
	VEC(pid_t) tids;
};

/** Lists thread ids from /proc/PID/task, ascending, in the place of what tasks held (all zeroes at
 * first; the memory is used again). Returns 0, -ESRCH, -ENOMEM. */
int process_tasks_read(const struct process *process, struct process_tasks *tasks);
void process_tasks_deinit(struct process_tasks *tasks);

/**
 * Reads target memory without stopping anything (process_vm_readv(2)).
 *
 * @param addr	target address
 * @return bytes read, fewer than size where the mapping ends; 0 when addr is not mapped;
 *	   -ESRCH, -EPERM
 */
ssize_t process_read(struct process *process, uint64_t addr, void *bytes, size_t size);

/** What tells one image from the next: 16 random bytes that execve(2) writes into each (AT_RANDOM
 * of getauxval(3)). */
struct process_mark {
	uint64_t addr; /* 0: not known */
	uint8_t bytes[16];
};

/** Reads the mark of the image that the process has now; its address is 0 when it has none. */
void process_mark_read(struct process *process, struct process_mark *ret_mark);

/**
 * Reads memory of a thread that is stopped as our tracee: its number cannot be anybody else's.
 *
 * @param mark	of the image that the memory should be of
 * @param ret_same	whether it is; false also where the program has written over the mark
 * @return bytes read; 0 when addr is not mapped or the thread has been killed
 */
size_t process_read_stopped(pid_t tid, const struct process_mark *mark, uint64_t addr, void *bytes,
			    size_t size, bool *ret_same);

/** A value of the auxiliary vector, by its type as of getauxval(3); 0 when it is not there. */
uint64_t process_auxv(struct process *process, uint64_t type);

/** Does it use the memory of another process, as a child of vfork(2) does until it calls execve(2)?
 * kcmp(2); false also where the kernel has no such call. */
bool process_shares_memory(const struct process *process, pid_t other);

/** Opens /proc/PID/mem for reading; the descriptor, owned by the caller, belongs to the memory of
 * now: once the last thread has left it by execve(2), reads give 0. Returns it or a negative errno.
 */
int process_memory_open(struct process *process);

/** Reads a small file of /proc/PID whole, NUL-terminated; caller frees. ret_size may be NULL.
 * Returns 0 or a negative errno; -EFBIG above 64 MiB. */
int process_file_read(const struct process *process, const char *name, char **ret_text,
		      size_t *ret_size);

/**
 * Opens a file by the path that the target sees, for reading: inside /proc/PID/root, absolute
 * symlinks resolved there (openat2(2) RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS), O_NONBLOCK, so
 * that neither a FIFO nor a link out of a container is followed.
 *
 * @param ret_fd	owned by the caller
 * @return 0; -EINVAL when it is not a regular file; -ENOENT and others of openat2(2)
 */
int process_root_open(struct process *process, const char *path, int *ret_fd);

/** The same for a path in our own root: debug files that only this machine has. */
int process_own_open(const char *path, int *ret_fd);

/**
 * Opens the regular file that a link of /proc/PID stands for, whatever its path says now: "exe", or
 * "map_files/START-END" (which takes CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE).
 *
 * @param ret_fd	owned by the caller
 * @return 0; -EINVAL when it is not a regular file; a negative errno
 */
int process_link_open(struct process *process, const char *name, int *ret_fd);

/** Do paths mean the same to the target as to us: same mount namespace, same root? */
bool process_shares_root(struct process *process);
