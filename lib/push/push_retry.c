/* SPDX-License-Identifier: Apache-2.0 */
/* Whether to try again, and when. */
#include "base/cleanup.h"
#include "base/clock.h"
#include "push/push_priv.h"

#define FIRST_WAIT NSEC_PER_SEC
#define LONGEST_WAIT (60 * NSEC_PER_SEC)
/* A server that asks for more is asked again all the same. */
#define LONGEST_ASKED (600 * NSEC_PER_SEC)

/* 429: the tenant sends too much now; 408: the body did not come in time, as Pyroscope has it
 * (ingest_handler.go), or the request. */
enum push_verdict push_retry_verdict(unsigned status)
{
	if (status >= 200 && status < 300)
		return PUSH_TAKEN;
	return status == 408 || status == 429 || (status >= 500 && status < 600) ? PUSH_AGAIN
										 : PUSH_REFUSED;
}

/* Spread over the upper half: many cprofs that one server failed do not come back as one. */
uint64_t push_retry_wait_ns(unsigned failures, uint32_t random, uint64_t retry_after_ns)
{
	uint64_t wait = FIRST_WAIT, asked = MIN(retry_after_ns, LONGEST_ASKED);

	for (unsigned i = 1; i < failures && wait < LONGEST_WAIT; i++)
		wait *= 2;
	wait = MIN(wait, LONGEST_WAIT);
	wait = wait / 2 + (wait / 2 * (random % 1024)) / 1023;
	return MAX(wait, asked);
}
