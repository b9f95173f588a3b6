/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data model of a profile, close to pprof's profile.proto: everything is interned, samples are
 * aggregated by (stack, labels). Ids of mappings, functions and locations are 1..n in the order of
 * making; 0 means none. Knows no process, no ELF and no file format. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile;

#define PROFILE_MAX_TYPES 12

struct profile_value_type {
	const char *type, *unit; /* "cpu", "nanoseconds" */
};

/** What a profile measures. */
struct profile_spec {
	struct profile_value_type sample_types[PROFILE_MAX_TYPES];
	uint32_t n_sample_types;
	struct profile_value_type period_type;
	int64_t period;
	const char *default_sample_type; /* NULL: the last one */
};

/** Makes an empty profile; the spec and its strings are copied. Returns 0, -ENOMEM, or -EINVAL for
 * more than PROFILE_MAX_TYPES sample types. */
int profile_new(const struct profile_spec *spec, struct profile **ret_profile);
struct profile *profile_free(struct profile *profile);

/** The spec, with strings that live as long as the profile. */
const struct profile_spec *profile_get_spec(const struct profile *profile);

/* Pointers that the functions below return are valid until the next item of that kind is made;
 * those to strings as long as the profile. Ids given to them must exist: functions that return int
 * answer -EINVAL for one that does not. */

#define PROFILE_MAX_STRING 65536 /* bytes; longer texts end in U+2026 there */

/** String table: number of a string ("" is 0), and back. Bytes that are not valid UTF-8 are
 * replaced by U+FFFD, because pprof's readers reject such files. NULL counts as "".
 * Returns 0 or -ENOMEM. */
int profile_string(struct profile *profile, const char *text, uint32_t *ret_id);
const char *profile_get_string(const struct profile *profile, uint32_t id);
uint32_t profile_n_strings(const struct profile *profile);

/** Whether a text is valid UTF-8 (RFC 3629: shortest form, no surrogates, up to U+10FFFF). */
bool profile_is_utf8(const char *text);

struct profile_mapping {
	uint64_t start, limit, offset; /* target addresses; file offset */
	uint32_t file, build_id;       /* string ids */
	bool has_functions, has_filenames, has_line_numbers, has_inline_frames;
};

/** Adds a mapping; the first one must be the main executable. Returns 0 or -ENOMEM. */
int profile_mapping_add(struct profile *profile, const struct profile_mapping *mapping,
			uint32_t *ret_id);
struct profile_mapping *profile_mapping(const struct profile *profile, uint32_t id);
uint32_t profile_n_mappings(const struct profile *profile);

struct profile_function {
	uint32_t name, system_name, file; /* string ids */
	uint32_t start_line;
};

/** Finds or adds a function. Returns 0 or -ENOMEM. */
int profile_function_intern(struct profile *profile, const struct profile_function *function,
			    uint32_t *ret_id);
const struct profile_function *profile_function(const struct profile *profile, uint32_t id);
uint32_t profile_n_functions(const struct profile *profile);

/** Gives a function another name (a string id). For the last step before a profile is written:
 * profile_function_intern() goes on to find it by the old one. */
void profile_function_rename(struct profile *profile, uint32_t id, uint32_t name);

struct profile_line {
	uint32_t function, line, column;
};

struct profile_location {
	uint64_t address; /* target address: the leaf's pc, or return address minus one */
	uint32_t mapping; /* id or 0 */
	uint32_t n_lines, first_line; /* innermost first; see profile_location_lines() */
};

/** Finds or adds the location of (mapping, address). Returns 0 or -ENOMEM. */
int profile_location_intern(struct profile *profile, uint32_t mapping, uint64_t address,
			    uint32_t *ret_id);

/** Finds or adds a location without an address that only has a name, such as "[exited threads]",
 * in `mapping` (id). Its one line is set. Returns 0 or -ENOMEM. */
int profile_location_named(struct profile *profile, uint32_t mapping, const char *name,
			   uint32_t *ret_id);

/** Adds a location with its lines even when there is an equal one: for readers of files, where
 * interpreters leave many locations with address 0. Returns 0 or -ENOMEM. */
int profile_location_add(struct profile *profile, uint32_t mapping, uint64_t address,
			 const struct profile_line *lines, uint32_t n_lines, uint32_t *ret_id);

/** Sets a location's lines (copied), once. Returns 0, -ENOMEM, or -EINVAL when it has lines. */
int profile_location_set_lines(struct profile *profile, uint32_t id,
			       const struct profile_line *lines, uint32_t n_lines);
const struct profile_location *profile_location(const struct profile *profile, uint32_t id);
const struct profile_line *profile_location_lines(const struct profile *profile,
						  const struct profile_location *location);
uint32_t profile_n_locations(const struct profile *profile);

/** Finds or adds the stack that has location `leaf` on top of the stack `callers` (0: none), so a
 * stack is built from its root. Returns 0 or -ENOMEM. */
int profile_stack_intern(struct profile *profile, uint32_t callers, uint32_t leaf,
			 uint32_t *ret_id);

/** Location at the top of a stack, and the stack below it (0 at the root, always a smaller id). */
uint32_t profile_stack_leaf(const struct profile *profile, uint32_t stack);
uint32_t profile_stack_callers(const struct profile *profile, uint32_t stack);
uint32_t profile_n_stacks(const struct profile *profile);

