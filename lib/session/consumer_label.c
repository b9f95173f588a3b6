/* SPDX-License-Identifier: Apache-2.0 */
/* What a sample says beside its stack: of whom it is, and what the thread did. */
#include <stdio.h>
#include <string.h>

#include "arch/arch.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "session/consumer_priv.h"

#define MAX_LABELS 8
/* Types whose samples tell what a thread does beside running. */
#define WAITS (SAMPLER_WALL | SAMPLER_BLOCK | SAMPLER_THREADS)

struct labels {
	struct profile *profile;
	struct profile_label items[MAX_LABELS];
	uint32_t n;
	int result;
};

static void add(struct labels *labels, const char *key, const char *text)
{
	struct profile_label *label = &labels->items[labels->n];

	if (labels->result < 0)
		return;
	labels->result = profile_string(labels->profile, key, &label->key);
	if (labels->result >= 0)
		labels->result = profile_string(labels->profile, text, &label->text);
	labels->n++;
}

static void add_number(struct labels *labels, const char *key, int number)
{
	char text[16];

	/* As a text: a number without a unit would be summed up as an amount. */
	snprintf(text, sizeof(text), "%d", number);
	add(labels, key, text);
}

static bool on_cpu(const struct snapshot *snapshot)
{
	return snapshot->state == SNAPSHOT_RUNNING || snapshot->state == SNAPSHOT_RUNNABLE;
}

static const char *state_name(uint32_t state)
{
	switch ((enum snapshot_state)state) {
	case SNAPSHOT_RUNNING:
		return "running";
	case SNAPSHOT_RUNNABLE:
		return "runnable";
	case SNAPSHOT_SLEEPING:
		return "sleeping";
	case SNAPSHOT_DISK:
		return "disk";
	case SNAPSHOT_STOPPED:
		return "stopped";
	}
	return "unknown";
}

static int make_labels(struct consumer *c, const struct consumer_image *image,
		       const struct snapshot *snapshot, const struct consumer_slot *slot,
		       uint32_t *ret_labels)
{
	struct labels labels = {.profile = c->profile};
	unsigned types = c->options.types;
	int32_t syscall = slot ? slot->syscall : snapshot->syscall;
	/* Who is blocked outside a system call waits in a page fault. */
	bool kernel = syscall >= 0 || !on_cpu(snapshot);

	if (snapshot->tid) {
		add(&labels, "thread", snapshot->name);
		add_number(&labels, "tid", snapshot->tid);
	}
	if (c->options.children && snapshot->kind != SNAPSHOT_NEVER_MET) {
		add(&labels, "process", image->name);
		add_number(&labels, "pid", image->pid);
	}
	if (snapshot_has_stack(snapshot) && types & (SAMPLER_CPU | SAMPLER_WALL))
		add(&labels, "mode", kernel ? "kernel" : "user");
	if (snapshot_has_stack(snapshot) && types & WAITS) {
		add(&labels, "state", state_name(snapshot->state));
		if (syscall >= 0)
			add(&labels, "syscall", arch_syscall_name(arch_native(), syscall));
		if (slot && slot->wait && !on_cpu(snapshot))
			add(&labels, "wait", profile_get_string(c->profile, slot->wait));
	}
	if (snapshot->parked)
		add(&labels, "parked", "yes");
	if (labels.result < 0)
		return err_trace(labels.result);
	return profile_labels_intern(c->profile, labels.items, labels.n, ret_labels);
}

int consumer_wait(struct consumer *c, struct consumer_image *image, const struct snapshot *snapshot,
		  int32_t syscall, uint32_t *ret_string)
{
	struct process_syscall call = {.nr = syscall};
	char text[PROCESS_WAIT_TEXT];
	int r;

	*ret_string = 0;
	if (!(c->options.types & WAITS) || on_cpu(snapshot) || !image->process)
		return 0;
	r = consumer_image_waits(image);
	if (r < 0)
		return err_trace(r);
	memcpy(call.args, snapshot->args, sizeof(call.args));
	process_wait_label(image->waits, &call, snapshot_link(snapshot), text);
	return text[0] ? profile_string(c->profile, text, ret_string) : 0;
}

int consumer_labels(struct consumer *c, const struct consumer_image *image,
		    const struct snapshot *snapshot, struct consumer_slot *slot,
		    uint32_t *ret_labels)
{
	int r;

	if (!slot || snapshot->parked)
		return make_labels(c, image, snapshot, slot, ret_labels);
	if (!slot->labels || slot->generation != snapshot->generation ||
	    slot->state != snapshot->state || slot->labels_syscall != slot->syscall ||
	    slot->labels_wait != slot->wait || slot->labels_tid != snapshot->tid ||
	    strncmp(slot->labels_name, snapshot->name, sizeof(slot->labels_name)) != 0) {
		slot->labels = 0;
		r = make_labels(c, image, snapshot, slot, &slot->labels);
		if (r < 0)
			return r;
		slot->generation = snapshot->generation;
		slot->state = snapshot->state;
		slot->labels_syscall = slot->syscall;
		slot->labels_wait = slot->wait;
		slot->labels_tid = snapshot->tid;
		memcpy(slot->labels_name, snapshot->name, sizeof(slot->labels_name));
	}
	*ret_labels = slot->labels;
	return 0;
}

int consumer_lock_labels(struct consumer *c, const struct consumer_image *image,
			 const struct consumer_slot *slot, const struct consumer_held *held,
			 int32_t owner, uint32_t *ret_labels)
{
	struct labels labels = {.profile = c->profile};

	if (slot) {
		add(&labels, "thread", slot->name);
		add_number(&labels, "tid", slot->tid);
	}
	if (c->options.children) {
		add(&labels, "process", image->name);
		add_number(&labels, "pid", image->pid);
	}
	add(&labels, "lock", profile_get_string(c->profile, held->lock));
	if (owner)
		add_number(&labels, "owner", owner);
	add_number(&labels, "waiters", (int)held->waiters);
	if (labels.result < 0)
		return err_trace(labels.result);
	return profile_labels_intern(c->profile, labels.items, labels.n, ret_labels);
}
