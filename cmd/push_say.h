/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to pushes, in sentences. */
#pragma once

#include "push/push.h"

/** Prints an event; for push_options.on_event, with a struct push_command. */
void push_say(void *user, const struct push_event *event);
