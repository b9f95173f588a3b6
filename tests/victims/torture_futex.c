/* SPDX-License-Identifier: Apache-2.0 */
/* Futexes, and what the C library makes of them. */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "torture.h"

/* linux/futex.h has these since 5.16. */
struct futex_waitv_entry {
	uint64_t value, address;
	uint32_t flags, reserved;
};
#define FUTEX_SIZE_32 2
#define SYS_FUTEX_WAITV 449

static int wait_futex(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(ns);

	return want_error(syscall(SYS_futex, &w->word, FUTEX_WAIT, 0, &timeout, NULL, 0),
			  ETIMEDOUT);
}

static int wait_futex_bitset(struct waiter *w, uint64_t ns)
{
	struct timespec timeout = timespec_of(w->start + ns);

	return want_error(syscall(SYS_futex, &w->word, FUTEX_WAIT_BITSET, 0, &timeout, NULL,
				  FUTEX_BITSET_MATCH_ANY),
			  ETIMEDOUT);
}

static int wait_futex_event(struct waiter *w, uint64_t ns)
{
	(void)ns;
	return want(syscall(SYS_futex, &w->word, FUTEX_WAIT, 0, NULL, NULL, 0), 0);
}

static void wake_futex(struct waiter *w)
{
	syscall(SYS_futex, &w->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static int wait_futex_waitv(struct waiter *w, uint64_t ns)
{
	struct futex_waitv_entry entry = {0, (uintptr_t)&w->word, FUTEX_SIZE_32, 0};
	struct timespec timeout = timespec_of(w->start + ns);

	return want_error(syscall(SYS_FUTEX_WAITV, &entry, 1, 0, &timeout, CLOCK_MONOTONIC),
			  ETIMEDOUT);
}

static int wait_futex_waitv_event(struct waiter *w, uint64_t ns)
{
	struct futex_waitv_entry entry = {0, (uintptr_t)&w->word, FUTEX_SIZE_32, 0};

	(void)ns;
	return want(syscall(SYS_FUTEX_WAITV, &entry, 1, 0, NULL, 0), 0);
}

static int setup_waitv(struct waiter *w)
{
	(void)w;
	return want_error(syscall(SYS_FUTEX_WAITV, NULL, 0, 0, NULL, 0), EINVAL);
}

static int setup_cond(struct waiter *w)
{
	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->cond, NULL);
	return 0;
}

static int wait_cond(struct waiter *w, uint64_t ns)
{
	struct timespec when = realtime_in(ns);
	int r;

	pthread_mutex_lock(&w->mutex);
	r = pthread_cond_timedwait(&w->cond, &w->mutex, &when);
	pthread_mutex_unlock(&w->mutex);
	return r == ETIMEDOUT ? 0 : r ? r : WRONG;
}

static int wait_cond_event(struct waiter *w, uint64_t ns)
{
	int r;

	(void)ns;
	pthread_mutex_lock(&w->mutex);
	r = pthread_cond_wait(&w->cond, &w->mutex);
	pthread_mutex_unlock(&w->mutex);
	return r;
}

static void wake_cond(struct waiter *w)
{
	pthread_mutex_lock(&w->mutex);
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->mutex);
}

static int setup_sem(struct waiter *w)
{
	return sem_init(&w->sem, 0, 0);
}

static int wait_sem(struct waiter *w, uint64_t ns)
{
	struct timespec when = realtime_in(ns);

	return want_error(sem_timedwait(&w->sem, &when), ETIMEDOUT);
}

static int wait_sem_event(struct waiter *w, uint64_t ns)
{
	(void)ns;
	return want(sem_wait(&w->sem), 0);
}

static void wake_sem(struct waiter *w)
{
	sem_post(&w->sem);
}

/* The main thread has the locks. */
static int setup_mutex(struct waiter *w)
{
	pthread_mutex_init(&w->mutex, NULL);
	return pthread_mutex_lock(&w->mutex);
}

static int setup_pi_mutex(struct waiter *w)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&w->mutex, &attr);
	return pthread_mutex_lock(&w->mutex);
}

static int wait_mutex(struct waiter *w, uint64_t ns)
{
	struct timespec when = realtime_in(ns);
	int r = pthread_mutex_timedlock(&w->mutex, &when);

	return r == ETIMEDOUT ? 0 : r ? r : WRONG;
}

static int setup_rwlock(struct waiter *w)
{
	pthread_rwlock_init(&w->rwlock, NULL);
	return pthread_rwlock_wrlock(&w->rwlock);
}

static int wait_rdlock(struct waiter *w, uint64_t ns)
{
	struct timespec when = realtime_in(ns);
	int r = pthread_rwlock_timedrdlock(&w->rwlock, &when);

	return r == ETIMEDOUT ? 0 : r ? r : WRONG;
}

static int wait_wrlock(struct waiter *w, uint64_t ns)
{
	struct timespec when = realtime_in(ns);
	int r = pthread_rwlock_timedwrlock(&w->rwlock, &when);

	return r == ETIMEDOUT ? 0 : r ? r : WRONG;
}

const struct call calls_futex[] = {
	{"futex_wait", NULL, wait_futex},
	{"futex_wait-event", NULL, wait_futex_event, wake_futex},
	{"futex_wait_bitset-abs", NULL, wait_futex_bitset},
	{"futex_waitv", setup_waitv, wait_futex_waitv},
	{"futex_waitv-event", setup_waitv, wait_futex_waitv_event, wake_futex},
	{"pthread_cond_timedwait", setup_cond, wait_cond},
	{"pthread_cond_wait", setup_cond, wait_cond_event, wake_cond},
	{"sem_timedwait", setup_sem, wait_sem},
	{"sem_wait", setup_sem, wait_sem_event, wake_sem},
	{"pthread_mutex_timedlock", setup_mutex, wait_mutex},
	{"pthread_mutex_timedlock-pi", setup_pi_mutex, wait_mutex},
	{"pthread_rwlock_timedrdlock", setup_rwlock, wait_rdlock},
	{"pthread_rwlock_timedwrlock", setup_rwlock, wait_wrlock},
	{"h-futex_wait", NULL, wait_futex, .handled = true},
	{"h-futex_waitv", setup_waitv, wait_futex_waitv, .handled = true},
	{"h-sem_timedwait", setup_sem, wait_sem, .handled = true},
	{},
};
