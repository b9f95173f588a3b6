/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/map64.h"
#include "base/vec.h"
#include "snapshot/snapshot.h"
#include "source/sampler.h"
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
	uint64_t cpu_start_ns, cpu_ns;    /* process clock: at the beginning, last */
	uint64_t sampled_ns, not_seen_ns; /* of it charged */
	uint64_t children_ns;             /* CPU time of its reaped children, at the last look */
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
	int signal_fd, events_fd;           /* events_fd: epoll on all that ends a sleep */
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

/* --- sampler_target.c --- */

/** Adds a process to those sampled. first: it has a past before the recording. Returns 0, -ESRCH,
 * -EINVAL when it is no process but a thread, -ENOMEM. */
int sampler_target_add(struct sampler *s, pid_t pid, bool first);

/** The process of this id, or NULL. */
struct sampler_target *sampler_target_find(struct sampler *s, pid_t pid);

/** Once per tick: notices execve and reads clocks and threads. Returns 0, or -ESRCH when the
 * process has ended, -ENOMEM. */
int sampler_target_look(struct sampler *s, struct sampler_target *target, uint64_t now);

/** Has the target left its memory by execve since it was looked at last? */
bool sampler_image_is_gone(const struct sampler_target *target);

/** The mark was not found in memory of the target: the same question. */
bool sampler_image_is_other(struct sampler_target *target);

/** Reads what its reaped children used so far, if that can still be told. */
void sampler_target_reaped(struct sampler_target *target);

/** Accounts for what was not sampled, once the process has ended or the recording ends. */
void sampler_target_settle(struct sampler *s, struct sampler_target *target);

struct sampler_target *sampler_target_free(struct sampler *s, struct sampler_target *target);

/** The process of that index has ended: takes it out, unless it is the first. While nobody has
 * reaped it, its clock still counts. */
void sampler_target_ended(struct sampler *s, size_t index);

/** Charges what is owed, and what the process used without being sampled, up to now; it then counts
 * from here on. */
void sampler_target_charge(struct sampler *s, struct sampler_target *target, uint64_t now);

/* --- sampler_types.c --- */

/** Once per tick: turns to the types that are wanted now. Returns 0, -ESRCH when the first process
 * has ended, -ENOMEM. */
int sampler_types_follow(struct sampler *s);

/* --- sampler_wait.c --- */

/** Opens the descriptors that end a sleep. Returns 0 or a negative errno. */
int sampler_wait_init(struct sampler *s);
void sampler_wait_deinit(struct sampler *s);

/** Sleeps until the next tick or an event, whichever is first. True when it is time to end. */
bool sampler_wait_until(struct sampler *s, uint64_t when);

/** Handles the stops under way, for a while. */
void sampler_await_stops(struct sampler *s);

/** All that SIGCHLD could tell has been seen. */
void sampler_forget_signal(struct sampler *s);

/* --- sampler_children.c --- */

/** Finds processes started by those that are sampled. first: they have a past before the recording.
 */
void sampler_children_find(struct sampler *s, uint64_t now, bool first);

/* --- sampler_scan.c --- */

/** The thread of this id, which has shown itself; met now if it was not known. NULL without memory.
 */
struct sampler_thread *sampler_threads_meet(struct sampler *s, struct sampler_target *target,
					    pid_t tid, uint64_t now);

/** Reads the thread list anew if it may have changed. first: threads found have a past before the
 * recording. Returns 0, -ESRCH, -ENOMEM. */
int sampler_threads_refresh(struct sampler *s, struct sampler_target *target, uint64_t now,
			    bool first);

/* --- sampler_threads.c --- */

/** Looks at the threads that may have run, and notes who did. Returns 0 or -ESRCH. */
int sampler_threads_look(struct sampler *s, struct sampler_target *target, uint64_t now);

/** True when nothing was born, has ended or has called execve for a while: then looking for it at
 * every tick is not worth its cost. */
bool sampler_threads_are_calm(const struct sampler_target *target, uint64_t now);

