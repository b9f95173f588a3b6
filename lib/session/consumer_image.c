/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The images of the processes, and the addresses of their frames in the profile.
 *
 * Each image has its own modules and unwinder. In the profile a piece of a file is one mapping
 * however many processes have it mapped, or else a build of a thousand compilers has ten thousand
 * mappings and no two of its stacks are equal: addresses of later images are shifted to where the
 * first one had the piece, as pprof itself does when it merges profiles (google/pprof
 * profile/merge.go).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "session/consumer_priv.h"

DEFINE_CLEANUP(struct consumer_image *, consumer_image_free)

struct consumer_image *consumer_image_free(struct consumer_image *image)
{
	if (!image)
		return NULL;
	namer_image_free(image->naming);
	unwinder_free(image->unwinder);
	module_map_free(image->map);
	process_waits_free(image->waits);
	map64_deinit(&image->lock_names);
	process_close(image->process);
	free(image->mappings);
	free(image);
	return NULL;
}

int consumer_image_waits(struct consumer_image *image)
{
	return image->waits ? 0 : process_waits_new(image->process, &image->waits);
}

int consumer_image_refresh(struct consumer_image *image)
{
	uint64_t start = clock_thread_cpu_ns();
	int r = image->process ? module_map_refresh(image->map) : -ESRCH;

	/* It became another user's, by execve: as good as gone for us. */
	if (r == -EACCES || r == -EPERM)
		r = -ESRCH;
	image->refreshed_at = clock_now_ns();
	/* Not the time that it took: beside a busy target most of that is waiting for a CPU, and
	 * for so many times as long new libraries would go without a name. */
	image->refresh_spent_ns += clock_thread_cpu_ns() - start;
	if (r == MODULE_REFRESH_REPLACED)
		unwinder_forget(image->unwinder);
	return r;
}

static int image_new(struct consumer *c, uint32_t generation, pid_t pid,
		     struct consumer_image **ret_image)
{
	_cleanup_(consumer_image_free_cleanup) struct consumer_image *image =
		calloc(1, sizeof(*image));
	struct consumer_image **slot;
	int r;

	if (!image)
		return err_trace(-ENOMEM);
	image->generation = generation;
	image->pid = pid;
	/* A process that has just ended leaves an empty map: its samples stay without names. */
	r = process_open(pid, &image->process);
	if (r == -ENOMEM)
		return err_trace(r);
	r = module_map_new(image->process, &image->map);
	if (r >= 0)
		r = unwinder_new(image->map, arch_native(), &image->unwinder);
	if (r < 0)
		return err_trace(r);
	/* Nor can a process be read that changed its credentials, or with no descriptor left. */
	r = consumer_image_refresh(image);
	if (r == -ENOMEM)
		return err_trace(r);
	slot = vec_push(&c->images);
	if (!slot)
		return err_trace(-ENOMEM);
	*ret_image = *slot = take_ptr(image);
	return 0;
}

int consumer_image_get(struct consumer *c, uint32_t generation, pid_t pid,
		       struct consumer_image **ret_image)
{
	for (size_t i = c->images.n; i-- > 0;) {
		if (c->images.items[i]->generation == generation) {
			*ret_image = c->images.items[i];
			return 0;
		}
	}
	return image_new(c, generation, pid, ret_image);
}

int consumer_image_end(struct consumer *c, uint32_t generation)
{
	struct consumer_image *image;
	size_t at = 0;
	int r;

	while (at < c->images.n && c->images.items[at]->generation != generation)
		at++;
	if (at == c->images.n)
		return 0;
	image = c->images.items[at];
	r = consumer_lock_finish(c, image);
	if (r >= 0)
		r = consumer_give_back(c, image);
	unwind_stats_add(&c->unwind, unwinder_stats(image->unwinder));
	consumer_image_free(image);
	c->images.n--;
	memmove(c->images.items + at, c->images.items + at + 1,
		(c->images.n - at) * sizeof(*c->images.items));
	return err_trace(r);
}

int consumer_pseudo_mapping(struct consumer *c, const char *name, uint32_t *id)
{
	struct profile_mapping mapping = {.has_functions = true,
					  .has_filenames = true,
					  .has_line_numbers = true,
					  .has_inline_frames = true};
	int r;

	if (*id)
		return 0;
	r = profile_string(c->profile, name, &mapping.file);
	if (r < 0)
		return r;
	return profile_mapping_add(c->profile, &mapping, id);
}

/* The mapping that another image has of the same piece of the same file; 0 when there is none. */
static uint32_t find_shared(const struct consumer *c, const struct consumer_shared *piece)
{
	/* Without a build id nothing tells that a file of that name is the same one. */
	if (!piece->build_id)
		return 0;
	for (size_t i = 0; i < c->shared_mappings.n; i++) {
		const struct consumer_shared *s = &c->shared_mappings.items[i];

		if (s->build_id == piece->build_id && s->offset == piece->offset &&
		    s->size == piece->size && s->file == piece->file &&
		    s->generation != piece->generation)
			return s->id;
	}
	return 0;
}

