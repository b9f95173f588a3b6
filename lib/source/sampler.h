/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ptrace sampler: profiles of CPU time, elapsed time and blocking of a running process, and of
 * its children.
 *
 * At each tick the threads that used CPU time are found without touching them, those that seem to
 * be on a CPU are asked to stop, and each is copied and released when its stop arrives. What a
 * thread used since its previous sample is charged to the sample, so the sum over a profile is the
 * CPU time that the kernel counted. For profiles of elapsed time and of blocking, blocked threads
 * are read, too, without a stop; for blocking alone nothing is stopped. Snapshots go into a queue
 * that the sampler never waits for.
 *
 * sampler_run() is the tracer thread: sampler_new() (which spawns a command) must be called on the
 * same thread, with SIGCHLD blocked in every thread of the process.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch/arch.h"
#include "base/hist.h"
#include "base/queue.h"
#include "base/trace.h"
#include "process/process.h"

struct sampler;

enum sampler_engine {
	SAMPLER_COPY,      /* registers and stack bytes; unwound later */
	SAMPLER_LIBUNWIND, /* unwound by libunwind while the thread is held */
};

/** What is measured; several at once. */
enum sampler_type {
	SAMPLER_CPU = 1 << 0,     /* CPU time of running threads */
	SAMPLER_WALL = 1 << 1,    /* elapsed time of all threads, by state */
	SAMPLER_BLOCK = 1 << 2,   /* how often and how long threads were blocked */
	SAMPLER_THREADS = 1 << 3, /* every thread's stack once; goes with no other type */
	SAMPLER_MUTEX = 1 << 4,   /* how long threads waited for locks, by who held them */
	SAMPLER_CREATE = 1 << 5,  /* which threads were made, by who made them; all stay traced */
};

/** Stack tops learned by the consumer, by snapshot.slot: see unwinder_run(). */
#define SAMPLER_TOPS 4096
#define SAMPLER_TOP_UNKNOWN 0
#define SAMPLER_TOP_BEYOND 1 /* farther than what was copied: copy as much as is allowed */

/** Pauses, counted by their length while it runs: up to each of these (nanoseconds), and longer. */
#define SAMPLER_PAUSES 11
extern const uint64_t sampler_pause_steps[SAMPLER_PAUSES - 1];

struct sampler_shared {
	_Atomic uint64_t tops[SAMPLER_TOPS];
	_Atomic uint32_t no_locks[SAMPLER_TOPS]; /* by slot: this round was no wait for a lock */
	_Atomic unsigned types_wanted, types;    /* see sampler_set_types(); sampled now */
	_Atomic uint64_t progress; /* grows while the tracer thread is alive and well */
	_Atomic uint32_t held;     /* threads asked to stop or stopped */
	_Atomic uint32_t threads;  /* living threads of the target */
	_Atomic uint64_t samples;  /* taken so far */
	_Atomic uint64_t dropped;  /* of them, for the queue was full */
	_Atomic uint64_t pauses[SAMPLER_PAUSES], pause_ns; /* of the stops */
	_Atomic uint64_t traces[TRACE_ENDS];               /* by how they ended; the consumer's */
	/* CLOCK_MONOTONIC. Elapsed time of threads that wait is put into the queue when they move,
	 * and at the next tick when somebody wants it; up to when all of it is in the queue. */
	_Atomic uint64_t waits_wanted_at, waits_put_at;
	/* What threads that ended ran unseen is to be charged at the next tick, not only at the
	 * end. */
	_Atomic bool exited_wanted;
};

struct sampler_options {
	pid_t pid;         /* 0 with argv */
	char *const *argv; /* command to start instead; NULL-terminated, borrowed */
	const pid_t *tids; /* sample only these; borrowed; n_tids 0 = all */
	unsigned n_tids;
	unsigned hz;           /* ticks per second */
	uint64_t duration_ns;  /* 0 = until stopped, the target ends or all is seen */
	unsigned types;        /* of enum sampler_type */
	bool on_demand;        /* none of them before sampler_set_types() */
	bool children;         /* sample the processes that it starts, too */
	bool keep_parked;      /* SAMPLER_BLOCK: also threads that never moved */
	double max_overhead;   /* share of the target's CPU time that stops may take; 0 = any */
	uint64_t max_pause_ns; /* of one stop; 0 = any */
	enum sampler_engine engine;
	unsigned fd_sharers; /* samplers that share this process's descriptors; 0: one */
	int stop_fd;         /* readable = stop; borrowed */
	int suspend_fd;      /* signalfd(2) of SIGTSTP, or an eventfd(2): when it is readable this
				process stops itself, with no thread of the target in its hands;
				borrowed */
	int wake_fd;         /* eventfd, written when the queue got something large; borrowed */
	/* eventfds, borrowed; -1: types do not change. Written to when others are wanted, and when
	 * they are sampled. */
	int types_fd, types_done_fd;
};

