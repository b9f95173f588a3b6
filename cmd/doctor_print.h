/* SPDX-License-Identifier: Apache-2.0 */
/* What `cprof doctor` tells a person, all on stdout. */
#pragma once

#include "session/session_doctor.h"

/** One line: a label of at most eight letters ("" continues the line above) and text, in which
 * control characters that a target may have put into names become question marks. */
void doctor_line(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Everything that was found, without judging it. */
void doctor_print(const struct doctor *doctor);

/** The parts of it about libc, allocator, modules and JIT code, and about the cost. */
void doctor_print_program(const struct doctor *doctor);
void doctor_print_cost(const struct doctor *doctor);

/** The threads that are stopped or traced, and by whom; nothing when there are none. */
void doctor_print_held(const struct doctor *doctor);

/** Why `cprof record` would not work, as a sentence without a full stop; NULL: it would. Not for
 * what target_explain() has the words for. */
const char *doctor_obstacle(const struct doctor *doctor);

/**
 * What a recording would lack.
 *
 * @param print	a line for each
 * @return how many
 */
unsigned doctor_limits(const struct doctor *doctor, bool print);
