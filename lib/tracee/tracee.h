/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every ptrace call there is.
 *
 * A thread is a tracee only while its sample is taken: tracee_stop() seizes it and asks it to stop,
 * the stop arrives through tracee_next(), tracee_release() lets it go. Only those that
 * tracee_follow() has seized stay tracees, and tell of the threads that they make. A set belongs to
 * the thread that made it, because the kernel ties tracees to their tracer thread; if that thread
 * ends, by SIGKILL too, the kernel releases all of them. Never PTRACE_O_EXITKILL.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch/arch.h"

struct tracee_set;

/** Makes an empty set. Returns 0 or -ENOMEM, or what timer_create(2) returned. */
int tracee_set_new(struct tracee_set **ret_set);

/** Releases every thread that is still stopped or about to stop, then the set. */
struct tracee_set *tracee_set_free(struct tracee_set *set);

enum tracee_result {
	TRACEE_OK = 0,
	TRACEE_GONE = 1, /* the thread has ended, or is ending */
	TRACEE_BUSY,     /* it is asked to stop already */
	TRACEE_DENIED,   /* no permission, or somebody else's tracee */
	TRACEE_SHARED,   /* the tracee of another thread of this process: ask again later */
};

/**
 * Seizes a thread and asks it to stop.
 *
 * @param pid	the process it belongs to
 * @return an enum tracee_result, or -ENOMEM
 */
int tracee_stop(struct tracee_set *set, pid_t pid, pid_t tid);

/** Is a thread the tracee of another thread of this process? */
bool tracee_is_shared(const struct tracee_set *set, pid_t tid);

/**
 * Seizes a thread for as long as tracee_unfollow() is not called: it is to tell of each thread that
 * it makes, and those are followed as well. It stops for that and for every signal that it gets,
 * and at no other time; job control goes on to work.
 *
 * @return an enum tracee_result, BUSY: it is followed already; or -ENOMEM
 */
int tracee_follow(struct tracee_set *set, pid_t pid, pid_t tid);

/** Lets all go that are followed, as soon as tracee_next() meets them: asks them to stop for it. */
void tracee_unfollow(struct tracee_set *set);

/** How many threads are followed. */
unsigned tracee_followed(const struct tracee_set *set);

/** How many threads are asked to stop or stopped. */
unsigned tracee_held(const struct tracee_set *set);

/** True when no event can come: nothing is held or followed, no command runs, and no thread that
 * tracee_prune() found is traced under its new id. */
bool tracee_is_idle(const struct tracee_set *set);

enum tracee_event_kind {
	TRACEE_STOPPED = 1, /* it waits for tracee_release() */
	TRACEE_LOST,        /* it ended, or turned into another thread by execve, or was found
			       stopped by somebody else and is left so: nothing more to do */
	TRACEE_CHILD_ENDED, /* a child of ours, started by tracee_spawn(), ended: see status */
	TRACEE_CLONED,      /* followed: it has made a thread, and waits for tracee_go_on() */
	TRACEE_SIGNALLED,   /* followed: it is to get a signal, or was woken to be let go, and waits
			       for tracee_go_on() */
};

struct tracee_event {
	enum tracee_event_kind kind;
	pid_t pid, tid;    /* pid: as given to tracee_stop() */
	int status;        /* CHILD_ENDED: as of wait(2) */
	uint64_t asked_ns; /* STOPPED: when the stop was asked for, CLOCK_MONOTONIC */
	int signal;        /* SIGNALLED: for tracee_go_on(); else 0 */
};

/**
 * Takes the next event without waiting.
 *
 * @return 1 and *ret_event, or 0 when there is none
 */
int tracee_next(struct tracee_set *set, struct tracee_event *ret_event);

/**
 * Finds a thread of the set that does not exist any more although no end was reported: a non-leader
 * that called execve goes on under the leader's id (ptrace(2), "execve(2) under ptrace").
 *
 * @return 1 and a TRACEE_LOST event, or 0
 */
int tracee_prune(struct tracee_set *set, struct tracee_event *ret_event);

/** Polls up to `ns` nanoseconds for an event to come. Use only while a CPU is idle: it burns one.
 * Returns as tracee_next(). */
int tracee_poll(struct tracee_set *set, uint64_t ns, struct tracee_event *ret_event);

/** Reads the kernel's register block of a stopped thread (arch->user_size bytes).
 * Returns 0 or TRACEE_GONE. */
int tracee_registers(const struct tracee_set *set, pid_t tid, const struct arch *arch,
		     void *ret_user);

enum tracee_repair {
	TRACEE_NOT_NEEDED = 0,
	TRACEE_REPAIRED = 1, /* the call will start again */
	TRACEE_LEFT_EINTR,   /* the call is not on the list: the target will see EINTR */
};

/**
 * Will the kernel continue the call by restart_syscall(2) (-ERESTART_RESTARTBLOCK)? A thread under
 * seccomp may not be allowed that one.
 *
 * @param user	the block that tracee_registers() read
 */
bool tracee_needs_restart_syscall(const struct arch *arch, const void *user);

/**
 * Undoes what the stop did to a system call: where it returned -EINTR and is on the CPU's list, the
 * result becomes -ERESTARTNOHAND, which the kernel turns into a restart, or back into EINTR if a
 * handler runs first (arch/x86/kernel/signal.c arch_do_signal_or_restart, Linux 6.18).
 *
 * @param user	the block that tracee_registers() read
 * @param plain	also for -ERESTART_RESTARTBLOCK: a time-out then starts anew, but no other system
 *		call than the thread's own is made
 */
enum tracee_repair tracee_repair(const struct tracee_set *set, pid_t tid, const struct arch *arch,
				 const void *user, bool plain);

/**
 * Clears what the stop of a recvmmsg that came back with less (arch_transfer, keeps_error) has left
 * for the next call on its socket. An error that the network made in that very moment goes with it.
 *
 * @return whether it was done
 */
bool tracee_mend_socket(pid_t tid, const struct arch *arch, const void *user);

/** Lets a stopped thread go on as if it had not been stopped: a signal that was about to be
 * delivered is, a group-stop stays one. One that was killed meanwhile gives a TRACEE_LOST later. */
void tracee_release(struct tracee_set *set, pid_t tid);

/** Lets a thread go on that an event CLONED or SIGNALLED was of, with the event's signal. */
void tracee_go_on(struct tracee_set *set, const struct tracee_event *event);

/**
 * Starts a command as a child, stopped right behind its execve.
 *
 * @param argv	NULL-terminated; looked up in PATH
 * @param ret_pid	the child; tracee_next() reports its end as TRACEE_CHILD_ENDED
 * @return 0; or the negative errno of execve (-ENOENT, -EACCES …) or fork
 */
int tracee_spawn(struct tracee_set *set, char *const argv[], pid_t *ret_pid);

/** Lets the child of tracee_spawn() run its first instruction. */
void tracee_spawn_release(struct tracee_set *set);

/** Interrupts a blocked call of the set's owner and reaps what can be reaped; for a watchdog that
 * sees no progress. From any thread. */
void tracee_set_kick(struct tracee_set *set);
