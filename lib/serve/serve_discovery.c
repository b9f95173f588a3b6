/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /targets: the processes as Prometheus' HTTP service discovery has them
 * (prometheus.io/docs/prometheus/latest/http_sd), for scrapers of profiles.
 *
 * All have one address and differ in the path. Grafana Alloy puts __profile_path_prefix__ before
 * the paths that it knows (internal/component/pyroscope/scrape/target.go); in Parca, relabelling
 * can put __meta_cprof_pid into __profile_path__ (pkg/scrape/target.go). Labels without underscores
 * stay on what is scraped.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "serve/serve_priv.h"

#define MAX_PREFIX 64

static int set(json_t *object, const char *key, const char *text)
{
	return json_object_set_new(object, key, json_string(text));
}

static json_t *make_labels(struct serve *serve, struct serve_target *target)
{
	json_t *labels = json_object();
	char name[SERVE_NAME], prefix[MAX_PREFIX];
	int r;

	serve_target_name(&serve->targets, target, name);
	snprintf(prefix, sizeof(prefix), "/%s", target->pid_text);
	r = set(labels, "pid", target->pid_text);
	r = r < 0 ? r : set(labels, "process", name);
	r = r < 0 ? r : set(labels, "service_name", name);
	r = r < 0 ? r : set(labels, "__meta_cprof_pid", target->pid_text);
	r = r < 0 ? r : set(labels, "__meta_cprof_process", name);
	r = r < 0 ? r : set(labels, "__profile_path_prefix__", prefix);
	if (r >= 0)
		return labels;
	json_decref(labels);
	return NULL;
}

/* Where this very client reached us: it knows no better address. */
static const char *own_address(const struct serve_request *request)
{
	const char *host = MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND,
						       MHD_HTTP_HEADER_HOST);

	return host ? host : "localhost";
}

static int add_target(struct serve_request *request, struct serve_target *target, json_t *all)
{
	json_t *labels = make_labels(request->serve, target);
	json_t *one =
		labels ? json_pack("{s:[s],s:o}", "targets", own_address(request), "labels", labels)
		       : NULL;

	return one ? json_array_append_new(all, one) : -1;
}

enum MHD_Result serve_discovery_reply(struct serve_request *request)
{
	struct serve_targets *targets = &request->serve->targets;
	json_t *all = json_array();
	struct serve_scope scope;
	char *text = NULL;
	int r = all ? 0 : -1;

	serve_targets_all(targets, &scope);
	for (unsigned i = 0; i < scope.n && r >= 0; i++)
		r = add_target(request, scope.items[i], all);
	serve_scope_put(targets, &scope);
	if (r >= 0)
		text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	if (text)
		return serve_reply_json(request, text, strlen(text));
	return serve_reply_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "%s", strerror(ENOMEM));
}
