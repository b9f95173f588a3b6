/* SPDX-License-Identifier: Apache-2.0 */
#include "push_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "push_say.h"
#include "secret_file.h"

#define OWN_LABELS 2 /* hostname, pid */

void push_options_deinit(struct push_command *command)
{
	free(command->url);
	for (unsigned i = 0; i < command->n_keys; i++)
		free(command->keys[i]);
	explicit_bzero(command->auth, sizeof(command->auth));
}

/* The address is not printed again: there may be a password in it. */
static bool parse_url(struct push_command *command, const char *text)
{
	char *url = NULL;
	int r = push_url_make(text, &url);

	switch (r) {
	case 0:
		free(command->url);
		command->url = url;
		return true;
	case PUSH_URL_CREDENTIALS:
		fprintf(stderr, "cprof: everybody on this machine can see a user or password in "
				"--push URL; "
				"put it into a file and name\nthat with --push-auth-file.\n");
		return false;
	case PUSH_URL_SCHEME:
		fprintf(stderr, "cprof: --push wants an address with http:// or https://.\n");
		return false;
	case PUSH_URL_QUERY:
		fprintf(stderr,
			"cprof: --push wants an address without '?' and '#'; --push-name and "
			"--push-label say whose\nprofiles they are.\n");
		return false;
	case PUSH_URL_MALFORMED:
		fprintf(stderr, "cprof: --push wants an address such as http://127.0.0.1:4040.\n");
		return false;
	default:
		fprintf(stderr, "cprof: out of memory\n");
		return false;
	}
}

static bool explain_label(int why, const char *text)
{
	if (why == PUSH_LABEL_KEY)
		fprintf(stderr,
			"cprof: --push-label wants KEY=VALUE with a key of letters, digits, dots "
			"and "
			"underscores\nthat begins with no digit and not with '__', not '%s'.\n",
			text);
	else if (why == PUSH_LABEL_TOO_LONG)
		fprintf(stderr,
			"cprof: --push-label: keys have 1024 bytes at most, values 2048.\n");
	else
		fprintf(stderr,
			"cprof: --push-label: Pyroscope cannot read a value with ',' or '}', or "
			"one "
			"with control characters: '%s'.\n",
			text);
	return false;
}

static bool has_label(const struct push_command *command, const char *key)
{
	for (unsigned i = 0; i < command->n_labels; i++) {
		if (strcmp(command->labels[i].key, key) == 0)
			return true;
	}
	return false;
}

/* An empty value stands for a label that is to be left out. */
static bool parse_label(struct push_command *command, const char *text)
{
	const char *equals = strchr(text, '=');
	char *key;
	int r;

	if (!equals)
		return explain_label(PUSH_LABEL_KEY, text);
	if (command->n_labels >= PUSH_MAX_LABELS - OWN_LABELS) {
		fprintf(stderr, "cprof: --push-label may be given %d times at most.\n",
			PUSH_MAX_LABELS - OWN_LABELS);
		return false;
	}
	key = strndup(text, (size_t)(equals - text));
	if (!key) {
		fprintf(stderr, "cprof: out of memory\n");
		return false;
	}
	command->keys[command->n_keys++] = key;
	r = push_label_check(key, equals[1] ? equals + 1 : "x");
	if (r)
		return explain_label(r, text);
	if (has_label(command, key)) {
		fprintf(stderr, "cprof: --push-label %s is there twice.\n", key);
		return false;
	}
	command->labels[command->n_labels++] = (struct push_label){key, equals + 1};
	return true;
}

static bool parse_name(struct push_command *command, const char *text)
{
	command->name = text;
	if (push_name_is_valid(text))
		return true;
	fprintf(stderr,
		"cprof: --push-name wants letters, digits, '-', '.', '/' and '_', not '%s'.\n",
		text);
	return false;
}

/* Goes into a header as it is. */
static bool parse_tenant(struct push_command *command, const char *text)
{
	char clean[151];

	command->tenant = text;
	text_clean(clean, sizeof(clean), text, strlen(text));
	if (*text && strcmp(clean, text) == 0)
		return true;
	fprintf(stderr, "cprof: --push-tenant wants 1 to 150 bytes without control characters.\n");
	return false;
}

