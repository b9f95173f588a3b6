/* SPDX-License-Identifier: Apache-2.0 */
/* From the namer's tables into a profile. */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "session/namer_priv.h"

/* A mapping may claim something only if it holds for every location that is used in it: pprof
 * does not symbolize again what claims to be complete. */
struct claims {
	bool used, no_functions, no_filenames, no_line_numbers;
};

/* The function of the namer's profile in ours. */
static int find_function(const struct namer *n, struct profile *to, uint32_t id, uint32_t *ret_id)
{
	const struct profile_function *from = profile_function(n->names, id);
	struct profile_function function = {.start_line = from->start_line};
	int r;

	r = profile_string(to, profile_get_string(n->names, from->system_name),
			   &function.system_name);
	function.name = function.system_name;
	if (r >= 0)
		r = profile_string(to, profile_get_string(n->names, from->file), &function.file);
	return r < 0 ? r : profile_function_intern(to, &function, ret_id);
}

/* functions: the namer's functions in our profile, by id - 1; 0 = not looked up yet. */
static int set_lines(const struct namer *n, struct profile *to, uint32_t location, uint32_t from,
		     uint32_t *functions)
{
	const struct profile_location *named = profile_location(n->names, from);
	const struct profile_line *lines = profile_location_lines(n->names, named);
	struct profile_line out[SYMBOL_MAX_INLINED];
	int r = 0;

	for (uint32_t i = 0; i < named->n_lines && r >= 0; i++) {
		uint32_t *function = &functions[lines[i].function - 1];

		if (!*function)
			r = find_function(n, to, lines[i].function, function);
		out[i] = lines[i];
		out[i].function = *function;
	}
	return r < 0 ? r : profile_location_set_lines(to, location, out, named->n_lines);
}

static int set_names(const struct namer *n, struct profile *to)
{
	_cleanup_free_ uint32_t *functions =
		calloc(profile_n_functions(n->names) + 1, sizeof(*functions));
	int r = functions ? 0 : -ENOMEM;

	for (uint32_t id = 1; id <= profile_n_locations(to) && r >= 0; id++) {
		uint32_t from = namer_location(n, id);

		if (from && !profile_location(to, id)->n_lines)
			r = set_lines(n, to, id, from, functions);
	}
	return err_trace(r);
}

static void look_at(const struct profile *profile, const struct profile_location *location,
		    struct claims *claims)
{
	const struct profile_line *lines = profile_location_lines(profile, location);

	claims->used = true;
	if (!lines)
		claims->no_functions = claims->no_filenames = claims->no_line_numbers = true;
	for (uint32_t i = 0; i < location->n_lines; i++) {
		claims->no_filenames |= !profile_function(profile, lines[i].function)->file;
		claims->no_line_numbers |= !lines[i].line;
	}
}

static int set_claims(const struct namer *n, struct profile *to)
{
	_cleanup_free_ struct claims *claims = calloc(profile_n_mappings(to) + 1, sizeof(*claims));

	if (!claims)
		return err_trace(-ENOMEM);
	for (uint32_t id = 1; id <= profile_n_locations(to); id++) {
		const struct profile_location *location = profile_location(to, id);

		/* Names in brackets have no address. */
		if (location->address || !location->n_lines)
			look_at(to, location, &claims[location->mapping]);
	}
	for (uint32_t id = 1; id <= profile_n_mappings(to); id++) {
		struct profile_mapping *mapping = profile_mapping(to, id);

		if (!claims[id].used)
			continue;
		mapping->has_functions = !claims[id].no_functions;
		mapping->has_filenames = !claims[id].no_filenames;
		mapping->has_line_numbers = !claims[id].no_line_numbers;
		mapping->has_inline_frames = n->inlines && !claims[id].no_line_numbers;
	}
	return 0;
}

int namer_copy_lines(struct namer *n, struct profile *to)
{
	int r;

	pthread_mutex_lock(&n->lock);
	r = set_names(n, to);
	pthread_mutex_unlock(&n->lock);
	return r < 0 ? err_trace(r) : set_claims(n, to);
}
