/* SPDX-License-Identifier: Apache-2.0 */
#include "session/custom.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

DEFINE_CLEANUP(struct custom *, custom_free)

struct custom *custom_free(struct custom *custom)
{
	if (!custom)
		return NULL;
	for (size_t i = 0; i < custom->calls.n; i++)
		free((char *)custom->calls.items[i].function);
	vec_deinit(&custom->calls);
	free(custom->name);
	free(custom);
	return NULL;
}

bool custom_is_name(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || n > CUSTOM_MAX_NAME || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!isalnum((unsigned char)name[i]) && !strchr("_-.", name[i]))
			return false;
	}
	return true;
}

/* --- one word --- */

static int refuse(struct custom_error *error, const char *word, const char *expected)
{
	snprintf(error->word, sizeof(error->word), "%s", word);
	error->expected = expected;
	return -EINVAL;
}

static bool parse_arg(const char *text, uint8_t *ret_arg)
{
	if (strncmp(text, "arg", 3) != 0 || text[3] < '0' || text[3] >= '0' + AGENT_MAX_ARGS ||
	    text[4])
		return false;
	*ret_arg = (uint8_t)(text[3] - '0');
	return true;
}

static bool parse_key(const char *text, struct agent_action *action)
{
	if (strcmp(text, "ret") == 0) {
		action->key = AGENT_KEY_RET;
		return action->what == AGENT_ADD;
	}
	if (text[0] == '*' && action->what == AGENT_ADD) {
		action->key = AGENT_KEY_OUT;
		return parse_arg(text + 1, &action->key_arg);
	}
	action->key = AGENT_KEY_ARG;
	return parse_arg(text, &action->key_arg);
}

static bool parse_more(const char *text, struct agent_action *action)
{
	if (strcmp(text, "int") == 0) {
		action->flags |= AGENT_INT;
	} else if (strcmp(text, "pair") == 0 && action->key == AGENT_KEY_OUT) {
		action->key = AGENT_KEY_PAIR;
		action->flags |= AGENT_INT;
	} else if (strcmp(text, "ok") == 0 && action->what == AGENT_REMOVE) {
		action->flags |= AGENT_IF_ZERO;
	} else if (strcmp(text, "many") == 0 && action->what == AGENT_ADD) {
		action->flags |= AGENT_MANY;
	} else if (strcmp(text, "dup") == 0 && action->what == AGENT_ADD) {
		action->flags |= AGENT_IF_DUP;
	} else {
		return false;
	}
	return true;
}

static bool is_function(const char *text)
{
	if (!*text || isdigit((unsigned char)*text))
		return false;
	for (; *text; text++) {
		if (!isalnum((unsigned char)*text) && !strchr("_.$@", *text))
			return false;
	}
	return true;
}

/* What has to be known of some functions. */
static void note_function(const char *function, struct agent_action *action)
{
	if (strcmp(function, "pthread_create") == 0 && action->what == AGENT_ADD)
		action->flags |= AGENT_JOINABLE;
	if (strcmp(function, "dlopen") == 0 && action->what == AGENT_ADD)
		action->flags |= AGENT_NO_ORIGIN;
}

static int parse_call(struct custom *custom, enum agent_what what, char *text, const char *word,
		      struct custom_error *error)
{
	struct agent_action action = {.what = (uint8_t)what,
				      .key = what == AGENT_ADD ? AGENT_KEY_RET : AGENT_KEY_ARG};
	char *function = strsep(&text, ":"), *part;
	struct inject_custom *call;
	bool first = true;

	if (!is_function(function))
		return refuse(error, word, "the name of a function behind the =");
	if (!inject_may_wrap(function))
		return refuse(error, word,
			      "a function that returns once, and does not look at its caller");
	for (; (part = strsep(&text, ":")); first = false) {
		if ((!first || !parse_key(part, &action)) && !parse_more(part, &action))
			return refuse(error, word,
				      what == AGENT_ADD
					      ? "behind the function :ret, :arg0 to :arg5 or "
						":*arg0 to :*arg5, then :int, :pair or :many"
					      : "behind the function :arg0 to :arg5, then :int or "
						":ok");
	}
	note_function(function, &action);
	call = custom->calls.n < CUSTOM_MAX_CALLS ? vec_push(&custom->calls) : NULL;
	if (!call)
		return -ENOMEM;
	call->action = action;
	call->required = true;
	call->function = strdup(function);
	return call->function ? 0 : -ENOMEM;
}

static int parse_size(struct custom *custom, const char *text, const char *word,
		      struct custom_error *error)
{
	bool any = false;
	uint8_t n;

