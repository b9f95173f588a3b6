/* SPDX-License-Identifier: Apache-2.0 */
/* What is mapped: modules with their sources of names and unwind tables, and code without a file.
 */
#include "session/session_doctor_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"

/* Memory that a JIT compiler may have filled: without a file, or behind a memfd_create(2) file,
 * which runtimes map twice, once writable and once executable. */
static bool is_generated(const struct process_mapping *m, const char *path)
{
	return m->exec && (path[0] == '\0' || strncmp(path, "[anon:", 6) == 0 ||
			   strncmp(path, "/memfd:", 7) == 0);
}

static bool is_agent(const struct doctor *doctor, const struct process_mapping *m)
{
	const struct module_mapping *mapping = module_map_find(doctor->map, m->start);

	return mapping && module_is_agent(mapping->module);
}

static void look_generated(struct doctor *doctor)
{
	_cleanup_close_ int fd = -1;
	struct process_maps maps;
	struct stat st;

	if (process_maps_read(doctor->process, &maps) == 0) {
		for (size_t i = 0; i < maps.mappings.n; i++) {
			const struct process_mapping *m = &maps.mappings.items[i];

			if (!is_generated(m, process_mapping_path(&maps, m)) || is_agent(doctor, m))
				continue;
			doctor->n_jit++;
			doctor->jit_bytes += m->end - m->start;
		}
		process_maps_deinit(&maps);
	}
	/* The name that perf(1) defined: the pid that the runtime knows itself by. */
	snprintf(doctor->perf_map, sizeof(doctor->perf_map), "/tmp/perf-%d.map",
		 (int)doctor->inner_pid);
	if (process_root_open(doctor->process, doctor->perf_map, &fd) == 0 && fstat(fd, &st) == 0)
		doctor->perf_map_bytes = st.st_size;
}

/* A file that is mapped with two load biases is two modules, and worth one line. */
static bool is_known(const struct doctor *doctor, struct module *module)
{
	for (size_t i = 0; i < doctor->modules.n; i++) {
		struct module *known = doctor->modules.items[i].module;

		if (known == module ||
		    (strcmp(module_path(known), module_path(module)) == 0 &&
		     strcmp(module_build_id(known), module_build_id(module)) == 0))
			return true;
	}
	return false;
}

/* Main program first, then by address. */
static int add_mapping(struct doctor *doctor, const struct module_mapping *mapping, bool is_main)
{
	const char *path = module_path(mapping->module);
	struct doctor_module *slot;

	/* Of the agent is told elsewhere. */
	if (is_known(doctor, mapping->module) || module_is_agent(mapping->module) ||
	    path[0] == '\0' || strncmp(path, "[anon:", 6) == 0 || strncmp(path, "/memfd:", 7) == 0)
		return 0;
	slot = vec_push(&doctor->modules);
	if (!slot)
		return err_trace(-ENOMEM);
	slot->module = mapping->module;
	slot->is_main = is_main;
	module_get_sources(mapping->module, &slot->sources);
	return 0;
}

int doctor_look_modules(struct doctor *doctor)
{
	const struct module_mapping *main;
	int r = module_map_new(doctor->process, &doctor->map);

	if (r < 0)
		return err_trace(r);
	r = module_map_refresh(doctor->map);
	doctor->modules_error = MIN(r, 0);
	if (r < 0)
		return r == -ENOMEM ? err_trace(r) : 0;
	main = module_map_main(doctor->map);
	if (main) {
		r = add_mapping(doctor, main, true);
		if (r < 0)
			return err_trace(r);
	}
	for (uint32_t i = 0; i < module_map_count(doctor->map); i++) {
		r = add_mapping(doctor, module_map_at(doctor->map, i), false);
		if (r < 0)
			return err_trace(r);
	}
	doctor_look_runtime(doctor);
	look_generated(doctor);
	return 0;
}
