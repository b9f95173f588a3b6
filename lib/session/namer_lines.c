/* SPDX-License-Identifier: Apache-2.0 */
/* The names themselves: a profile that holds nothing else. */
#include <errno.h>

#include "base/err.h"
#include "session/namer_priv.h"

/* Strings known by their place: then the table begins anew. */
#define MAX_TEXTS (1u << 18)

static int add_text(struct namer *n, const char *text, uint32_t *ret_id)
{
	uint64_t *known;
	int r;

	*ret_id = 0;
	if (!text)
		return 0;
	if (n->texts.n >= MAX_TEXTS)
		map64_clear(&n->texts);
	r = map64_put(&n->texts, (uintptr_t)text, &known);
	if (r < 0)
		return err_trace(r);
	if (!*known) {
		uint32_t id = 0;

		r = profile_string(n->names, text, &id);
		if (r < 0)
			return r;
		*known = id;
	}
	*ret_id = (uint32_t)*known;
	return 0;
}

static int add_lines(struct namer *n, uint32_t location, const struct symbol_lines *lines)
{
	struct profile_line out[SYMBOL_MAX_INLINED];
	uint32_t id;
	int r = 0;

	for (uint32_t i = 0; i < lines->n_lines && r >= 0; i++) {
		const struct symbol_line *line = &lines->lines[i];
		struct profile_function function = {.start_line = line->start_line};

		/* pprof demangles and shortens a name that equals the system name. */
		r = add_text(n, line->system_name, &function.system_name);
		function.name = function.system_name;
		if (r >= 0)
			r = add_text(n, line->file, &function.file);
		if (r >= 0)
			r = profile_function_intern(n->names, &function, &out[i].function);
		out[i].line = line->line;
		out[i].column = line->column;
	}
	if (r < 0 || !lines->n_lines)
		return r;
	r = profile_location_add(n->names, 0, location, out, lines->n_lines, &id);
	while (r >= 0 && n->locations.n < location) {
		if (!vec_push(&n->locations))
			r = -ENOMEM;
	}
	if (r >= 0)
		n->locations.items[location - 1] = id;
	return err_trace(r);
}

int namer_add_lines(struct namer *n, uint32_t location, const struct symbol_lines *lines)
{
	int r;

	pthread_mutex_lock(&n->lock);
	r = add_lines(n, location, lines);
	pthread_mutex_unlock(&n->lock);
	return r;
}

const struct profile *namer_names(const struct namer *n)
{
	return n->names;
}

uint32_t namer_location(const struct namer *n, uint32_t location)
{
	return location - 1 < n->locations.n ? n->locations.items[location - 1] : 0;
}
