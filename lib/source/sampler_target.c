/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One process of those being sampled: its image, its clock, its end.
 *
 * The first target is the one that was asked for; the others are its children, found while it runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "source/sampler_priv.h"

/* How often an execve is looked for beside the stops. */
#define PROBE_EVERY (50 * NSEC_PER_MSEC)

static int open_image(struct sampler *s, struct sampler_target *target)
{
	int fd = process_memory_open(target->process);
	struct process_stat stat;

	if (fd < 0)
		return fd;
	if (target->mem_fd >= 0)
		close(target->mem_fd);
	target->mem_fd = fd;
	target->mem_addr = process_auxv(target->process, AT_SYSINFO_EHDR);
	process_mark_read(target->process, &target->mark);
	/* Of its parent until it calls execve, which then cannot be seen by the descriptor. */
	target->borrows = process_stat_read(target->process, &stat) == 0 &&
			  process_shares_memory(target->process, stat.ppid);
	target->lender = target->borrows ? stat.ppid : 0;
	target->generation = s->next_generation++;
	target->announced = false;
	target->maps_stale = true;
	target->renamed = process_inner_tid(target->process, target->pid) != target->pid;
	if (s->options.engine != SAMPLER_LIBUNWIND)
		return 0;
	/* libunwind's caches are of one image. */
	target->unwinder = tracee_unwinder_free(target->unwinder);
	return tracee_unwinder_new(&target->unwinder);
}

static int open_target(struct sampler *s, struct sampler_target *target, bool first)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = target};
	int r = process_open(target->pid, &target->process);

	if (r < 0)
		return r;
	target->task_fd =
		openat(process_dirfd(target->process), "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* Opened relative to the process's directory: it is there as long as the process is. */
	if (target->task_fd < 0)
		return errno == ENOENT ? -ESRCH : err_errno();
	r = open_image(s, target);
	if (r >= 0)
		r = process_cpu_time(target->process, &target->cpu_ns);
	if (r < 0)
		return r;
	/* All that a process born during the recording has used belongs to it. */
	if (first) {
		target->cpu_start_ns = target->cpu_ns;
		sampler_target_reaped(target);
		s->reaped_start_ns += target->children_ns;
	}
	if (epoll_ctl(s->events_fd, EPOLL_CTL_ADD, process_pidfd(target->process), &event) < 0)
		return err_errno();
	return 0;
}

int sampler_target_add(struct sampler *s, pid_t pid, bool first)
{
	struct sampler_target *target = calloc(1, sizeof(*target)), **slot;
	int r;

	if (!target)
		return err_trace(-ENOMEM);
	target->pid = pid;
	target->mem_fd = target->task_fd = -1;
	target->opened_at = clock_now_ns();
	r = vec_reserve(&s->targets, s->targets.n + 1);
	if (r >= 0)
		r = open_target(s, target, first);
	if (r < 0) {
		sampler_target_free(s, target);
		return r;
	}
	slot = vec_push(&s->targets);
	*slot = target;
	return 0;
}

struct sampler_target *sampler_target_free(struct sampler *s, struct sampler_target *target)
{
	if (!target)
		return NULL;
	tracee_unwinder_free(target->unwinder);
	sampler_threads_deinit(s, target);
	process_maps_deinit(&target->maps);
	/* Closing the pidfd takes it out of events_fd. */
	process_close(target->process);
	if (target->mem_fd >= 0)
		close(target->mem_fd);
	if (target->task_fd >= 0)
		close(target->task_fd);
	free(target);
	return NULL;
}

struct sampler_target *sampler_target_find(struct sampler *s, pid_t pid)
{
	for (size_t i = 0; i < s->targets.n; i++) {
		if (s->targets.items[i]->pid == pid)
			return s->targets.items[i];
	}
	return NULL;
}

/* The descriptor of /proc/PID/mem belongs to the memory it was opened on. Once the last thread has
 * left that memory by execve, reads give 0 (fs/proc/base.c mem_rw). The vDSO is read because it is
 * there and resident: for an address that is not mapped the kernel takes the lock of the target's
 * memory for writing, to see whether a stack should grow (mm/memory.c __access_remote_vm). */
bool sampler_image_is_gone(const struct sampler_target *target)
{
	char byte;

	if (target->borrows)
		return !process_shares_memory(target->process, target->lender);
	return pread(target->mem_fd, &byte, 1, (off_t)target->mem_addr) == 0;
}

bool sampler_image_is_other(struct sampler_target *target)
{
	if (sampler_image_is_gone(target)) {
		target->probed_at = 0;
		return true;
	}
	/* The program has written over it. */
	process_mark_read(target->process, &target->mark);
	return false;
}

/* Stops see an execve by the mark. Beside them it is looked for from time to time, and when threads
 * have gone or turned up; at every tick where there are reads without a stop, or no mark. */
static bool has_left(const struct sampler *s, struct sampler_target *target, uint64_t now)
{
	if (target->left)
		return true;
	if (s->types == SAMPLER_CPU && target->mark.addr && !target->borrows &&
	    target->probed_at + PROBE_EVERY > now && sampler_threads_are_calm(target, now) &&
	    !sampler_threads_have_gap(s, target))
		return false;
	target->probed_at = now;
	return sampler_image_is_gone(target);
}

