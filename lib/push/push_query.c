/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parameters of a request: whose profile it is, and of when.
 *
 * `name=app{key=value,key=value}`, where the server's parser (api/model/labelset/labelset.go) knows
 * no quotes: a value ends at the first ',' or '}'.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/sink.h"
#include "base/text.h"
#include "push/push_priv.h"

#define MAX_KEY 1024
#define MAX_VALUE 2048

/* Not isalnum(3), which goes by the locale. */
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '.';
}

static bool is_of_name(char c)
{
	return is_word(c) || c == '-' || c == '/';
}

bool push_name_is_valid(const char *name)
{
	size_t n = 0;

	while (is_of_name(name[n]))
		n++;
	return n > 0 && n <= MAX_VALUE && !name[n];
}

void push_name_clean(char *name)
{
	for (char *c = name; *c; c++)
		*c = is_of_name(*c) ? *c : '_';
}

int push_label_check(const char *key, const char *value)
{
	size_t n = 0, size = strlen(value);
	char clean[MAX_VALUE + 1];

	while (is_word(key[n]))
		n++;
	/* Those that begin with "__" are the server's own: others it leaves out
	 * (IsLabelAllowedForIngestion in pkg/model/labels.go). */
	if (!n || key[n] || isdigit((unsigned char)key[0]) || strncmp(key, "__", 2) == 0)
		return PUSH_LABEL_KEY;
	if (n > MAX_KEY || size > MAX_VALUE)
		return PUSH_LABEL_TOO_LONG;
	text_clean(clean, sizeof(clean), value, size);
	if (!size || strpbrk(value, ",}") || strcmp(clean, value) != 0)
		return PUSH_LABEL_VALUE;
	return 0;
}

/* With escapes as of RFC 3986, where nothing but "unreserved" stays as it is. */
static int add_escaped(struct sink *sink, const char *text)
{
	int r = 0;

	for (; *text && r >= 0; text++)
		r = is_word(*text) || *text == '-' || *text == '~'
			    ? sink_write(sink, text, 1)
			    : sink_printf(sink, "%%%02X", (unsigned char)*text);
	return r;
}

static int add_all(struct sink *sink, const char *url, const char *name,
		   const struct push_label *labels, unsigned n_labels, int64_t from, int64_t until,
		   bool is_form)
{
	int r = sink_printf(sink, "%s?name=", url);

	if (r >= 0)
		r = add_escaped(sink, name);
	for (unsigned i = 0; i < n_labels && r >= 0; i++) {
		r = add_escaped(sink, i ? "," : "{");
		if (r >= 0)
			r = add_escaped(sink, labels[i].key);
		if (r >= 0)
			r = add_escaped(sink, "=");
		if (r >= 0)
			r = add_escaped(sink, labels[i].value);
	}
	if (r >= 0 && n_labels)
		r = add_escaped(sink, "}");
	if (r >= 0)
		r = sink_printf(sink, "&from=%" PRId64 "&until=%" PRId64 "&spyName=cprof%s",
				from / (int64_t)NSEC_PER_SEC, until / (int64_t)NSEC_PER_SEC,
				is_form ? "" : "&format=pprof");
	return r < 0 ? r : sink_write(sink, "", 1);
}

int push_query_make(const char *url, const char *name, const struct push_label *labels,
		    unsigned n_labels, int64_t from, int64_t until, bool is_form, char **ret_url)
{
	struct sink_memory text;
	int r;

	sink_memory_init(&text);
	r = add_all(&text.sink, url, name, labels, n_labels, from, until, is_form);
	if (r >= 0)
		*ret_url = take_ptr(text.bytes);
	sink_memory_deinit(&text);
	return r < 0 ? err_trace(r) : 0;
}
