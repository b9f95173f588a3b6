/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as JSON, for the page: one value type, names for people, stacks as a tree of which
 * samples are nodes, so that what stacks have in common is there once.
 *
 *	{"type": "cpu", "unit": "nanoseconds", "program": "server", "comments": ["…"],
 *	 "period_type": "cpu", "period_unit": "nanoseconds", "period": 10000000,
 *	 "time_ns": 1700000000000000000, "duration_ns": 10000000000, "total": 9870000000,
 *	 "names": ["main", …], "files": ["", "/src/main.c", …], "modules": ["", "server", …],
 *	 "frames": [name, file, module, line, …],       four numbers each
 *	 "processes": [["server", "4711"], …],          name, pid
 *	 "threads": [["worker", "4712", process], …],   name, tid, index in processes
 *	 "stacks": [callers, frame, …],                 two numbers each
 *	 "samples": [value, stack, thread, …]}          three numbers each
 *
 * Names, files, modules, processes and threads are referred to by index; line is 0 when not known.
 * Frame N begins at frames[4 * N]. Stack N, from 1, is the frame at stacks[2 * N - 1] on top of the
 * stack at stacks[2 * N - 2], which is a smaller number; stack 0 is empty. Calls inlined into a
 * function are frames on top of it. What is not labelled with a thread or a process has one whose
 * texts are empty. Readers that keep numbers as doubles lose digits of what is above 2^53: of
 * nanoseconds, after 104 days.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "profile/profile.h"

/**
 * Writes a profile as JSON, in UTF-8, without line feeds. Samples whose value is 0 are left out.
 *
 * @param value_type	index in the profile's sample types
 * @param demangle	name for people of a function's system name, caller frees; NULL: as it is
 * @param ret_text	caller frees; not terminated by NUL
 * @return 0, -ENOMEM, or -EINVAL for a type that the profile does not have
 */
int report_json(const struct profile *profile, uint32_t value_type,
		char *(*demangle)(const char *system_name), char **ret_text, size_t *ret_size);
