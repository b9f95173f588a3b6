/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A profile as Pyroscope takes it.
 *
 * The server calls a profile by the types of its values (metricName() in
 * pkg/og/convert/pprof/profile.go): "cpu" makes process_cpu, "wall" wall; any other is called by
 * its last one. "contentions" and "delay" it takes for mutex, whichever they are of, unless a form
 * says otherwise. Bodies may be packed by gzip (RawFromBytesWithLimit() in pkg/pprof/pprof.go).
 */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/sink.h"
#include "pprof/pprof.h"
#include "push/push_priv.h"
#include "symbol/symbol.h"

#define LOCK_CONFIG(name)                                                                          \
	"{\"contentions\":{\"units\":\"lock_samples\",\"display-name\":\"" name "_count\"},"       \
	"\"delay\":{\"units\":\"lock_nanoseconds\",\"display-name\":\"" name "_duration\"}}"

/* What is in use is a level: the server is to average it, and may not take the differences of what
 * was allocated once more. The same as the Go client's (grafana/pyroscope-go
 * upstream/remote/remote.go). */
#define HEAP_CONFIG                                                                                \
	"{\"alloc_objects\":{\"units\":\"objects\"},"                                              \
	"\"alloc_space\":{\"units\":\"bytes\"},"                                                   \
	"\"inuse_objects\":{\"units\":\"objects\",\"aggregation\":\"average\"},"                   \
	"\"inuse_space\":{\"units\":\"bytes\",\"aggregation\":\"average\"}}"

DEFINE_CLEANUP(struct profile *, profile_free)

/* Each combination of values becomes a series of its own, 5000 at most
 * (ingester.max-global-series-per-tenant): no thread ids, addresses or counts. */
static const char *const label_keys[] = {"thread", "process", "mode", "state", NULL};

const char *push_pack_config(const char *type)
{
	if (strcmp(type, "block") == 0)
		return LOCK_CONFIG("block");
	if (strcmp(type, "heap") == 0 || strcmp(type, "allocs") == 0)
		return HEAP_CONFIG;
	return strcmp(type, "mutex") == 0 ? LOCK_CONFIG("mutex") : NULL;
}

static int copy_with_few_labels(const struct profile *profile, struct profile **ret_profile)
{
	struct profile_part part = {.spec = *profile_get_spec(profile), .label_keys = label_keys};

	for (uint32_t i = 0; i < PROFILE_MAX_TYPES; i++)
		part.columns[i] = i;
	return err_trace(profile_project(profile, &part, ret_profile));
}

static int demangle(struct profile *profile)
{
	int r = 0;

	for (uint32_t id = 1; id <= profile_n_functions(profile) && r >= 0; id++) {
		const struct profile_function *function = profile_function(profile, id);
		_cleanup_free_ char *text = NULL;
		uint32_t name;

		if (function->name != function->system_name)
			continue;
		text = symbol_demangle(profile_get_string(profile, function->system_name));
		r = text ? profile_string(profile, text, &name) : -ENOMEM;
		if (r >= 0)
			profile_function_rename(profile, id, name);
	}
	return err_trace(r);
}

/* The size before packing is in gzip's last four bytes (RFC 1952, 2.3.1). */
static size_t unpacked_size(const struct sink_memory *packed)
{
	const unsigned char *end = (const unsigned char *)packed->bytes + packed->size;

	if (packed->size < 4)
		return 0;
	return end[-4] | end[-3] << 8 | end[-2] << 16 | (size_t)end[-1] << 24;
}

/* Fewer and fewer samples, until it is small enough. */
static int encode(struct profile **profile, uint32_t most, struct sink_memory *sink)
{
	int r = profile_prune(profile, most);

	if (r >= 0)
		r = pprof_write(*profile, &sink->sink);
	while (r >= 0 && unpacked_size(sink) > PUSH_MAX_BYTES && profile_n_samples(*profile) > 1) {
		sink_memory_deinit(sink);
		sink_memory_init(sink);
		r = profile_prune(profile, profile_n_samples(*profile) / 2);
		if (r >= 0)
			r = pprof_write(*profile, &sink->sink);
	}
	return r < 0 ? err_trace(r) : 0;
}

int push_pack(const struct profile *profile, uint32_t max_samples, struct push_bytes *ret_bytes)
{
	_cleanup_(profile_free_cleanup) struct profile *copy = NULL;
	struct sink_memory sink;
	int r = copy_with_few_labels(profile, &copy);

	if (r >= 0 && !profile_n_samples(copy))
		return PUSH_EMPTY;
	if (r >= 0)
		r = demangle(copy);
	if (r < 0)
		return err_trace(r);
	sink_memory_init(&sink);
	r = encode(&copy, max_samples, &sink);
	if (r >= 0)
		*ret_bytes = (struct push_bytes){take_ptr(sink.bytes), sink.size};
	sink_memory_deinit(&sink);
	return r;
}
