/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: packing, unpacking, and the checks of a message. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/sink.h"
#include "pprof/profile.pb-c.h"

#define PPROF_MAX_UNPACKED ((size_t)1 << 30)

struct pprof_gzip;

/** Starts a gzip member, level 1, that is written to a borrowed sink. Returns 0 or -ENOMEM. */
int pprof_gzip_new(struct sink *sink, struct pprof_gzip **ret_gzip);
struct pprof_gzip *pprof_gzip_free(struct pprof_gzip *gzip);

/** Room for `size` bytes to be packed. What was reserved before counts as written.
 * Returns 0, the sink's error, -ENOMEM. */
int pprof_gzip_reserve(struct pprof_gzip *gzip, size_t size, uint8_t **ret_room);

/** Ends the member and writes what is left. Returns 0 or the sink's error. */
int pprof_gzip_finish(struct pprof_gzip *gzip);

/** Whether the bytes begin as a gzip file does (RFC 1952 section 2.3.1). */
bool pprof_is_gzip(const uint8_t *bytes, size_t size);

/**
 * Unpacks a gzip file of one or more members.
 *
 * @param ret_why	on -EBADMSG a static sentence
 * @param ret_plain	caller frees
 * @return 0, -EBADMSG, -ENOMEM, -EFBIG beyond PPROF_MAX_UNPACKED
 */
int pprof_gunzip(const uint8_t *bytes, size_t size, const char **ret_why, uint8_t **ret_plain,
		 size_t *ret_size);

/** Whether the encoded message has a second time_nanos: pprof takes that for two profiles written
 * one behind the other (errConcatProfile in google/pprof profile/profile.go). An encoding that is
 * damaged is not joined. */
bool pprof_is_joined(const uint8_t *bytes, size_t size);

/** Checks what pprof_read() promises. Returns NULL, or a static sentence that says what is wrong.
 */
const char *pprof_validate(const Perftools__Profiles__Profile *message);