struct profile_label {
	uint32_t key, text; /* string ids; numeric labels: text 0 and unit set */
	int64_t number;
	uint32_t unit;
};

#define PROFILE_MAX_LABELS 64 /* in one set */

/** Finds or adds a set of labels; their order does not matter. Of several labels with one key the
 * first counts; beside a text, number and unit are ignored; a label without text, number and unit
 * is left out, because readers drop it. The set's id is 0 when nothing is left. Returns 0, -ENOMEM,
 * or -EINVAL for more than PROFILE_MAX_LABELS labels. */
int profile_labels_intern(struct profile *profile, const struct profile_label *labels,
			  uint32_t n_labels, uint32_t *ret_id);

/** The labels of a set, by key; none for id 0. */
const struct profile_label *profile_labels(const struct profile *profile, uint32_t id,
					   uint32_t *ret_n);

struct profile_sample {
	uint32_t stack, labels; /* labels 0: none */
	int64_t values[PROFILE_MAX_TYPES];
};

/** Adds values (as many as sample types) to the sample of (stack, labels). Sums stop at the ends of
 * the range. Returns 0 or -ENOMEM. */
int profile_sample_add(struct profile *profile, uint32_t stack, uint32_t labels,
		       const int64_t *values);

/** A sample by its index, 0 to n - 1, in the order of making. */
const struct profile_sample *profile_sample(const struct profile *profile, uint32_t index);
uint32_t profile_n_samples(const struct profile *profile);

/** The sum of two values, held at the ends of the range instead of overflowing. */
static inline int64_t profile_value_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

/** Sum of one value over all samples; type is an index into the spec's sample types. */
int64_t profile_total(const struct profile *profile, uint32_t type);

/** Adds a line of free text. Returns 0 or -ENOMEM. */
int profile_comment_add(struct profile *profile, const char *text);
/** The same of a format and what it stands for. */
int profile_comment_format(struct profile *profile, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
uint32_t profile_n_comments(const struct profile *profile);
uint32_t profile_comment(const struct profile *profile, uint32_t index); /* string id */

/** When it began (nanoseconds since the epoch) and how long it lasted. */
void profile_set_time(struct profile *profile, int64_t time_nanos, int64_t duration_nanos);
int64_t profile_time(const struct profile *profile);
int64_t profile_duration(const struct profile *profile);

/** What is wanted of a profile. */
struct profile_part {
	struct profile_spec spec;            /* of the profile to be made */
	uint32_t columns[PROFILE_MAX_TYPES]; /* which sample types of the other one are its own */
	const char *const *label_keys;       /* labels to keep; the last one is NULL; NULL: all */
};

/** Makes a profile of a part of another one: samples whose values are all zero are left out, those
 * that became equal are added up, and of everything else only what they use is copied, but for the
 * first mapping, which is always there. Comments and times are the same. part is borrowed. Returns
 * 0, -ENOMEM, or -EINVAL for a column that does not exist. */
int profile_project(const struct profile *from, const struct profile_part *part,
		    struct profile **ret_profile);

/** Merges the smallest samples (by the last value) into one without labels, "[other]", so that no
 * more than `most`, 1 or more, are left. *profile, the caller's, is replaced; after -ENOMEM it may
 * be NULL. Returns 0 or -ENOMEM. */
int profile_prune(struct profile **profile, uint32_t most);

/** Makes a copy with the same contents under the same ids. Returns 0 or -ENOMEM. */
int profile_clone(const struct profile *from, struct profile **ret_profile);

/** Makes a profile without samples, stacks, labels and comments that has the mappings, functions
 * and locations of another one under the same ids. Returns 0 or -ENOMEM. */
int profile_renew(const struct profile *from, struct profile **ret_profile);

/**
 * Adds the samples of a profile to another one. Mappings of the same piece of a file at the same
 * place, and locations at the same address in them (with the same name, where there is no address)
 * are one; a location that is named in one of them has that name. A mapping claims to be symbolized
 * if all locations of it are. Comments are united. Times stay those of `to`.
 *
 * @param to	empty, or made by this function from profiles without duplicates
 * @return 0; -ENOMEM, after which a part of it was added; -EINVAL when the types differ
 */
int profile_append(struct profile *to, const struct profile *from);

/** A label to be added. */
struct profile_word {
	const char *key, *text;
};

/**
 * Adds a profile of another process. Of mappings those are one that have the same piece of the same
 * file, which a build id tells; addresses are moved to where `to` has it. Times span both; the rest
 * is as in profile_append().
 *
 * @param words		labels for each sample that has none of that key; borrowed
 * @return 0; -EINVAL when the types or periods differ; -ENOMEM, and `to` has a part of it then
 */
int profile_unite(struct profile *to, const struct profile *from, const struct profile_word *words,
		  uint32_t n_words);

/**
 * What came to a recording between two copies of its profile: the values of the later one less
 * those of the earlier one. Stacks are matched by mapping and address (by name where there is no
 * address), so that names found meanwhile do not matter; the names are those of the later one.
 * Samples that did not change are left out; what only the earlier one has is not in the result.
 *
 * @return 0, -ENOMEM, or -EINVAL when the sample types differ
 */
int profile_subtract(const struct profile *later, const struct profile *earlier,
		     struct profile **ret_profile);