/** Has it used CPU time that no thread known accounts for? */
bool sampler_threads_have_gap(const struct sampler *s, const struct sampler_target *target);

/** Makes the lists of busy and unsettled threads anew, when their places have changed, with room
 * for all. Returns 0 or -ENOMEM. */
int sampler_threads_list(struct sampler_threads *threads);

/** A thread has run: puts it on both lists. */
void sampler_threads_note_moved(struct sampler_threads *threads, struct sampler_thread *thread);

/** All threads as if they were met for the first time, with a past that is not of interest. Returns
 * as sampler_threads_refresh(). */
int sampler_threads_begin(struct sampler *s, struct sampler_target *target, uint64_t now);

/** Looks at every thread, for the end. */
void sampler_threads_look_all(struct sampler *s, struct sampler_target *target, uint64_t now);

struct sampler_thread *sampler_threads_find(struct sampler_target *target, pid_t tid);

/** Charges what is left of all threads, for wall-clock profiles. */
void sampler_threads_settle_wall(struct sampler *s, struct sampler_target *target, uint64_t now);

/** After an execve: only the leader is left, and its past is another thread's. */
void sampler_threads_exec(struct sampler *s, struct sampler_target *target, uint64_t now);
void sampler_threads_deinit(struct sampler *s, struct sampler_target *target);

/** Has it run, or been put on a CPU, within the last second? */
bool sampler_thread_is_busy(const struct sampler_thread *thread, uint64_t now);

/* --- sampler_thread.c --- */

/** Reads a thread's schedstat into run_ns and slices; false when it is gone. */
bool sampler_thread_look(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread, uint64_t now);

/** Is it runnable, and on which CPU? cheap: the CPU may be that of a moment ago. */
bool sampler_thread_runs(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread, uint64_t now, bool cheap, int *ret_cpu);

/** State letter and last CPU of a thread, its name noted; 0 when it is gone. */
char sampler_thread_state(struct sampler *s, struct sampler_target *target,
			  struct sampler_thread *thread, int *ret_cpu);

/** Reads how often it has left its CPU by itself, to wait; false when it is gone. */
bool sampler_thread_switches(struct sampler *s, struct sampler_target *target,
			     const struct sampler_thread *thread, uint64_t *ret_switches);

/** Notes whether a stop cut a transfer short: the thread is then left alone for a while, the longer
 * the more often it happens. */
void sampler_thread_rest(struct sampler *s, struct sampler_thread *thread, bool cut_short);

void sampler_thread_close(struct sampler *s, struct sampler_thread *thread);

/** Closes the files that an idle thread need not have open. */
void sampler_thread_rests(struct sampler *s, const struct sampler_threads *threads,
			  struct sampler_thread *thread);

/** Notes in the statistics how often it was stopped. */
void sampler_thread_count_stops(struct sampler *s, const struct sampler_target *target,
				const struct sampler_thread *thread);

/* --- sampler_choose.c --- */

/**
 * Finds the threads that are on a CPU and asks them to stop.
 *
 * @param ret_here	whether one of them is on our CPU, and so cannot stop before we sleep
 * @return how many there are on other CPUs, whose stops come while we poll
 */
unsigned sampler_choose_and_stop(struct sampler *s, uint64_t now, bool *ret_here);

/** Does it pay to look at the threads one scheduler tick before they are chosen? */
bool sampler_choose_prepares(const struct sampler *s);

/** Asks a thread to stop; false when that is refused. */
bool sampler_choose_stop(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread);

uint64_t sampler_random(struct sampler *s);

/* --- sampler_stack.c --- */

/** Reads the target's maps if they are stale and it was not done too recently for its cost. */
void sampler_maps_refresh(struct sampler_target *target, uint64_t now);

/** Bounds of the stack that holds sp: to be read from sp - red zone on. False when not known. */
bool sampler_stack_bounds(const struct sampler_target *target, uint64_t sp, uint64_t *ret_start,
			  uint64_t *ret_end);