	if (!parse_arg(text, &n))
		return refuse(error, word, "arg0 to arg5 behind size=");
	for (size_t i = 0; i < custom->calls.n; i++) {
		struct agent_action *action = &custom->calls.items[i].action;

		if (action->what != AGENT_ADD || action->size_arg)
			continue;
		action->size_arg = n + 1;
		any = true;
	}
	custom->has_size = true;
	return any ? 0 : refuse(error, word, "an add= before it whose size it is");
}

static int parse_word(struct custom *custom, char *word, struct custom_error *error)
{
	_cleanup_free_ char *copy = strdup(word);

	if (!copy)
		return -ENOMEM;
	if (strncmp(word, "add=", 4) == 0)
		return parse_call(custom, AGENT_ADD, copy + 4, word, error);
	if (strncmp(word, "remove=", 7) == 0)
		return parse_call(custom, AGENT_REMOVE, copy + 7, word, error);
	if (strncmp(word, "size=", 5) == 0)
		return parse_size(custom, copy + 5, word, error);
	return refuse(error, word, "add=FUNC, remove=FUNC or size=argN");
}

/* --- a declaration --- */

static char *trim(char *text)
{
	size_t n;

	while (isspace((unsigned char)*text))
		text++;
	n = strlen(text);
	while (n && isspace((unsigned char)text[n - 1]))
		text[--n] = 0;
	return text;
}

/* What a call replaces, as dup2(2) does, need not have been there. */
static void mark_replaced(struct custom *custom)
{
	for (size_t i = 0; i < custom->calls.n; i++) {
		struct inject_custom *call = &custom->calls.items[i];

		for (size_t k = 0; k < custom->calls.n; k++) {
			if (call->action.what == AGENT_REMOVE &&
			    custom->calls.items[k].action.what == AGENT_ADD &&
			    strcmp(call->function, custom->calls.items[k].function) == 0)
				call->action.flags |= AGENT_PERHAPS;
		}
	}
}

static int check_whole(const struct custom *custom, struct custom_error *error)
{
	bool adds = false;

	for (size_t i = 0; i < custom->calls.n; i++) {
		const struct inject_custom *call = &custom->calls.items[i];
		unsigned same = 0;

		adds |= call->action.what == AGENT_ADD;
		if (call->action.what == AGENT_ADD && custom->has_size && !call->action.size_arg)
			return refuse(error, call->function, "a size=argN behind it, as the others have");
		for (size_t k = 0; k < custom->calls.n; k++)
			same += strcmp(call->function, custom->calls.items[k].function) == 0;
		if (same > AGENT_MAX_ACTIONS)
			return refuse(error, call->function, "this function at most four times");
	}
	return adds ? 0 : refuse(error, custom->name, "an add= word");
}

int custom_parse(const char *text, struct custom **ret_custom, struct custom_error *ret_error)
{
	_cleanup_(custom_free_cleanup) struct custom *custom = calloc(1, sizeof(*custom));
	_cleanup_free_ char *copy = strdup(text);
	char *rest = copy, *name, *word;
	int r = 0;

	if (!custom || !copy)
		return err_trace(-ENOMEM);
	name = trim(strsep(&rest, ":"));
	if (!custom_is_name(name) || !rest)
		return refuse(ret_error, name, "a NAME of letters, digits, _ - and ., then a colon");
	custom->name = strdup(name);
	if (!custom->name)
		return err_trace(-ENOMEM);
	while (r == 0 && (word = strsep(&rest, ",")))
		r = parse_word(custom, trim(word), ret_error);
	if (r == 0)
		r = check_whole(custom, ret_error);
	if (r < 0)
		return r;
	mark_replaced(custom);
	*ret_custom = take_ptr(custom);
	return 0;
}

int custom_probe(const char *name, struct custom **ret_custom)
{
	_cleanup_(custom_free_cleanup) struct custom *custom = calloc(1, sizeof(*custom));

	if (!custom)
		return err_trace(-ENOMEM);
	custom->is_probe = true;
	custom->name = strdup(name);
	for (unsigned what = AGENT_ADD; what <= AGENT_COUNT; what++) {
		struct inject_custom *call = vec_push(&custom->calls);

		if (!call)
			return err_trace(-ENOMEM);
		call->is_probe = true;
		call->action.what = (uint8_t)what;
		call->action.skip_arg = what == AGENT_ADD ? 2 : 0;
		call->function = strdup(name);
		if (!call->function || !custom->name)
			return err_trace(-ENOMEM);
	}
	*ret_custom = take_ptr(custom);
	return 0;
}
