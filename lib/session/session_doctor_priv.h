/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "session/session_doctor.h"

/** Watches threads for DOCTOR_WATCH_NS: who uses CPU time. Fills n_busy, cpu_ns and look_ns. */
int doctor_watch_threads(struct doctor *doctor);

/** Stops a child of our own some times. Fills the stop_… members. */
void doctor_measure_stop(struct doctor *doctor);

/** Modules, libc, allocator, JIT. Returns 0, also when the target refuses, or -ENOMEM. */
int doctor_look_modules(struct doctor *doctor);

/** libc, allocators and language from the modules. */
void doctor_look_runtime(struct doctor *doctor);
