/* SPDX-License-Identifier: Apache-2.0 */
/* What the sampler knows of processes and threads. */
#pragma once

#include "base/map64.h"
#include "base/vec.h"
#include "snapshot/snapshot.h"
#include "source/sampler.h"
#include "tracee/tracee_wake.h"
#include "tracee/tracee.h"
#include "tracee/tracee_unwind.h"

/* Elapsed time of a thread in one state, with the ticks at which it was seen so. */
struct sampler_owed {
	uint32_t ticks;
	uint64_t ns;
};

/* See sampler_block.c. */
struct sampler_block {
	bool known;        /* `switches` is */
	int64_t switches;  /* voluntary ones, but for those of our stops, when read last */
	uint32_t waits;    /* not charged yet … */
	uint64_t delay_ns; /* … and the time blocked so far */
};

/* See sampler_lock.c. */
struct sampler_lock {
	uint64_t futex;    /* that it waits for; 0: none, or known to be no lock */
	uint64_t split_at; /* the wait is charged up to here … */
	uint64_t delay_ns; /* … but for this … */
	uint32_t waits;    /* … and these */
	bool may_hold;     /* its stack is wanted, for what others wait */
};

/* See sampler_wall.c. */
struct sampler_wait {
	bool known;  /* it is blocked, and its stack was read */
	bool partly; /* its stack is larger than what was copied */
	uint32_t state;
	uint64_t tick;           /* stats.ticks when the stack was read, or charged last */
	uint64_t run_ns, slices; /* when it was read */
	/* Elapsed time up to there is charged or owed; schedstat then: */
	uint64_t split_at, split_run_ns, split_delay_ns, split_slices;
	struct sampler_owed owed[SNAPSHOT_SLEEPING + 1]; /* sleeping: blocked in any way */
	bool owed_last;       /* the last tick is among those of owed[SNAPSHOT_RUNNABLE] */
	uint64_t unplaced_ns; /* of records that found no room in the queue */
	struct sampler_block block;
	uint32_t round; /* of its last read */
	struct sampler_lock lock;
};

/* See sampler_each.c. */
enum sampler_seen {
	SAMPLER_UNSEEN,
	SAMPLER_SEEN,
	SAMPLER_REFUSED,
};

/* One thread. Times of the kernel's schedstat, in nanoseconds. */
struct sampler_thread {
	pid_t tid;
	pid_t inner_tid; /* in the target's pid namespace; 0: not asked for yet */
	uint32_t slot;
	char name[64];
	int sched_fd, stat_fd, syscall_fd; /* kept open while busy; -1 */
	int cpu;                           /* it was on … */
	uint64_t stat_at;                  /* … when its state was read; 0: never */
	uint64_t run_ns;                   /* CPU time at the last look */
	uint64_t delay_ns;                 /* time it has waited for a CPU, at the last look */
	uint64_t slices;                   /* times it was put on a CPU, at the last look */
	uint64_t charged_ns;               /* CPU time up to its last sample */
	uint64_t moved_at;      /* CLOCK_MONOTONIC when run_ns or slices last moved; 0: never */
	uint64_t arrived_at;    /* when slices last moved */
	uint64_t user_sp;       /* at its last stop, if that was in user code; else 0 */
	uint64_t stops;         /* times it was stopped */
	enum sampler_seen seen; /* SAMPLER_THREADS only */
	uint64_t own_switches;  /* voluntary ones that our stops made */
	uint64_t rest_until, rest_ns; /* left alone after a stop that cut a transfer short */
	bool is_busy, is_unsettled, is_locker; /* on the lists of struct sampler_threads */
	bool present;                          /* found by the directory scan under way */
	bool forked;              /* no execve since its fork, at the last look at its state */
	struct sampler_wait wait; /* SAMPLER_WAITS only */
};

/* Tables sorted by tid, as the kernel lists them. */
struct sampler_threads {
	VEC(struct sampler_thread) items;
	VEC(uint32_t) busy;      /* their places: who has run lately … */
	VEC(uint32_t) unsettled; /* … and whose stack is not known to be the same as before … */
	VEC(uint32_t) lockers;   /* … and who may wait for a lock */
	uint64_t known_ns; /* sum of run_ns over living threads, and of dead ones when last seen */
	uint64_t settled_ns; /* CPU time no living thread accounts for */
	size_t cursor;       /* where the next slice of idle threads begins */
	size_t looked;       /* idle threads looked at since a gap showed */
	nlink_t links;       /* of /proc/PID/task at the last scan: 2 + threads … */
	uint64_t links_at;   /* … and when it was read last */
	uint64_t scanned_at, scan_cost_ns;
	uint64_t changed_at;                   /* when a thread was found to have come or gone */
	uint64_t clock_read_at, clock_cost_ns; /* of the process clock */
};