#define SAMPLER_BUSIEST 16

/** The threads that were stopped most often. */
struct sampler_busy {
	pid_t pid, tid;
	char name[64];
	uint64_t stops;
};

/** Counters; complete once sampler_run() has returned. */
struct sampler_stats {
	uint64_t ticks, missed_ticks; /* missed: skipped because the sampler came late */
	uint64_t stops;               /* threads stopped and released */
	uint64_t samples;
	uint64_t late;      /* stops that came after the next tick */
	uint64_t blocked;   /* thread had blocked just before the stop: no sample */
	uint64_t lost;      /* thread ended between being asked and stopping */
	uint64_t denied;    /* seizing was refused */
	uint64_t dropped;   /* queue full */
	uint64_t no_stack;  /* stack pointer in no known mapping: registers only */
	uint64_t not_64bit; /* thread was in 32-bit code */
	uint64_t repaired, left_eintr,
		short_counts;     /* see tracee_repair(), arch_transfer_short() */
	uint64_t waits, delay_ns; /* SAMPLER_BLOCK: of what was blocked, parked threads apart … */
	uint32_t parked;          /* … which waited in one place from beginning to end */
	uint64_t created;         /* SAMPLER_CREATE: threads made */
	uint64_t signalled;       /* … and signals that went through our hands */
	uint32_t not_read;        /* SAMPLER_THREADS: threads whose stack could not be had */
	uint64_t reads, torn;     /* blocked threads read without a stop; that moved meanwhile */
	uint64_t execs, children; /* children: processes found beside the first … */
	uint64_t children_refused; /* … those that we may not look into … */
	uint64_t children_over;    /* … and those there was no descriptor left for */
	uint32_t threads_seen, threads_max;
	uint32_t threads_stopped; /* of the threads seen, how many were ever stopped */
	uint32_t n_busiest;
	struct sampler_busy busiest[SAMPLER_BUSIEST]; /* most stops first */
	uint64_t cpu_ns;       /* what the kernel charged the target during the run */
	uint64_t sampled_ns;   /* of it charged to stacks */
	uint64_t exited_ns;    /* of it to threads that had ended */
	uint64_t never_met_ns; /* of it to children that ended before they were found */
	uint64_t not_seen_ns;  /* of it to threads after, or without, a sample */
	uint64_t elapsed_ns;
	struct hist pause;    /* how long each stop held its thread up: see sampler_budget.c */
	uint64_t throttled;   /* times that the rate was lowered to keep a budget … */
	double lowest_hz;     /* … and the lowest it came to */
	uint64_t long_pauses; /* stops longer than max_pause_ns */
	int nice;             /* priority that the tracer thread got … */
	bool realtime;        /* … or the lowest real-time one */
	bool target_ended;
	int status; /* of a command that ended, as of wait(2) */
};

/**
 * Prepares to sample, and starts the command if there is one (it waits behind its execve).
 *
 * @param queue, shared	borrowed
 * @return 0; -ESRCH; what tracee_spawn() returns; -ENOMEM and others
 */
int sampler_new(const struct sampler_options *options, struct queue *queue,
		struct sampler_shared *shared, struct sampler **ret_sampler);
struct sampler *sampler_free(struct sampler *sampler);

/** The process being sampled; borrowed. Another thread needs a handle of its own. */
pid_t sampler_pid(const struct sampler *sampler);

/** Samples until told to stop, the duration is over or the target ended. Every thread of the
 * target is released when it returns. Returns 0 or a negative errno; what was sampled counts. */
int sampler_run(struct sampler *sampler);

/**
 * From any thread: what is to be sampled from now on, of the types of the options; 0: nothing, and
 * the target is not looked at. All that was sampled so far is charged first.
 *
 * @param types_fd	of the options
 */
void sampler_set_types(struct sampler_shared *shared, int types_fd, unsigned types);

/** Instead of sampler_run(), on its thread: lets a command that was started run unsampled. */
void sampler_cancel(struct sampler *sampler);

const struct sampler_stats *sampler_stats(const struct sampler *sampler);

/** See tracee_set_kick(). */
void sampler_kick(struct sampler *sampler);