/** How much of the stack to copy, from `from` on: up to what this thread's traces needed, within
 * the bound. */
size_t sampler_stack_wanted(const struct sampler *s, uint32_t slot, uint64_t from, uint64_t end);

/** Did a trace of this thread need more than was copied? */
bool sampler_stack_is_beyond(const struct sampler *s, uint32_t slot);

/* --- sampler_put.c --- */

/** A record in the queue with its head filled in and room for `extra` bytes, to be committed by
 * sampler_put(); NULL, and counted, when there is no room. thread may be NULL. */
struct snapshot *sampler_reserve(struct sampler *s, struct sampler_target *target,
				 enum snapshot_kind kind, const struct sampler_thread *thread,
				 size_t extra);

/** Is there room for a snapshot with that much of a stack, now? */
bool sampler_has_room(const struct sampler *s, size_t extra);

/** Publishes what sampler_reserve() gave. The consumer owns it from here on. */
void sampler_put(struct sampler *s, struct snapshot *snapshot);

/** Puts a record without a stack into the queue. */
void sampler_put_pseudo(struct sampler *s, struct sampler_target *target, enum snapshot_kind kind,
			const struct sampler_thread *thread, uint64_t cpu_ns);

/** Says that the target's generation begins, or ends. */
void sampler_put_image(struct sampler *s, struct sampler_target *target, enum snapshot_kind kind);

/* --- sampler_copy.c --- */

/* A stack copied before it was known where sp is. */
struct sampler_ahead {
	struct snapshot *snapshot; /* NULL: nothing was copied */
	bool same;                 /* as of process_read_stopped() */
};

/** Copies the stack of a thread whose stop was just reported, from where it was last. */
struct sampler_ahead sampler_copy_ahead(struct sampler *s, struct sampler_target *target,
					struct sampler_thread *thread);

/** The snapshot with the stack that sp is in: what was copied ahead, if it is that. NULL, and
 * counted, when there is no room or the thread has called execve. */
struct snapshot *sampler_copy(struct sampler *s, struct sampler_target *target,
			      struct sampler_thread *thread, uint64_t sp,
			      const struct sampler_ahead *ahead);

/* --- sampler_stop.c --- */

/** Between stop and release: the snapshot to publish, NULL when there is none. user: its registers.
 */
struct snapshot *sampler_take(struct sampler *s, struct sampler_target *target,
			      struct sampler_thread *thread, const void *user,
			      const struct sampler_ahead *ahead);

/** Before a stopped thread goes on: what the stop did to its system call. */
void sampler_repair(struct sampler *s, struct sampler_target *target, struct sampler_thread *thread,
		    const void *user);

/** Handles one event of the tracee set: takes the sample, releases the thread. */
void sampler_on_event(struct sampler *s, const struct tracee_event *event);

/* --- sampler_aside.c --- */

/** A thread of the target runs on our CPU: moves to one where none does, if there is one. True when
 * it has moved, and so given the CPU up. */
bool sampler_step_aside(struct sampler *s, uint64_t now);

/* --- sampler_budget.c --- */

void sampler_budget_init(struct sampler *s, uint64_t now);

/** Nothing was sampled for a while: the window begins here. */
void sampler_budget_begin(struct sampler *s, uint64_t now);

/** To be called before a sleep in which stops may come … */
void sampler_budget_sleep(struct sampler *s);

/** … and when it ends; they end it. */
void sampler_budget_woke(struct sampler *s);

/** Nothing that stopped before that time is unnoticed. */
void sampler_budget_clear(struct sampler *s, uint64_t at);

/** How long the stop held its thread up, to be asked at its release. */
uint64_t sampler_budget_add(struct sampler *s, const struct tracee_event *event);

/** Once per tick: adapts the period to what the stops cost. */
void sampler_budget_check(struct sampler *s, uint64_t now);

/* --- sampler_block.c --- */

/** Does a thread in this state wait for something, as against for a CPU or a debugger? */
bool sampler_block_counts(enum snapshot_state state);

