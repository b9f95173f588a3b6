/* SPDX-License-Identifier: Apache-2.0 */
/* The agent, mapped into this process and called: what it counts, and that it is not noticed. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "base/cleanup.h"

struct agent {
	uint8_t *code;
	struct agent_table *table;
	struct agent_wire *wire;
};

/* What the wrapped functions were called with, and are to return. */
static uint64_t seen[4];
static void *answer;

static void *fake_alloc(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	seen[0] = a;
	seen[1] = b;
	seen[2] = c;
	seen[3] = d;
	return answer;
}

static int fake_out(void **out, uint64_t alignment, uint64_t size)
{
	(void)fake_alloc((uint64_t)(uintptr_t)out, alignment, size, 0);
	if (!answer)
		return ENOMEM;
	*out = answer;
	return 0;
}

static void *fake_nothrow(uint64_t size)
{
	seen[3] = size;
	return NULL;
}

static int setup(void **state)
{
	struct agent *agent = calloc(1, sizeof(*agent));
	size_t size = agent_image_size + AGENT_PAGE;

	agent->code = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	agent->wire = mmap(NULL, sizeof(*agent->wire), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (agent->code == MAP_FAILED || agent->wire == MAP_FAILED)
		return -1;
	memcpy(agent->code, agent_image, agent_image_size);
	agent->table = (struct agent_table *)agent->code;
	agent->table->wire = (uint64_t)(uintptr_t)agent->wire;
	agent->wire->head =
		(struct agent_head){.on = 1, .rate = 1, .seed = 4711, .pid = (uint64_t)getpid()};
	*state = agent;
	return 0;
}

static int teardown(void **state)
{
	struct agent *agent = *state;

	/* Whatever was called has come back. */
	assert_int_equal(agent->wire->head.inside, 0);
	munmap(agent->code, agent_image_size + AGENT_PAGE);
	munmap(agent->wire, sizeof(*agent->wire));
	free(agent);
	return 0;
}

/* A wrapped function. */
static void *wrap(struct agent *agent, void *original, enum agent_kind kind, enum agent_size size,
		  uint32_t handler)
{
	uint32_t at = agent->table->n_entries++;

	agent->table->entries[at] =
		(struct agent_entry){.original = (uint64_t)(uintptr_t)original,
				     .handler = (uint64_t)(uintptr_t)agent->code + handler,
				     .sampled = (uint64_t)(uintptr_t)original,
				     .kind = kind,
				     .size = size};
	return agent->code + agent_places.stubs + at * AGENT_STUB_SIZE;
}

typedef void *(*alloc_fn)(uint64_t, uint64_t, uint64_t, uint64_t);
typedef int (*out_fn)(void **, uint64_t, uint64_t);

static void *as_pointer(uint64_t addr)
{
	return (void *)(uintptr_t)addr;
}

static const struct agent_live *find_live(const struct agent *agent, const void *addr)
{
	for (unsigned i = 0; i < AGENT_N_LIVE; i++) {
		if (agent->wire->live[i].addr == (uint64_t)(uintptr_t)addr)
			return &agent->wire->live[i];
	}
	return NULL;
}

static unsigned n_ready(const struct agent *agent)
{
	unsigned n = 0;

	for (unsigned i = 0; i < AGENT_N_SAMPLES; i++)
		n += agent->wire->head.states[i] == AGENT_SAMPLE_READY;
	return n;
}

/* Each handler: arguments arrive, the size is the right one, the result comes back, errno stays. */
static void test_sampled(void **state)
{
	static const struct {
		uint32_t handler;
		enum agent_kind kind;
		enum agent_size size;
		uint64_t expected;
	} cases[] = {
		{offsetof(struct agent_places, alloc_arg0), AGENT_ALLOC, AGENT_SIZE_ARG0, 3},
		{offsetof(struct agent_places, alloc_arg1), AGENT_ALLOC, AGENT_SIZE_ARG1, 5},
		{offsetof(struct agent_places, alloc_arg2), AGENT_ALLOC, AGENT_SIZE_ARG2, 7},
		{offsetof(struct agent_places, alloc_args01), AGENT_ALLOC, AGENT_SIZE_ARGS01, 15},
		{offsetof(struct agent_places, realloc_arg1), AGENT_REALLOC, AGENT_SIZE_ARG1, 5},
		{offsetof(struct agent_places, realloc_args12), AGENT_REALLOC, AGENT_SIZE_ARGS12,
		 35},
	};
	struct agent *agent = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t handler;
		const struct agent_sample *sample = &agent->wire->samples[i];
		alloc_fn call;

		memcpy(&handler, (const char *)&agent_places + cases[i].handler, sizeof(handler));
		call = (alloc_fn)wrap(agent, (void *)fake_alloc, cases[i].kind, cases[i].size,
				      handler);
		answer = as_pointer(0x100000 + 16 * i);
		errno = 99;
		assert_ptr_equal(call(3, 5, 7, 9), answer);
		assert_int_equal(errno, 99);
		assert_int_equal(seen[0], 3);
		assert_int_equal(seen[1], 5);
		assert_int_equal(seen[2], 7);
		assert_int_equal(seen[3], 9);
		assert_non_null(find_live(agent, answer));
		assert_int_equal(find_live(agent, answer)->size, cases[i].expected);
		assert_int_equal(find_live(agent, answer)->id, i + 1);
		assert_int_equal(sample->id, i + 1);
		assert_int_equal(sample->size, cases[i].expected);
		/* The leaf is the function itself, at its first instruction: the return address is
		 * the first word of the stack. */
		assert_int_equal(sample->regs[16], (uint64_t)(uintptr_t)fake_alloc);
		assert_true(sample->n_bytes > 64);
	}
	assert_int_equal(n_ready(agent), ARRAY_SIZE(cases));
}

