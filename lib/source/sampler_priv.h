/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the sampler do for each other, by file. */
#pragma once

#include "source/sampler_state_priv.h"
#include "source/sampler_waits_priv.h"

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

/** Charges what threads ran unseen that have ended; the recording goes on. */
void sampler_target_charge_exited(struct sampler *s, struct sampler_target *target, uint64_t now);

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
