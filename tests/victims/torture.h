/* SPDX-License-Identifier: Apache-2.0 */
/* What the families of torture's calls share. See torture.c. */
#pragma once

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define MSEC 1000000ULL
#define SEC 1000000000ULL

/* A call came back with something else than it should have. */
#define WRONG -1

/* Handled without SA_RESTART; ignored explicitly; blocked in every thread. */
#define SIG_HANDLED SIGUSR1
#define SIG_IGNORED SIGUSR2
#define SIG_TAKEN (SIGRTMIN + 1)

struct waiter;

struct call {
	const char *name;
	/* In the main thread, before the waiter is started. 0, or an errno: not possible here. */
	int (*setup)(struct waiter *w);
	/* Waits for ns, or until woken. 0 when the result is the right one, else errno or WRONG. */
	int (*wait)(struct waiter *w, uint64_t ns);
	/* Ends the wait, from another thread. NULL: it times out. */
	void (*wake)(struct waiter *w);
	bool handled;  /* ends by a handled signal, which must give EINTR */
	bool coarse;   /* its time-out is counted in scheduler ticks */
	bool by_child; /* the end is the work of a child, which notes the time in woken_at */
};

/* Lives in shared memory, for the children. */
struct waiter {
	const struct call *call;
	pthread_t thread;
	pid_t tid;
	int syscall_fd;           /* /proc/self/task/TID/syscall */
	_Atomic uint64_t wake_at; /* order to the waker; 0: none */
	_Atomic uint64_t woken_at;
	atomic_bool handled;

	int fd[4];
	int id;
	uint32_t word;
	uint64_t start; /* of this wait */
	void *area;
	pthread_mutex_t mutex;
	pthread_cond_t cond;
	pthread_rwlock_t rwlock;
	sem_t sem;

	uint64_t random;
	unsigned calls, eintr, wrong, early, late, again, n_lateness;
	int last_wrong;
	uint32_t *lateness_us;
};

extern const struct call calls_sleep[], calls_file[], calls_futex[], calls_ipc[], calls_socket[],
	calls_ring[];

uint64_t now_ns(void);
struct timespec timespec_of(uint64_t ns);
/* CLOCK_REALTIME, ns from now. */
struct timespec realtime_in(uint64_t ns);
/* 0 when r is what was wanted, else errno or WRONG. */
int want(long r, long wanted);
/* 0 when r is -1 with this errno. */
int want_error(long r, int error);
/* An unlinked file. */
int open_nameless(void);
/* Ids of System V IPC that are removed at the end, also when torture is killed. */
void remove_at_end(int id, bool is_queue);