static void test_freed(void **state)
{
	struct agent *agent = *state;
	alloc_fn alloc = (alloc_fn)wrap(agent, (void *)fake_alloc, AGENT_ALLOC, AGENT_SIZE_ARG0,
					agent_places.alloc_arg0);
	alloc_fn release = (alloc_fn)wrap(agent, (void *)fake_alloc, AGENT_FREE, AGENT_SIZE_ARG0,
					  agent_places.free_arg0);

	for (unsigned i = 0; i < 1000; i++) {
		answer = as_pointer(0x200000 + 32 * i);
		(void)alloc(i + 1, 0, 0, 0);
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(find_live(agent, as_pointer(0x200000 + 32 * i))->size, i + 1);
	for (unsigned i = 0; i < 1000; i++)
		(void)release(0x200000 + 32 * i, 0, 0, 0);
	(void)release(0, 0, 0, 0);
	(void)release(0x300000, 0, 0, 0);
	assert_int_equal(seen[0], 0x300000);
	for (unsigned i = 0; i < AGENT_N_LIVE; i++)
		assert_true(agent->wire->live[i].addr <= AGENT_LIVE_FREED);
	for (unsigned i = 0; i < sizeof(agent->wire->filter); i++)
		assert_int_equal(agent->wire->filter[i], 0);
	/* With nobody to take them, samples are lost, not frees. */
	assert_int_equal(agent->wire->head.n_samples, 1000);
	assert_int_equal(agent->wire->head.n_no_room, 1000 - AGENT_N_SAMPLES);
	assert_int_equal(agent->wire->head.n_not_live, 0);
}

static void test_moved(void **state)
{
	struct agent *agent = *state;
	alloc_fn call = (alloc_fn)wrap(agent, (void *)fake_alloc, AGENT_REALLOC, AGENT_SIZE_ARG1,
				       agent_places.realloc_arg1);
	void *first = as_pointer(0x400000), *second = as_pointer(0x500000);

	answer = first;
	(void)call(0, 100, 0, 0);
	answer = second;
	(void)call((uint64_t)(uintptr_t)first, 200, 0, 0);
	assert_null(find_live(agent, first));
	assert_int_equal(find_live(agent, second)->size, 200);
	/* It fails: what was there still is, as the sample that it was. */
	answer = NULL;
	assert_null(call((uint64_t)(uintptr_t)second, 300, 0, 0));
	assert_int_equal(find_live(agent, second)->size, 200);
	assert_int_equal(find_live(agent, second)->id, 2);
	/* Size 0 frees. */
	assert_null(call((uint64_t)(uintptr_t)second, 0, 0, 0));
	assert_null(find_live(agent, second));
}

static void test_out(void **state)
{
	struct agent *agent = *state;
	out_fn call = (out_fn)wrap(agent, (void *)fake_out, AGENT_ALLOC_OUT, AGENT_SIZE_ARG2,
				   agent_places.alloc_arg2);
	void *out = NULL;

	answer = as_pointer(0x600000);
	assert_int_equal(call(&out, 64, 640), 0);
	assert_ptr_equal(out, answer);
	assert_int_equal(find_live(agent, out)->size, 640);
	answer = NULL;
	assert_int_equal(call(&out, 64, 640), ENOMEM);
	assert_int_equal(agent->wire->head.n_samples, 1);
}

/* What fails without throwing is called again to throw as it does. */
static void test_throws(void **state)
{
	struct agent *agent = *state;
	alloc_fn call = (alloc_fn)wrap(agent, (void *)fake_alloc, AGENT_ALLOC, AGENT_SIZE_ARG0,
				       agent_places.alloc_arg0);

	agent->table->entries[0].sampled = (uint64_t)(uintptr_t)fake_nothrow;
	answer = as_pointer(0x700000);
	assert_ptr_equal(call(11, 22, 33, 44), answer);
	assert_int_equal(seen[0], 11);
	assert_int_equal(seen[1], 22);
	assert_int_equal(seen[3], 44);
	assert_int_equal(agent->wire->head.n_samples, 0);
}

/* Without a wire, and in a child that has got it zeroed, calls go straight on. */
static void test_off(void **state)
{
	struct agent *agent = *state;
	alloc_fn call = (alloc_fn)wrap(agent, (void *)fake_alloc, AGENT_ALLOC, AGENT_SIZE_ARGS01,
				       agent_places.alloc_args01);

	answer = as_pointer(0x800000);
	agent->wire->head.on = 0;
	assert_ptr_equal(call(11, 22, 33, 44), answer);
	assert_int_equal(seen[3], 44);
	agent->table->wire = 0;
	assert_ptr_equal(call(UINT64_MAX, 22, 33, 44), answer);
	assert_int_equal(seen[0], UINT64_MAX);
	agent->table->wire = (uint64_t)(uintptr_t)agent->wire;
	agent->wire->head.on = 1;
	/* The product is too large: it will fail. */
	assert_ptr_equal(call(UINT64_MAX, 22, 33, 44), answer);
	assert_int_equal(agent->wire->head.n_samples, 0);
}

/* Every byte is as likely to be sampled as any other: the number of samples is that of a Poisson
 * process, here 20,000 with a standard deviation of 141. */
static void test_rate(void **state)
{
	struct agent *agent = *state;
	alloc_fn call = (alloc_fn)wrap(agent, (void *)fake_alloc, AGENT_ALLOC, AGENT_SIZE_ARG0,
				       agent_places.alloc_arg0);

	agent->wire->head.rate = 10000;
	answer = NULL;
	for (unsigned i = 0; i < 2000000; i++) {
		answer = as_pointer(0x900000);
		(void)call(100, 0, 0, 0);
	}
	assert_in_range(agent->wire->head.n_samples, 20000 - 5 * 141, 20000 + 5 * 141);
	assert_int_equal(agent->wire->head.n_shared, 0);
}

/* --- custom profiles --- */

/* A wrapped function with actions. */
static void *wrap_custom(struct agent *agent, void *original, const struct agent_action *actions,
			 unsigned n)
{
	uint32_t at = agent->table->n_entries;
	void *stub = wrap(agent, original, AGENT_CALL, 0, agent_places.custom);

	memcpy(agent->table->entries[at].actions, actions, n * sizeof(*actions));
	return stub;
}

static const struct agent_live *find_key(const struct agent *agent, unsigned profile, uint64_t key)
{
	return find_live(agent, as_pointer(agent_live_key(profile, key)));
}

/* Whatever it is called with, and returns: what is sought is what the agent does with it. */
typedef uint64_t (*any_fn)(uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
			   uint64_t, uint64_t);

static uint64_t nine[9];

static uint64_t fake_any(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f,
			 uint64_t g, uint64_t h, uint64_t i)
{
	const uint64_t all[] = {a, b, c, d, e, f, g, h, i};

	memcpy(nine, all, sizeof(nine));
	return (uint64_t)(uintptr_t)answer;
}

static void test_result_is_key(void **state)
{
	static const struct agent_action add = {.what = AGENT_ADD,
						.profile = 2,
						.key = AGENT_KEY_RET,
						.size_arg = 2,
						.flags = AGENT_INT};
	static const struct agent_action remove = {
		.what = AGENT_REMOVE, .profile = 2, .flags = AGENT_INT};
	struct agent *agent = *state;
	any_fn open = (any_fn)wrap_custom(agent, (void *)fake_any, &add, 1);
	any_fn close = (any_fn)wrap_custom(agent, (void *)fake_any, &remove, 1);
	const struct agent_profile *of = &agent->wire->head.profiles[2];

	/* Descriptor 0, and bits above it that do not count. */
	answer = as_pointer(0xabcd00000000);
	errno = 99;
	assert_int_equal(open(1, 2222, 3, 4, 5, 6, 7, 8, 9), 0xabcd00000000);
	assert_int_equal(errno, 99);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(nine[i], i == 1 ? 2222 : i + 1);
	assert_non_null(find_key(agent, 2, 0));
	assert_int_equal(find_key(agent, 2, 0)->size, 2222);
	assert_int_equal(agent->wire->samples[0].profile, 3);
	assert_int_equal(agent->wire->samples[0].regs[16], (uint64_t)(uintptr_t)fake_any);
	/* A failure. */
	answer = as_pointer(0xffffffff);
	(void)open(1, 2, 3, 4, 5, 6, 7, 8, 9);
	assert_int_equal(of->added, 1);
	answer = NULL;
	(void)open(1, 33, 3, 4, 5, 6, 7, 8, 9);
	assert_int_equal(of->added, 2);
	assert_int_equal(of->twice, 1);
	assert_int_equal(find_key(agent, 2, 0)->size, 33);
	assert_int_equal(find_key(agent, 2, 0)->id, 2);
	(void)close(0xffff00000000, 0, 0, 0, 0, 0, 7, 8, 9);
	assert_int_equal(nine[8], 9);
	assert_null(find_key(agent, 2, 0));
	(void)close(0, 0, 0, 0, 0, 0, 0, 0, 0);
	(void)close((uint64_t)-1, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(of->unknown, 1);
	/* The filter is for free(3). */
	for (unsigned i = 0; i < sizeof(agent->wire->filter); i++)
		assert_int_equal(agent->wire->filter[i], 0);
}

/* Keys that the result leaves in memory; and nothing, where it says that it failed. */
static void test_keys_in_memory(void **state)
{
	static const struct agent_action pair = {
		.what = AGENT_ADD, .key = AGENT_KEY_PAIR, .key_arg = 3, .flags = AGENT_INT};
	static const struct agent_action out = {
		.what = AGENT_ADD, .profile = 1, .key = AGENT_KEY_OUT};
	struct agent *agent = *state;
	any_fn socketpair = (any_fn)wrap_custom(agent, (void *)fake_any, &pair, 1);
	any_fn create = (any_fn)wrap_custom(agent, (void *)fake_any, &out, 1);
	uint32_t fds[2] = {10, 11};
	uint64_t thread = 0x7f0000001000;

	answer = NULL;
	(void)socketpair(0, 0, 0, (uint64_t)(uintptr_t)fds, 0, 0, 0, 0, 0);
	assert_non_null(find_key(agent, 0, 10));
	assert_non_null(find_key(agent, 0, 11));
	(void)create((uint64_t)(uintptr_t)&thread, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_non_null(find_key(agent, 1, thread));
	fds[0] = 20;
	thread += 4096;
	answer = as_pointer(11);
	(void)socketpair(0, 0, 0, (uint64_t)(uintptr_t)fds, 0, 0, 0, 0, 0);
	(void)create((uint64_t)(uintptr_t)&thread, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_null(find_key(agent, 0, 20));
	assert_null(find_key(agent, 1, thread));
	assert_int_equal(agent->wire->head.n_samples, 3);
}

/* As dup2(2): what it replaces is back when it fails. As pthread_tryjoin_np(3): stays. */
static void test_put_back(void **state)
{
	static const struct agent_action dup2[] = {
		{.what = AGENT_ADD, .key = AGENT_KEY_RET, .flags = AGENT_INT},
		{.what = AGENT_REMOVE, .key_arg = 1, .flags = AGENT_INT | AGENT_PERHAPS},
	};
	static const struct agent_action join = {.what = AGENT_REMOVE, .flags = AGENT_IF_ZERO};
	struct agent *agent = *state;
	any_fn replace = (any_fn)wrap_custom(agent, (void *)fake_any, dup2, 2);
	any_fn remove = (any_fn)wrap_custom(agent, (void *)fake_any, &join, 1);

	answer = as_pointer(8);
	(void)replace(3, 8, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(find_key(agent, 0, 8)->id, 1);
	answer = as_pointer((uint64_t)-1);
	(void)replace(3, 8, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(find_key(agent, 0, 8)->id, 1);
	answer = as_pointer(8);
	(void)replace(4, 8, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(find_key(agent, 0, 8)->id, 2);
	assert_int_equal(agent->wire->head.profiles[0].twice, 0);
	assert_int_equal(agent->wire->head.profiles[0].unknown, 0);
	answer = as_pointer(EBUSY);
	(void)remove(8, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(find_key(agent, 0, 8)->id, 2);
	answer = NULL;
	(void)remove(8, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_null(find_key(agent, 0, 8));
}

/* As dlopen(3), whose handles count. */
static void test_many(void **state)
{
	static const struct agent_action add = {
		.what = AGENT_ADD, .key = AGENT_KEY_RET, .flags = AGENT_MANY | AGENT_NO_ORIGIN};
	static const struct agent_action remove = {.what = AGENT_REMOVE};
	struct agent *agent = *state;
	any_fn open = (any_fn)wrap_custom(agent, (void *)fake_any, &add, 1);
	any_fn close = (any_fn)wrap_custom(agent, (void *)fake_any, &remove, 1);

	answer = as_pointer(0x1000);
	(void)open((uint64_t)(uintptr_t) "libz.so", 0, 0, 0, 0, 0, 0, 0, 0);
	(void)open(0, 0, 0, 0, 0, 0, 0, 0, 0);
	(void)open((uint64_t)(uintptr_t) "$ORIGIN/libz.so", 0, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(agent->wire->head.profiles[0].added, 2);
	(void)close(0x1000, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_non_null(find_key(agent, 0, 0x1000));
	(void)close(0x1000, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_null(find_key(agent, 0, 0x1000));
}

/* Variadic functions are told in al how many vector registers have arguments. */
static void test_variadic(void **state)
{
	static const struct agent_action add = {.what = AGENT_ADD, .key = AGENT_KEY_RET};
	struct agent *agent = *state;
	int (*print)(char *, size_t, const char *, ...) =
		(int (*)(char *, size_t, const char *, ...))wrap_custom(agent, (void *)snprintf,
									&add, 1);
	char text[100];

	assert_int_equal(
		print(text, sizeof(text), "%d %g %d %g %d %d %g", 1, 2.5, 3, 4.5, 5, 6, 7.5), 19);
	assert_string_equal(text, "1 2.5 3 4.5 5 6 7.5");
	assert_non_null(find_key(agent, 0, 19));
}

/* Calls of the program itself: entries, numbers, and how many frames they are without. */
static void test_probe(void **state)
{
	static const struct agent_action actions[] = {
		{.what = AGENT_ADD, .profile = 5, .skip_arg = 2},
		{.what = AGENT_REMOVE, .profile = 5},
		{.what = AGENT_COUNT, .profile = 5},
	};
	struct agent *agent = *state;
	void (*calls[3])(uint64_t, uint64_t);
	uint64_t here = (uint64_t)(uintptr_t)test_probe;

	for (unsigned i = 0; i < 3; i++) {
		calls[i] = (void (*)(uint64_t, uint64_t))wrap_custom(
			agent, agent->code + agent_places.back, &actions[i], 1);
		agent->table->entries[i].kind = AGENT_PROBE;
	}
	calls[0](0x1234, 7);
	assert_non_null(find_key(agent, 5, 0x1234));
	assert_int_equal(agent->wire->samples[0].skip, 7);
	assert_int_equal(agent->wire->samples[0].what, AGENT_ADD);
	/* The leaf is who calls. */
	assert_in_range(agent->wire->samples[0].regs[16], here, here + 4096);
	calls[1](0x1234, 0);
	assert_null(find_key(agent, 5, 0x1234));
	calls[2](41, 0);
	calls[2](1, 0);
	assert_int_equal(agent->wire->head.profiles[5].counted, 42);
	assert_int_equal(agent->wire->samples[1].what, AGENT_COUNT);
	assert_int_equal(agent->wire->samples[1].size, 41);
	calls[0](0, 0);
	assert_int_equal(agent->wire->head.profiles[5].added, 1);
}

/* A call that lasts longer than the wire that it began with, and a child of vfork(2). */
static struct agent *outlived;

static uint64_t fake_long(uint64_t a)
{
	outlived->wire->head.seed++;
	return a;
}

static void test_other_wire(void **state)
{
	static const struct agent_action add = {.what = AGENT_ADD, .key = AGENT_KEY_RET};
	struct agent *agent = *state;
	uint64_t (*call)(uint64_t) =
		(uint64_t(*)(uint64_t))wrap_custom(agent, (void *)fake_long, &add, 1);
	any_fn other = (any_fn)wrap_custom(agent, (void *)fake_any, &add, 1);

	outlived = agent;
	assert_int_equal(call(77), 77);
	agent->wire->head.pid++;
	answer = as_pointer(78);
	assert_int_equal(other(0, 0, 0, 0, 0, 0, 0, 0, 0), 78);
	assert_int_equal(agent->wire->head.n_samples, 0);
}

/* More entries than there are places for stacks. */
static void test_entries_without_stack(void **state)
{
	static const struct agent_action add = {.what = AGENT_ADD, .key_arg = 0};
	struct agent *agent = *state;
	any_fn call = (any_fn)wrap_custom(agent, (void *)fake_any, &add, 1);

	for (uint64_t i = 1; i <= 1000; i++)
		(void)call(i, 0, 0, 0, 0, 0, 0, 0, 0);
	for (uint64_t i = 1; i <= 1000; i++)
		assert_int_equal(find_key(agent, 0, i)->id, i);
	assert_int_equal(agent->wire->head.profiles[0].no_stack, 1000 - AGENT_N_SAMPLES);
	assert_int_equal(agent->wire->head.n_no_room, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sampled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_freed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_throws, setup, teardown),
		cmocka_unit_test_setup_teardown(test_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_result_is_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys_in_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_put_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_variadic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_wire, setup, teardown),
		cmocka_unit_test_setup_teardown(test_entries_without_stack, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
