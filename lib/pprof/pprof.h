/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof files: gzip-packed profile.proto messages, to and from the data model.
 */
#pragma once

#include <stddef.h>

#include "base/sink.h"
#include "profile/profile.h"

/**
 * Writes a profile, gzip level 1 as Go does.
 *
 * @param sink	where to; receives pieces as they are packed
 * @return 0, the sink's error, -ENOMEM
 */
int pprof_write(const struct profile *profile, struct sink *sink);

/**
 * Reads a file image, packed or plain, and checks all that pprof's own CheckValid and Parca's and
 * Pyroscope's validators check (string indexes in range, ids 1..n in order, references that exist,
 * value counts, UTF-8). Of several labels of a sample with one key the first is kept.
 *
 * @param bytes		borrowed
 * @param ret_why	on -EBADMSG a static sentence, without capital and full stop, that says what
 *			is wrong with "it", the file; may be NULL
 * @param ret_profile	caller frees
 * @return 0, -EBADMSG, -ENOMEM, -EFBIG when it unpacks to more than 1 GiB or then needs more than
 *	   4 GiB of memory
 */
int pprof_read(const void *bytes, size_t size, const char **ret_why, struct profile **ret_profile);
