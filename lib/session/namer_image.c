/* SPDX-License-Identifier: Apache-2.0 */
/* The modules of an image that are for the namer, and what is wrong with them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "session/namer_priv.h"

DEFINE_CLEANUP(struct namer_image *, namer_image_free)

int namer_image_new(const struct process *process, struct namer_image **ret_image)
{
	_cleanup_(namer_image_free_cleanup) struct namer_image *image = calloc(1, sizeof(*image));
	int r;

	if (!image)
		return err_trace(-ENOMEM);
	r = process_clone(process, &image->process);
	if (r < 0)
		return err_trace(r);
	*ret_image = take_ptr(image);
	return 0;
}

struct namer_image *namer_image_free(struct namer_image *image)
{
	if (!image)
		return NULL;
	for (size_t i = 0; i < image->clones.n; i++)
		module_free(image->clones.items[i].module);
	vec_deinit(&image->clones);
	process_close(image->process);
	free(image);
	return NULL;
}

int namer_image_add(struct namer_image *image, struct module *module, uint32_t tag,
		    struct module **ret_module)
{
	struct namer_clone *slot = vec_push(&image->clones);
	int r = slot ? module_clone(module, image->process, &slot->module) : -ENOMEM;

	if (r < 0) {
		if (slot)
			image->clones.n--;
		return err_trace(r);
	}
	slot->tag = tag;
	*ret_module = slot->module;
	return 0;
}

static int note_problems(struct namer *n, const struct namer_image *image)
{
	for (size_t i = 0; i < image->clones.n; i++) {
		const char *text = module_problem(image->clones.items[i].module);
		struct namer_problem *problem = text ? vec_push(&n->problems) : NULL;

		if (!text)
			continue;
		if (!problem)
			return err_trace(-ENOMEM);
		problem->tag = image->clones.items[i].tag;
		problem->text = strdup(text);
	}
	return 0;
}

int namer_drop_image(struct namer *n, struct namer_image *take_image, bool keep)
{
	_cleanup_(namer_image_free_cleanup) struct namer_image *image = take_image;
	struct namer_image **slot;
	int r;

	if (keep) {
		/* Many are kept: not with descriptors of processes that have ended. */
		if (process_has_ended(image->process))
			process_leave(image->process);
		slot = vec_push(&n->kept);
		if (!slot)
			return err_trace(-ENOMEM);
		*slot = take_ptr(image);
		return 0;
	}
	r = note_problems(n, image);
	for (size_t i = 0; i < image->clones.n; i++)
		symbolizer_forget(n->symbolizer, image->clones.items[i].module);
	/* Other strings may come to lie where those of these modules were. */
	map64_clear(&n->texts);
	return r;
}

void namer_problems(const struct namer *n,
		    void (*fn)(void *user, uint32_t tag, const char *problem), void *user)
{
	for (size_t i = 0; i < n->problems.n; i++) {
		if (n->problems.items[i].text)
			fn(user, n->problems.items[i].tag, n->problems.items[i].text);
	}
	for (size_t i = 0; i < n->kept.n; i++) {
		const struct namer_image *image = n->kept.items[i];

		for (size_t k = 0; k < image->clones.n; k++) {
			const char *problem = module_problem(image->clones.items[k].module);

			if (problem)
				fn(user, image->clones.items[k].tag, problem);
		}
	}
}
