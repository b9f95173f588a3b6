/* SPDX-License-Identifier: Apache-2.0 */
/* Options of commands that push profiles to a server, and what is said about it. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "options.h"
#include "push/push.h"

/* Behind those of sampling.h and of the commands. */
enum {
	PUSH_OPTION_URL = 400,
	PUSH_OPTION_NAME,
	PUSH_OPTION_LABEL,
	PUSH_OPTION_TENANT,
	PUSH_OPTION_AUTH_FILE,
	PUSH_OPTION_CA,
};

/* Rows of an option_table. */
#define PUSH_ROWS                                                                                  \
	{PUSH_OPTION_URL, "push", "URL",                                                           \
	 "send profiles to this Pyroscope server, e.g. http://127.0.0.1:4040"},                    \
		{PUSH_OPTION_NAME, "push-name", "NAME",                                            \
		 "what the server calls the program (default: its name)"},                         \
		{PUSH_OPTION_LABEL, "push-label", "KEY=VALUE",                                     \
		 "a label beside hostname and pid; may be repeated; KEY= leaves it out"},          \
		{PUSH_OPTION_TENANT, "push-tenant", "ID", "the tenant, as X-Scope-OrgID"},         \
		{PUSH_OPTION_AUTH_FILE, "push-auth-file", "FILE",                                  \
		 "user:password, or a bearer token, in the first line of this file", OPTION_FILE}, \
	{                                                                                          \
		PUSH_OPTION_CA, "push-ca", "FILE",                                                 \
			"trust the certificates in this file instead of the system's", OPTION_FILE \
	}

struct push_command {
	char *url; /* NULL: nothing is pushed */
	const char *name, *tenant, *ca_path;
	const char *first;                         /* of the options that want --push */
	struct push_label labels[PUSH_MAX_LABELS]; /* with two to spare: see push_options_start() */
	char *keys[PUSH_MAX_LABELS];               /* those of labels that were given */
	unsigned n_labels, n_keys;
	char host_name[256], pid[16], own_name[64], auth[1024];
};

/** Releases what the options made. */
void push_options_deinit(struct push_command *command);

/** Takes one of the options above. False after saying what is wrong with it, or for one that is
 * none of them. */
bool push_options_parse(struct push_command *command, int option, const char *text);

/** After the last option: do they go together? False after saying why not. */
bool push_options_check(const struct push_command *command);

/**
 * Starts to push. The command must live as long as what it makes.
 *
 * @param name	the program's, which need not be fit for the server
 * @param max_samples	of a profile; 0: the default
 * @param ret_push	NULL when nothing is to be pushed
 * @return false after saying why not
 */
bool push_options_start(const struct push_command *command, const char *name, pid_t pid,
			uint32_t max_samples, struct push **ret_push);
