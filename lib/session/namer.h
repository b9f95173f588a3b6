/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names for the addresses of a recording, found while it runs, in a thread of its own.
 *
 *	consumer thread ── asks (location, module, pc) ──► ring ──► namer thread: names
 *
 * Who owns what: the consumer thread makes the modules of an image for naming (clones with handles
 * of their own, because libdw's are not thread-safe) and hands them over with the first address
 * that is asked for; from then on only the namer's thread uses them. When nothing of an image comes
 * any more, a message behind all its addresses gives them back to be freed. Names go into tables of
 * the namer. Others get at those by namer_copy_lines() only before namer_finish(), which ends the
 * thread; what then follows is done by the caller's thread alone.
 *
 * Neither side ever waits for the other: with the ring full, namer_ask() refuses, and the consumer
 * asks again later. The thread runs at a low priority, so that on a machine that is busy it takes
 * about a tenth of one CPU.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "module/module.h"
#include "process/process.h"
#include "profile/profile.h"

struct namer;
struct namer_image;

/** Starts the thread, with the signal mask of the caller. @param inlines as symbolizer_new().
 * Returns 0, -ENOMEM, -EAGAIN. */
int namer_new(bool inlines, struct namer **ret_namer);
struct namer *namer_free(struct namer *namer);

/** The modules of one image. Its process is cloned. Returns 0 or -ENOMEM. */
int namer_image_new(const struct process *process, struct namer_image **ret_image);

/** Frees an image that was never handed over, i.e. after the namer itself. */
struct namer_image *namer_image_free(struct namer_image *image);

/**
 * Adds a clone of a module. To be called by the thread that owns the module.
 *
 * @param tag		comes back with the module's problem
 * @param ret_module	what to ask with
 * @return 0 or -ENOMEM
 */
int namer_image_add(struct namer_image *image, struct module *module, uint32_t tag,
		    struct module **ret_module);

/** Asks for the names of a location's address (pc in the module). False: not now. */
bool namer_ask(struct namer *namer, uint32_t location, struct module *module, uint64_t pc);

/**
 * Nothing is asked of an image any more (keep: but other images go on asking with its modules). To
 * be called after all that was asked with it. False: not now; else the image was taken.
 */
bool namer_end_image(struct namer *namer, struct namer_image *take_image, bool keep);

/**
 * Gives the names found so far to the locations of a profile that have none yet, and sets what its
 * mappings may claim by them. May be called from any thread; the namer waits meanwhile.
 *
 * @param profile	the one whose locations were asked for, or a copy with the same ids
 * @return 0 or -ENOMEM
 */
int namer_copy_lines(struct namer *namer, struct profile *profile);

/**
 * Waits until all that was asked for so far is named, or until `until` (CLOCK_MONOTONIC), or the
 * end of the thread. May be called from any thread.
 *
 * @param urgent	its priority is high meanwhile, where that is permitted
 * @return whether all is named
 */
bool namer_await(struct namer *namer, uint64_t until, bool urgent);

/** Ends the thread after the address that it is at. */
void namer_finish(struct namer *namer);

/** After namer_finish(): names all that was asked for and is not named yet. Returns 0 or -ENOMEM,
 * also when the thread had no memory. */
int namer_rest(struct namer *namer);

/** The names, as the locations of a profile that holds nothing else. */
const struct profile *namer_names(const struct namer *namer);

/** Which location of that profile has the names of a location; 0: it has none. */
uint32_t namer_location(const struct namer *namer, uint32_t location);

/** CPU time of the thread. */
uint64_t namer_cpu_ns(const struct namer *namer);

/** Calls fn with the problem of each module that has one. */
void namer_problems(const struct namer *namer,
		    void (*fn)(void *user, uint32_t tag, const char *problem), void *user);
