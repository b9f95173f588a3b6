/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that decides whether and how well a process can be profiled, looked up in advance.
 *
 * Looks only: reads /proc and the mapped files, and traces nothing but a child of its own that it
 * makes to measure a stop. doctor_resume() alone sends a signal, SIGCONT. Not for a process that
 * samples at the same time: the measurement waits for any child.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vec.h"
#include "inject/inject.h"
#include "module/module.h"
#include "session/session_target.h"

#define DOCTOR_MAX_THREADS 65536 /* looked at; the rest is counted only */
#define DOCTOR_MAX_HELD 16       /* stopped or traced threads described one by one */
#define DOCTOR_WATCH_NS 100000000ULL

enum doctor_answer {
	DOCTOR_UNKNOWN, /* not allowed to look, or no sign either way */
	DOCTOR_NO,
	DOCTOR_YES,
};

/** A thread that is stopped or traced. */
struct doctor_held {
	pid_t tid;
	char state;        /* T: stopped by a signal; t: by its tracer; or another, traced only */
	pid_t tracer;      /* thread id of the tracer, 0: none */
	char tracer_state; /* 0: not known */
	char tracer_name[64];
};

enum doctor_libc {
	DOCTOR_LIBC_UNKNOWN,
	DOCTOR_LIBC_GLIBC,
	DOCTOR_LIBC_MUSL,
	DOCTOR_LIBC_NONE_GO, /* Go makes its system calls itself */
};

enum doctor_allocator {
	DOCTOR_ALLOCATOR_JEMALLOC,
	DOCTOR_ALLOCATOR_TCMALLOC,
	DOCTOR_ALLOCATOR_MIMALLOC,
	DOCTOR_ALLOCATOR_GLIBC,
	DOCTOR_ALLOCATOR_MUSL,
	DOCTOR_ALLOCATOR_GO,
	DOCTOR_ALLOCATORS,
};

/** One ELF module with executable code. */
struct doctor_module {
	struct module *module; /* borrowed from the map */
	struct module_sources sources;
	bool is_main;
};

struct doctor {
	pid_t pid;
	struct process *process; /* NULL: there is none to look at */
	char name[64], exe[256];
	pid_t inner_pid;   /* its pid in its own pid namespace */
	int64_t uid, euid; /* -1: not known */

	/* May it be traced? */
	int target;           /* enum session_target, SESSION_TARGET_SAMPLED included */
	int64_t target_other; /* see there */
	bool privileged;
	int64_t yama; /* -1: none */
	enum doctor_answer same_pid_ns, same_mnt_ns, same_user_ns, same_root;
	enum doctor_answer dumpable;
	int64_t seccomp, seccomp_filters; /* 0 none, 1 strict, 2 filter; -1: not known */

	/* What the kernel offers. */
	enum doctor_answer schedstat, stack_reads, syscall_file;

	/* Threads. */
	uint32_t n_threads, n_looked;
	uint32_t states[128]; /* by letter */
	uint32_t n_busy;      /* used CPU while watched */
	uint32_t n_held;
	struct doctor_held held[DOCTOR_MAX_HELD];
	uint32_t n_stopped, n_traced; /* of all threads looked at */
	bool frozen;
	uint64_t watched_ns, cpu_ns; /* CPU time used by the process while watched */
	uint64_t look_ns;            /* one read of schedstat; 0: not measured */

	/* What a bare stop costs here: interrupt, wait, detach of a spinning child of ours. */
	int stop_error; /* 0, or why nothing was measured: -EPERM ptrace is forbidden, -EBUSY the
			 * CPUs are too busy, -ETIMEDOUT, … */
	uint64_t stop_p50_ns, stop_p99_ns;
	unsigned n_stops;
	unsigned n_late_stops; /* not in the figures: the child waited for a CPU */
	unsigned n_cpus;

	/* The program. modules_error: 0, or why they could not be read. */
	int modules_error;
	struct module_map *map;
	VEC(struct doctor_module) modules;
	enum inject_remains remains; /* of the agent */
	enum doctor_libc libc;
	bool libc_static;
	char libc_version[64];
	/* Per allocator: the module that has it, borrowed; NULL: not found. */
	struct module *allocators[DOCTOR_ALLOCATORS];
	struct module *malloc_override; /* defines malloc and is not the libc; or NULL */
	bool rust;
	char go_version[32]; /* "": not Go */
	uint32_t n_jit;      /* anonymous executable mappings, but the agent's */
	uint64_t jit_bytes;
	char perf_map[64];      /* as the target sees it; looked for even without such mappings */
	int64_t perf_map_bytes; /* -1: there is none */
};

/**
 * Looks at a process for about a fifth of a second.
 *
 * @return 0 also when there is no such process or it refuses (see target), or a negative errno
 */
int doctor_new(pid_t pid, struct doctor **ret_doctor);
struct doctor *doctor_free(struct doctor *doctor);

/** Threads and their tracers anew, in the place of what was found. Returns 0 or -ESRCH and others.
 */
int doctor_look_threads(struct doctor *doctor);

/** Sends SIGCONT to the process. Returns 0 or a negative errno. */
int doctor_resume(struct doctor *doctor);

/** The way to the release of what holds a traced thread: process id of a tracer, which may be known
 * by one of its threads only; the number itself when it is gone. */
pid_t doctor_tracer_process(pid_t tracer);
