/* SPDX-License-Identifier: Apache-2.0 */
#include "push_say.h"

#include <inttypes.h>
#include <stdio.h>

#include "push_options.h"

/* "503: try later", "Connection refused". */
static void write_reason(char *text, size_t cap, const struct push_event *event)
{
	if (event->status)
		snprintf(text, cap, "status %u%s%s", event->status, event->text[0] ? ": " : "",
			 event->text);
	else
		snprintf(text, cap, "%s", event->text);
}

/* What to do about it. */
static const char *way_out(const struct push_event *event)
{
	if (event->distrusted)
		return "; --push-ca names a file of certificates to trust";
	if (event->status == 401 || event->status == 403)
		return "; --push-auth-file names a file with a password or token";
	if (event->status >= 300 && event->status < 400)
		return "; redirects are not followed: give --push the address that it leads to";
	return event->status == 404 ? "; is it the address of a Pyroscope server?" : "";
}

void push_say(void *user, const struct push_event *event)
{
	const struct push_command *command = user;
	char reason[320];

	write_reason(reason, sizeof(reason), event);
	switch (event->kind) {
	case PUSH_EVENT_FAILING:
		fprintf(stderr, "cprof: cannot push to %s (%s); trying again\n", command->url,
			reason);
		break;
	case PUSH_EVENT_REFUSED:
		fprintf(stderr, "cprof: a profile was refused by %s (%s)%s\n", command->url, reason,
			way_out(event));
		break;
	case PUSH_EVENT_DROPPED:
		fprintf(stderr, "cprof: %" PRIu64 " profiles were dropped: too many wait for %s\n",
			event->n, command->url);
		break;
	case PUSH_EVENT_RECOVERED:
		fprintf(stderr, "cprof: pushes to %s succeed again\n", command->url);
		break;
	}
}