/* Who names the addresses of a module: a clone of the first one of its build. */
static int find_names(struct consumer *c, struct consumer_image *image, struct module *module,
		      uint32_t build_id, struct consumer_mapping *mapping)
{
	struct consumer_file *file;
	int r = 0;

	for (size_t i = 0; i < c->files.n && build_id; i++) {
		file = &c->files.items[i];
		if (file->build_id != build_id)
			continue;
		mapping->names = file->names;
		mapping->gap = file->gap;
		mapping->names_shift = file->bias - module_bias(module);
		return 0;
	}
	if (!image->naming)
		r = namer_image_new(image->process, &image->naming);
	if (r >= 0)
		r = consumer_gap(c, module_path(module), &mapping->gap);
	if (r >= 0)
		r = namer_image_add(image->naming, module, mapping->gap, &mapping->names);
	if (r < 0 || !build_id)
		return err_trace(r);
	file = vec_push(&c->files);
	if (!file)
		return err_trace(-ENOMEM);
	*file = (struct consumer_file){build_id, mapping->gap, mapping->names, module_bias(module)};
	image->pinned = true;
	return 0;
}

static int add_mapping(struct consumer *c, struct consumer_image *image,
		       const struct module_mapping *m, struct consumer_mapping *mapping)
{
	struct profile_mapping new = {.start = m->start, .limit = m->end, .offset = m->offset};
	struct consumer_shared piece = {
		.generation = image->generation, .offset = m->offset, .size = m->end - m->start};
	const char *path = module_path(m->module);
	struct consumer_shared *slot;
	int r;

	/* pprof knows this name for memory without a file. */
	r = profile_string(c->profile, *path ? path : "//anon", &new.file);
	if (r >= 0)
		r = profile_string(c->profile, module_build_id(m->module), &new.build_id);
	if (r < 0)
		return err_trace(r);
	piece.file = new.file;
	piece.build_id = new.build_id;
	r = find_names(c, image, m->module, new.build_id, mapping);
	if (r < 0)
		return r;
	piece.id = find_shared(c, &piece);
	if (piece.id) {
		mapping->shift = profile_mapping(c->profile, piece.id)->start - m->start;
		mapping->id = piece.id;
		return 0;
	}
	slot = vec_push(&c->shared_mappings);
	if (!slot)
		return err_trace(-ENOMEM);
	r = profile_mapping_add(c->profile, &new, &piece.id);
	*slot = piece;
	mapping->id = r < 0 ? 0 : piece.id;
	return err_trace(r);
}

static int mapping_of(struct consumer *c, struct consumer_image *image,
		      const struct module_mapping *m, const struct consumer_mapping **ret_mapping)
{
	int r = 0;

	if (m->index >= image->n_mappings) {
		size_t grown = MAX((size_t)64, (size_t)m->index * 2);
		struct consumer_mapping *mappings =
			reallocarray(image->mappings, grown, sizeof(*mappings));

		if (!mappings)
			return err_trace(-ENOMEM);
		memset(mappings + image->n_mappings, 0,
		       (grown - image->n_mappings) * sizeof(*mappings));
		image->mappings = mappings;
		image->n_mappings = grown;
	}
	if (!image->mappings[m->index].id)
		r = add_mapping(c, image, m, &image->mappings[m->index]);
	*ret_mapping = &image->mappings[m->index];
	return err_trace(r);
}

int consumer_image_mapping(struct consumer *c, struct consumer_image *image,
			   const struct module_mapping *m)
{
	const struct consumer_mapping *ignored;

	return mapping_of(c, image, m, &ignored);
}

static struct consumer_place *place_of(struct consumer *c, uint32_t location)
{
	while (c->places.n < location) {
		if (!vec_push(&c->places))
			return NULL;
	}
	return &c->places.items[location - 1];
}

int consumer_image_location(struct consumer *c, struct consumer_image *image,
			    const struct frame *frame, uint32_t *ret_location)
{
	uint64_t pc = frame_lookup_pc(frame);
	const struct module_mapping *m = module_map_find(image->map, pc);
	struct consumer_mapping unknown = {};
	const struct consumer_mapping *mapping = &unknown;
	struct consumer_place *place;
	size_t known = c->places.n;
	int r;

	if (m) {
		r = mapping_of(c, image, m, &mapping);
	} else {
		r = consumer_pseudo_mapping(c, "[unknown]", &c->unknown_mapping);
		unknown.id = c->unknown_mapping;
	}
	if (r < 0)
		return r;
	r = profile_location_intern(c->profile, mapping->id, pc + mapping->shift, ret_location);
	if (r < 0)
		return r;
	place = place_of(c, *ret_location);
	if (!place)
		return -ENOMEM;
	if (*ret_location > known)
		*place = (struct consumer_place){true, mapping->gap, mapping->names,
						 pc + mapping->names_shift};
	return 0;
}