/** A thread runs: its waits count from here on, if it was there before the recording; those of one
 * that was born in it count from its birth on. */
void sampler_block_begin(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread);

/** It is blocked, since its last read for up to ns: owed until the wait ends. Returns how many
 * waits there were since. */
uint32_t sampler_block_read(struct sampler_thread *thread, uint64_t switches,
			    enum snapshot_state state, uint64_t ns);

/** Charges all that is owed to a record of its stack; parked: one of a thread that never moved. */
void sampler_block_charge(struct sampler *s, struct sampler_thread *thread,
			  struct snapshot *snapshot, bool parked);

/** Owes what it waited since it was read last, for ns in all, at its end or that of the recording.
 */
void sampler_block_settle(struct sampler *s, struct sampler_target *target,
			  struct sampler_thread *thread, uint64_t ns);

/* --- sampler_create.c --- */

/** Sees to it that a thread tells of those that it makes. */
void sampler_create_follow(struct sampler *s, struct sampler_target *target, pid_t tid);

/** The same for all threads that are known. */
void sampler_create_begin(struct sampler *s);

/** A thread that is followed has made one, or is to get a signal. */
void sampler_create_on_event(struct sampler *s, const struct tracee_event *event);

/** Lets all go that are followed. */
void sampler_create_end(struct sampler *s);

/* --- sampler_lock.c --- */

/** A thread was read blocked in that call, in which it has waited for ns, the last of so many
 * waits.
 */
void sampler_lock_read(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread, const struct snapshot *snapshot, uint64_t now,
		       uint32_t waits);

/** Once per tick, after the reads: who waits for whom. */
void sampler_lock_tick(struct sampler *s, struct sampler_target *target, uint64_t now);

/** Asks those to stop that are waited for and whose stack is not known. Returns how many. */
unsigned sampler_lock_stop(struct sampler *s, uint64_t now);

/* --- sampler_each.c --- */

/** Once per tick: reads the threads that were not seen yet and are blocked, asks others to stop.
 * Returns how many of those there are. */
unsigned sampler_each_tick(struct sampler *s, uint64_t now);

/** Has every thread been seen? */
bool sampler_each_is_done(const struct sampler *s);

/** Puts a record for each thread that was not. */
void sampler_each_settle(struct sampler *s, struct sampler_target *target);

/* --- sampler_wall.c --- */

/** Once per tick, after the threads were looked at: reads those that are newly blocked. */
void sampler_wall_tick(struct sampler *s, struct sampler_target *target, uint64_t now);

/** Charges the waits under way, if somebody wants them: see struct sampler_shared. */
void sampler_wall_put(struct sampler *s, uint64_t now);

/** What a thread does that has this state letter. */
enum snapshot_state sampler_wall_state(const struct sampler *s, char letter);

/** Reads a thread without a stop: true when it was blocked the whole time, and its stack is
 * published. */
bool sampler_wall_read(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread, enum snapshot_state state, uint64_t now);

/** Begins to count the elapsed time of a thread, whose schedstat was just read. */
void sampler_wall_begin(struct sampler_thread *thread, uint64_t now);

/** A thread was seen runnable: the tick is owed to its next stop … */
void sampler_wall_owe(struct sampler_thread *thread);

/** … and it seems to be the one on its CPU. */
void sampler_wall_runs(struct sampler *s, struct sampler_target *target,
		       struct sampler_thread *thread);

/** Charges what is owed to the snapshot of a stop, which lasted pause_ns; false when nothing is.
 * What remains goes into a record behind it. */
bool sampler_wall_charge(struct sampler_thread *thread, struct snapshot *snapshot,
			 uint64_t pause_ns);
void sampler_wall_charge_rest(struct sampler *s, struct sampler_target *target,
			      struct sampler_thread *thread);

/** Charges what is left of a thread, for its end or that of the recording. */
void sampler_wall_settle(struct sampler *s, struct sampler_target *target,
			 struct sampler_thread *thread, uint64_t now);
