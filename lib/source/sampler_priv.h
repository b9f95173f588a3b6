/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/vec.h"
#include "snapshot/snapshot.h"
#include "source/sampler.h"
#include "tracee/tracee.h"
#include "tracee/tracee_unwind.h"

/* One thread of the target. Times of the kernel's schedstat, in nanoseconds. */
struct sampler_thread {
	pid_t tid;
	uint32_t slot;
	char name[64];
	int sched_fd, stat_fd; /* kept open while busy; -1 */
	uint64_t run_ns;       /* CPU time at the last look */
	uint64_t slices;       /* times it was put on a CPU, at the last look */
	uint64_t charged_ns;   /* CPU time up to its last sample */
	uint64_t moved_at;     /* CLOCK_MONOTONIC when run_ns or slices last moved; 0: never */
	uint64_t arrived_at;   /* when slices last moved */
	bool present;          /* found by the directory scan under way */
};

/* Tables sorted by tid, as the kernel lists them. */
struct sampler_threads {
	VEC(struct sampler_thread) items;
	uint32_t next_slot;
	uint64_t known_ns; /* sum of run_ns over living threads, and of dead ones when last seen */
	uint64_t settled_ns; /* CPU time no living thread accounts for */
	size_t cursor;       /* where the next slice of idle threads begins */
	size_t looked;       /* idle threads looked at since a gap showed */
	nlink_t links;       /* of /proc/PID/task at the last scan: 2 + threads */
	uint64_t scanned_at;
	unsigned open_fds, max_fds;
};

/* The thread that seems to be on a CPU. */
struct sampler_lane {
	uint64_t tick; /* stats.ticks when it was filled; else it is empty */
	uint64_t arrived_at;
	size_t thread; /* index into the thread table */
	unsigned ties;
};

struct sampler {
	struct sampler_options options;
	const struct arch *arch;
	struct process *process;
	struct ring *ring;
	struct sampler_shared *shared;
	struct tracee_set *set;
	struct tracee_unwinder *unwinder; /* SAMPLER_LIBUNWIND only */
	struct trace *trace;              /* likewise */
	struct sampler_threads threads;
	struct process_maps maps; /* for the bounds of stacks */
	bool maps_stale;
	uint64_t maps_read_at, maps_cost_ns;
	int mem_fd; /* of the current image: tells an execve */
	int signal_fd, task_fd;
	uint32_t generation;
	uint64_t cpu_start_ns, cpu_ns; /* process clock: at the beginning, last */
	uint64_t random;
	uint64_t sched_tick_ns; /* 1/HZ of the kernel */
	unsigned n_cpus;
	struct sampler_lane *lanes; /* one per CPU */
	bool crowded;               /* more threads seemed to run than there are CPUs */
	struct sampler_stats stats;
};

/* --- sampler_threads.c --- */

/** Reads the thread list anew if it may have changed. first: threads found have a past before the
 * recording. Returns 0, -ESRCH, -ENOMEM. */
int sampler_threads_refresh(struct sampler *s, uint64_t now, bool first);

/** Looks at the threads that may have run, and notes who did. Returns 0 or -ESRCH. */
int sampler_threads_look(struct sampler *s, uint64_t now);

/** Looks at every thread, for the end. */
void sampler_threads_look_all(struct sampler *s, uint64_t now);

struct sampler_thread *sampler_threads_find(struct sampler *s, pid_t tid);

/** After an execve: only the leader is left, and its past is another thread's. */
void sampler_threads_exec(struct sampler *s, uint64_t now);
void sampler_threads_deinit(struct sampler_threads *threads);

/** Reads a thread's schedstat into run_ns and slices; false when it is gone. */
bool sampler_thread_look(struct sampler *s, struct sampler_thread *thread, uint64_t now);

/** State letter and last CPU of a thread, its name noted; 0 when it is gone. */
char sampler_thread_state(struct sampler *s, struct sampler_thread *thread, int *ret_cpu);

/* --- sampler_choose.c --- */

/** Finds the threads that are on a CPU and asks them to stop. True when all of them are on other
 * CPUs than ours, so that their stops come while we poll. */
bool sampler_choose_and_stop(struct sampler *s, uint64_t now);

/** Does it pay to look at the threads one scheduler tick before they are chosen? */
bool sampler_choose_prepares(const struct sampler *s);

uint64_t sampler_random(struct sampler *s);

/* --- sampler_stack.c --- */

/** Reads the target's maps if they are stale and it was not done too recently for its cost. */
void sampler_maps_refresh(struct sampler *s, uint64_t now);

/** Bounds of the stack that holds sp: to be read from sp - red zone on. False when not known. */
bool sampler_stack_bounds(const struct sampler *s, uint64_t sp, uint64_t *ret_start,
			  uint64_t *ret_end);

/* --- sampler.c --- */

/** Has the target left its memory by execve since it was looked at last? */
bool sampler_image_is_gone(const struct sampler *s);

/* --- sampler_stop.c --- */

/** Handles one event of the tracee set: takes the sample, releases the thread. */
void sampler_on_event(struct sampler *s, const struct tracee_event *event);

/** Puts a record without a stack into the ring. */
void sampler_put_pseudo(struct sampler *s, enum snapshot_kind kind,
			const struct sampler_thread *thread, uint64_t cpu_ns);