static bool parse_ca(struct push_command *command, const char *text)
{
	command->ca_path = text;
	if (access(text, R_OK) == 0)
		return true;
	fprintf(stderr, "cprof: cannot read the certificates in %s: %m\n", text);
	return false;
}

bool push_options_parse(struct push_command *command, int option, const char *text)
{
	static const char *const names[] = {"--push-name", "--push-label", "--push-tenant",
					    "--push-auth-file", "--push-ca"};

	if (option > PUSH_OPTION_URL && option <= PUSH_OPTION_CA && !command->first)
		command->first = names[option - PUSH_OPTION_NAME];
	switch (option) {
	case PUSH_OPTION_URL:
		return parse_url(command, text);
	case PUSH_OPTION_NAME:
		return parse_name(command, text);
	case PUSH_OPTION_LABEL:
		return parse_label(command, text);
	case PUSH_OPTION_TENANT:
		return parse_tenant(command, text);
	case PUSH_OPTION_AUTH_FILE:
		return secret_file_read(text, "password or token", command->auth,
					sizeof(command->auth));
	case PUSH_OPTION_CA:
		return parse_ca(command, text);
	default:
		return false;
	}
}

bool push_options_check(const struct push_command *command)
{
	if (!command->url && command->first) {
		fprintf(stderr, "cprof: %s goes with --push URL only.\n", command->first);
		return false;
	}
	if (!command->url)
		return true;
	if (!push_is_available()) {
		fprintf(stderr, "cprof: --push wants libcurl.so.4, in Debian of the package "
				"libcurl4.\n");
		return false;
	}
	if (command->auth[0] && push_url_is_open(command->url))
		fprintf(stderr,
			"cprof: %s gets the password or token unencrypted; https:// encrypts it.\n",
			command->url);
	return true;
}

/* Those that are not given otherwise. */
static void add_own_labels(struct push_command *command, pid_t pid)
{
	char host_name[sizeof(command->host_name)] = "";

	(void)gethostname(host_name, sizeof(host_name) - 1);
	text_clean(command->host_name, sizeof(command->host_name), host_name, strlen(host_name));
	if (!has_label(command, "hostname") &&
	    push_label_check("hostname", command->host_name) == 0)
		command->labels[command->n_labels++] =
			(struct push_label){"hostname", command->host_name};
	snprintf(command->pid, sizeof(command->pid), "%d", pid);
	if (!has_label(command, "pid"))
		command->labels[command->n_labels++] = (struct push_label){"pid", command->pid};
}

static void drop_empty_labels(struct push_command *command)
{
	unsigned n = 0;

	for (unsigned i = 0; i < command->n_labels; i++) {
		if (command->labels[i].value[0])
			command->labels[n++] = command->labels[i];
	}
	command->n_labels = n;
}

bool push_options_start(const struct push_command *command, const char *name, pid_t pid,
			uint32_t max_samples, struct push **ret_push)
{
	/* Labels of one process are not those of the next. */
	struct push_command own = *command;
	struct push_options options;
	int r;

	*ret_push = NULL;
	if (!command->url)
		return true;
	add_own_labels(&own, pid);
	drop_empty_labels(&own);
	snprintf(own.own_name, sizeof(own.own_name), "%s", name);
	push_name_clean(own.own_name);
	options = (struct push_options){
		.url = command->url,
		.name = command->name ? command->name : own.own_name,
		.labels = own.labels,
		.n_labels = own.n_labels,
		.tenant = command->tenant,
		.auth = command->auth[0] ? command->auth : NULL,
		.ca_path = command->ca_path,
		.max_samples = max_samples,
		.on_event = push_say,
		.user = (void *)(uintptr_t)command,
	};
	r = push_new(&options, ret_push);
	if (r < 0)
		fprintf(stderr, "cprof: cannot start to push: %s\n", strerror(-r));
	return r >= 0;
}