/* A futex at one tick, and those that wait for it. */
struct sampler_held {
	uint64_t futex, delay_ns;
	uint32_t waiters, waits;
	uint32_t waiter; /* place of one of them */
};

/* A thread to be stopped for its stack, because others wait for it. */
struct sampler_suspect {
	pid_t pid, tid;
};

/* One process. The first is the one that was asked for. */
struct sampler_target {
	pid_t pid;
	struct process *process;
	struct sampler_threads threads;
	struct process_maps maps; /* for the bounds of stacks */
	bool maps_stale, announced, ended;
	bool renamed; /* its thread ids are others in its pid namespace */
	bool left;    /* the image that was known, by execve, and the next one cannot be read yet */
	bool borrows; /* its memory is that of `lender`: it came from vfork(2) */
	pid_t lender;
	uint64_t opened_at, maps_spent_ns; /* of reading maps, in all */
	int mem_fd;                        /* of the current image: tells an execve, when … */
	uint64_t mem_addr;                 /* … this address of it is read */
	struct process_mark mark;          /* of the current image */
	uint64_t probed_at;                /* when an execve was looked for last */
	int task_fd;
	struct tracee_unwinder *unwinder; /* SAMPLER_LIBUNWIND only; its caches are of this image */
	uint32_t generation;
	uint64_t cpu_start_ns, cpu_ns;               /* process clock: at the beginning, last */
	uint64_t sampled_ns, not_seen_ns, exited_ns; /* of it charged */
	uint64_t children_ns; /* CPU time of its reaped children, at the last look */
};

/* The thread that seems to be on a CPU. */
struct sampler_lane {
	uint64_t arrived_at;
	struct sampler_target *target; /* NULL: nobody does */
	size_t thread;                 /* index into the target's thread table */
	unsigned ties;
};

/* See sampler_budget.c. */
struct sampler_budget {
	uint64_t period_ns;    /* of now; at least that of the options */
	uint64_t checked_at;   /* when the window began … */
	uint64_t held_ns;      /* … stops since … */
	uint64_t cpu_ns;       /* … and the target's CPU time then */
	uint64_t long_pauses;  /* in the window */
	uint64_t clear_at;     /* what stopped before was noticed before */
	uint64_t own_delay_ns; /* time this thread waited for a CPU so far */
};

struct sampler {
	struct sampler_options options;
	unsigned types; /* sampled now */
	const struct arch *arch;
	struct queue *queue;
	struct sampler_shared *shared;
	struct tracee_set *set;
	struct trace *trace; /* SAMPLER_LIBUNWIND only */
	VEC(struct sampler_target *) targets;
	struct tracee_wake wake;            /* by stops */
	int events_fd;                      /* epoll on all else that ends a sleep */
	int newest_fd, spare_fd;            /* /proc/loadavg; see sampler_children.c */
	uint64_t newest_pid, newest_before; /* at the last two ticks */
	uint64_t children_at;               /* when children were looked for last */
	uint64_t reaped_start_ns;           /* children_ns of the first process, at the beginning */
	uint64_t children_settled_ns;       /* CPU time of children that have ended, as known */
	uint32_t next_generation, next_slot;
	VEC(uint32_t) free_slots;   /* of threads that are gone */
	uint64_t settling_since;    /* 0: the recording goes on */
	unsigned open_fds, max_fds; /* of threads */
	unsigned max_targets;
	uint64_t random;
	uint64_t sched_tick_ns; /* 1/HZ of the kernel */
	uint64_t last_tick_at;
	size_t unseen_bytes; /* put into the queue since the consumer was woken */
	unsigned n_cpus;
	bool privileged;            /* CAP_SYS_PTRACE */
	struct sampler_lane *lanes; /* one per CPU */
	uint64_t aside_at;          /* when another CPU was looked for last */
	bool follow_again;          /* a thread is not followed yet, see sampler_create.c */
	bool crowded;               /* more threads seemed to run than there are CPUs */
	int own_sched_fd;           /* schedstat of this thread */
	struct map64 futexes;       /* of one tick: place in held + 1 */
	VEC(struct sampler_held) held;
	VEC(struct sampler_suspect) suspects;
	uint32_t round;
	struct sampler_budget budget;
	struct sampler_stats stats;
};

/* Types for which blocked threads are read, and those that sample the running ones. */
#define SAMPLER_WAITS (SAMPLER_WALL | SAMPLER_BLOCK | SAMPLER_MUTEX)
#define SAMPLER_RUNS (SAMPLER_CPU | SAMPLER_WALL)
/* Types for which it is counted how often threads wait. */
#define SAMPLER_COUNTS (SAMPLER_BLOCK | SAMPLER_MUTEX)

/** Is any of these types wanted? */
static inline bool sampler_wants(const struct sampler *s, unsigned types)
{
	return s->types & types;
}
