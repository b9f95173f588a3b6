/* SPDX-License-Identifier: Apache-2.0 */
/* What `cprof record` tells a person, all on stderr. */
#pragma once

#include <stdbool.h>

#include "session/session.h"

/** A progress line that overwrites itself; total_ns 0: no end is set. */
void summary_progress(const struct session_progress *progress, uint64_t total_ns);

/** Wipes the progress line. */
void summary_progress_end(void);

/** Warnings about what is missing; returns whether the profile is only a part of the truth. */
bool summary_losses(const struct session_stats *stats);

/** The figures of a recording. verbose: more of them. */
void summary_print(const struct session_stats *stats, const struct sampler_options *options,
		   bool verbose);
