/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates known amounts at known places, and says how much.
 *
 *	allocs ROUNDS	waits for a line on stdin between: "ready", allocations, "counted NAME
 *			ALLOC_BYTES INUSE_BYTES …", freeing all, "freed"
 *
 * Threads free what others allocated; a chain of realloc moves blocks; sizes are from 16 bytes to
 * 256 KiB.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HAND 64

struct site {
	const char *name;
	size_t allocated, in_use;
};

static struct site small = {"site_small"}, mixed = {"site_mixed"}, zeroed = {"site_zeroed"},
		   grown = {"site_grown"}, aligned = {"site_aligned"}, handed = {"site_handed"},
		   large = {"site_large"};
static struct block {
	struct block *next;
	struct site *site;
	size_t size;
} * kept;
static unsigned long random_state = 88172645463325252UL;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static void *hand[HAND];
static int n_hand, ended;

static unsigned long next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Keeps every fourth block. */
static void take(struct site *site, void *memory, size_t size, unsigned i)
{
	struct block *block = memory;

	site->allocated += size;
	if (i % 4) {
		free(memory);
		return;
	}
	site->in_use += size;
	*block = (struct block){kept, site, size};
	kept = block;
}

__attribute__((noinline)) static void site_small(unsigned i)
{
	take(&small, malloc(48), 48, i);
}

__attribute__((noinline)) static void site_mixed(unsigned i)
{
	size_t size = 32 + next_random() % 20000;

	take(&mixed, malloc(size), size, i);
}

__attribute__((noinline)) static void site_zeroed(unsigned i)
{
	size_t n = 1 + next_random() % 100;

	take(&zeroed, calloc(n, 160), n * 160, i);
}

__attribute__((noinline)) static void site_grown(unsigned i)
{
	size_t size = 64;
	void *memory = NULL;

	for (; size <= 16384; size *= 2) {
		memory = realloc(memory, size);
		grown.allocated += size;
	}
	size /= 2;
	grown.allocated -= size;
	take(&grown, memory, size, i);
}

__attribute__((noinline)) static void site_aligned(unsigned i)
{
	size_t size = 256 * (1 + next_random() % 16);
	void *memory = NULL;

	if (i % 2)
		memory = aligned_alloc(256, size);
	else if (posix_memalign(&memory, 512, size) != 0)
		abort();
	take(&aligned, memory, size, i / 2);
}

__attribute__((noinline)) static void site_large(unsigned i)
{
	if (i % 16 == 0)
		take(&large, malloc(1 << 18), 1 << 18, i / 16);
}

/* Freed by another thread. */
__attribute__((noinline)) static void site_handed(void)
{
	void *memory = malloc(3000);

	handed.allocated += 3000;
	pthread_mutex_lock(&lock);
	while (n_hand == HAND)
		pthread_cond_wait(&changed, &lock);
	hand[n_hand++] = memory;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void *free_handed(void *arg)
{
	pthread_mutex_lock(&lock);
	while (n_hand || !ended) {
		if (n_hand) {
			void *memory = hand[--n_hand];

			pthread_cond_broadcast(&changed);
			pthread_mutex_unlock(&lock);
			free(memory);
			pthread_mutex_lock(&lock);
		} else {
			pthread_cond_wait(&changed, &lock);
		}
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

static void wait_for_line(void)
{
	int c;

	fflush(stdout);
	do {
		c = getchar();
	} while (c != '\n' && c != EOF);
}

int main(int argc, char **argv)
{
	const struct site *sites[] = {&small, &mixed, &zeroed, &grown, &aligned, &handed, &large};
	unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 20000;
	pthread_t thread;

	pthread_create(&thread, NULL, free_handed, NULL);
	puts("ready");
	wait_for_line();
	for (unsigned i = 0; i < rounds; i++) {
		for (unsigned k = 0; k < 20; k++)
			site_small(i * 20 + k);
		site_mixed(i);
		site_zeroed(i);
		site_grown(i);
		site_aligned(i);
		site_handed();
		site_large(i);
	}
	pthread_mutex_lock(&lock);
	ended = 1;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
	pthread_join(thread, NULL);
	printf("counted");
	for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++)
		printf(" %s %zu %zu", sites[i]->name, sites[i]->allocated, sites[i]->in_use);
	puts("");
	wait_for_line();
	while (kept) {
		struct block *next = kept->next;

		free(kept);
		kept = next;
	}
	puts("freed");
	wait_for_line();
	return 0;
}