static void on_exec(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	if (!target->left) {
		/* Before its name goes. */
		if (sampler_wants(s, SAMPLER_WAITS))
			sampler_threads_settle_wall(s, target, now);
		sampler_put_image(s, target, SNAPSHOT_IMAGE_ENDS);
		target->generation = s->next_generation++;
		target->left = true;
	}
	/* It has ended, which the pidfd tells, or is not ours to read any more. */
	if (open_image(s, target) < 0)
		return;
	target->left = false;
	s->stats.execs++;
	sampler_threads_exec(s, target, now);
}

int sampler_target_look(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	int r = sampler_threads_look(s, target, now);

	if (r < 0)
		return r;
	if (has_left(s, target, now))
		on_exec(s, target, now);
	if (!target->announced)
		sampler_put_image(s, target, SNAPSHOT_IMAGE);
	r = sampler_threads_refresh(s, target, now, false);
	if (r < 0)
		return r;
	sampler_maps_refresh(target, now);
	return 0;
}

void sampler_target_reaped(struct sampler_target *target)
{
	struct process_stat stat;

	if (process_stat_read(target->process, &stat) == 0)
		target->children_ns =
			(stat.cutime + stat.cstime) * NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
}

static void settle_thread(struct sampler *s, struct sampler_target *target,
			  struct sampler_thread *thread)
{
	uint64_t rest = thread->run_ns - thread->charged_ns;
	int ignored;

	/* Less than before: an execve in the last moment, by another thread. */
	if (thread->run_ns <= thread->charged_ns)
		return;
	if (!thread->name[0])
		sampler_thread_state(s, target, thread, &ignored);
	sampler_put_pseudo(s, target, SNAPSHOT_NOT_SEEN, thread, rest);
	target->not_seen_ns += rest;
}

static uint64_t charged(const struct sampler_target *target)
{
	return target->sampled_ns + target->not_seen_ns + target->exited_ns;
}

static void put_exited(struct sampler *s, struct sampler_target *target, uint64_t ns)
{
	sampler_put_pseudo(s, target, SNAPSHOT_EXITED, NULL, ns);
	target->exited_ns += ns;
	s->stats.exited_ns += ns;
}

/* In a recording that goes on: what living threads ran since they were charged is still to come.
 * They are looked at after the process's clock is read, so that never too much is charged. */
void sampler_target_charge_exited(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	uint64_t used, known;

	if (s->options.n_tids || target->ended || process_cpu_time(target->process, &used) < 0)
		return;
	sampler_threads_look_all(s, target, now);
	known = target->cpu_start_ns + charged(target);
	for (size_t i = 0; i < target->threads.items.n; i++) {
		const struct sampler_thread *thread = &target->threads.items.items[i];

		known += thread->run_ns - MIN(thread->run_ns, thread->charged_ns);
	}
	if (used > known)
		put_exited(s, target, used - known);
}

void sampler_target_charge(struct sampler *s, struct sampler_target *target, uint64_t now)
{
	uint64_t used, exited;

	if (process_cpu_time(target->process, &used) == 0)
		target->cpu_ns = used;
	if (!target->ended)
		sampler_threads_look_all(s, target, now);
	for (size_t i = 0; i < target->threads.items.n; i++) {
		struct sampler_thread *thread = &target->threads.items.items[i];

		if (sampler_wants(s, SAMPLER_WAITS))
			sampler_wall_settle(s, target, thread, now);
		if (sampler_wants(s, SAMPLER_CPU) && !target->ended)
			settle_thread(s, target, thread);
	}
	used = target->cpu_ns - target->cpu_start_ns;
	exited = used - MIN(used, charged(target));
	if (s->options.n_tids)
		used = charged(target);
	else if (exited && sampler_wants(s, SAMPLER_CPU))
		put_exited(s, target, exited);
	s->stats.cpu_ns += used;
	s->stats.sampled_ns += target->sampled_ns;
	s->stats.not_seen_ns += target->not_seen_ns;
	if (target->ended && target != s->targets.items[0])
		s->children_settled_ns += used;
	target->sampled_ns = target->not_seen_ns = target->exited_ns = 0;
	target->cpu_start_ns = target->cpu_ns;
}

void sampler_target_settle(struct sampler *s, struct sampler_target *target)
{
	if (s->types)
		sampler_target_charge(s, target, clock_now_ns());
	if (sampler_wants(s, SAMPLER_THREADS) && !target->ended)
		sampler_each_settle(s, target);
	sampler_put_image(s, target, SNAPSHOT_IMAGE_ENDS);
}

void sampler_target_ended(struct sampler *s, size_t index)
{
	struct sampler_target *target = s->targets.items[index];
	uint64_t cpu;

	if (process_cpu_time(target->process, &cpu) == 0)
		target->cpu_ns = cpu;
	sampler_target_reaped(target);
	target->ended = true;
	if (index == 0) {
		s->stats.target_ended = true;
		return;
	}
	sampler_target_settle(s, target);
	sampler_target_free(s, target);
	s->targets.items[index] = s->targets.items[--s->targets.n];
}
