/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

/** Takes out of a process what a killed cprof has left there, and says what it did, or why not.
 * Returns an exit code. */
int doctor_clean_up(pid_t pid);
