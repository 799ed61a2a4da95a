#include "heaps.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ARENAS = 64, PAGE = 4096 };

/* The blocks that a heap is made of; their table is no part of it. */
struct blocks {
	char **block;
	size_t count, capacity;
	uint64_t state;
};

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static double chance(uint64_t *state)
{
	return (double)(next(state) >> 11) / 9007199254740992.0;
}

static size_t between(uint64_t *state, size_t from, size_t to)
{
	return from + next(state) % (to - from + 1);
}

static struct blocks begin(uint64_t seed, size_t capacity)
{
	struct blocks blocks = {.capacity = capacity, .state = seed};

	blocks.block = mmap(NULL, capacity * sizeof(*blocks.block),
			    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (blocks.block == MAP_FAILED)
		abort();
	return blocks;
}

/* A block of BYTES of which the first TOUCHED are written, by random words: some of them
 * look like sizes, and some like addresses. */
static void add(struct blocks *blocks, size_t bytes, size_t touched)
{
	char *block = malloc(bytes);

	touched = touched < bytes ? touched : bytes;
	if (!block || blocks->count == blocks->capacity)
		abort();
	for (size_t i = 0; i + 8 <= touched; i += 8) {
		uint64_t word = next(&blocks->state), kind = word % 4;

		word = kind == 0   ? (word >> 52 & ~UINT64_C(15)) | 1
		       : kind == 1 ? (uint64_t)(uintptr_t)block + (word >> 44)
				   : word;
		memcpy(block + i, &word, sizeof(word));
	}
	blocks->block[blocks->count++] = block;
}

static void drop(struct blocks *blocks, size_t i)
{
	free(blocks->block[i]);
	blocks->block[i] = NULL;
}

static void drop_some(struct blocks *blocks, double share)
{
	for (size_t i = 0; i < blocks->count; i++)
		if (blocks->block[i] && chance(&blocks->state) < share)
			drop(blocks, i);
}

static void no_mappings(void)
{
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

static size_t lognormal(uint64_t *state, double median, double sigma)
{
	double u = chance(state) + 1e-12, v = chance(state);
	double z = sqrt(-2 * log(u)) * cos(2 * 3.14159265358979 * v);
	double bytes = median * exp(sigma * z);

	return bytes < 16 ? 16 : bytes > (1 << 20) ? 1 << 20 : (size_t)bytes;
}

static void make_small(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 16);
	uint64_t *state = &blocks.state;

	no_mappings();
	for (size_t bytes = 0; bytes < (size_t)mb << 20;) {
		size_t one = between(state, 16, 240);

		add(&blocks, one, one);
		bytes += one + 16;
	}
	drop_some(&blocks, 0.4);
	add(&blocks, 2000, 2000);
}

static void make_large(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 10);
	uint64_t *state = &blocks.state;

	no_mappings();
	for (size_t bytes = 0; bytes < (size_t)mb << 20;) {
		size_t one = between(state, 20000, 60000);

		add(&blocks, one, one / 2);
		bytes += one;
	}
	drop_some(&blocks, 0.5);
	add(&blocks, 20, 16);
}

static void mix(struct blocks *blocks, unsigned mb)
{
	for (size_t bytes = 0; bytes < (size_t)mb << 20;) {
		size_t one = lognormal(&blocks->state, 200, 1.6);

		add(blocks, one, one);
		bytes += one;
	}
	for (unsigned round = 0; round < 3; round++) {
		drop_some(blocks, 0.4);
		for (size_t i = 0, n = blocks->count / 5; i < n; i++)
			add(blocks, lognormal(&blocks->state, 200, 1.6), 64);
	}
	drop_some(blocks, 0.3);
}

static void make_mixed(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 14);

	no_mappings();
	mix(&blocks, mb);
}

static void make_bimodal(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 14);

	no_mappings();
	for (size_t bytes = 0; bytes < (size_t)mb << 20;) {
		size_t one = chance(&blocks.state) < 0.005 ? 60000 : 100;

		add(&blocks, one, one);
		bytes += one;
	}
	drop_some(&blocks, 0.5);
	add(&blocks, 2000, 16);
}

struct share {
	struct blocks blocks;
	unsigned mb;
	pthread_barrier_t *filled;
};

static void *fill_arena(void *context)
{
	struct share *share = context;

	mix(&share->blocks, share->mb);
	pthread_barrier_wait(share->filled);
	pause();
	return NULL;
}

/* Threads that live on: those of one that has ended would be the next one's. */
static void make_arenas(uint64_t seed, unsigned mb)
{
	static struct share share[ARENAS];
	static pthread_barrier_t filled;

	mallopt(M_ARENA_MAX, ARENAS + 1);
	no_mappings();
	pthread_barrier_init(&filled, NULL, ARENAS + 1);
	for (unsigned i = 0; i < ARENAS; i++) {
		pthread_t thread;

		share[i].mb = mb / ARENAS + 1;
		share[i].filled = &filled;
		share[i].blocks = begin(seed + i, (size_t)share[i].mb << 15);
		if (pthread_create(&thread, NULL, fill_arena, &share[i]))
			abort();
	}
	pthread_barrier_wait(&filled);
}

static void make_giant(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 14);

	no_mappings();
	mix(&blocks, mb / 6);
	add(&blocks, (size_t)mb << 19, (size_t)mb << 19);
	blocks.block[blocks.count - 1] = NULL;
	mix(&blocks, mb / 6);
}

static void make_fastbins(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 15);

	no_mappings();
	for (size_t bytes = 0; bytes < (size_t)mb << 20;) {
		size_t one = chance(&blocks.state) < 0.6
				     ? between(&blocks.state, 16, 100)
				     : between(&blocks.state, 300, 900);

		add(&blocks, one, one);
		bytes += one;
	}
	drop_some(&blocks, 0.4);
}

static void make_trimmed(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 14);

	no_mappings();
	mix(&blocks, mb);
	for (size_t i = 0; i < blocks.count; i++)
		if (blocks.block[i] && (i >> 8) % 3)
			drop(&blocks, i);
	malloc_trim(0);
	drop_some(&blocks, 0.3);
	add(&blocks, 3000, 16);
}

/* Freed in phases: a stretch is nearly all free, the next one hardly. */
static void make_phases(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 15);

	no_mappings();
	mix(&blocks, mb);
	for (size_t i = 0; i < blocks.count; i++) {
		double share = (double)(i >> 13 & 7) / 8;

		if (blocks.block[i] && chance(&blocks.state) < share)
			drop(&blocks, i);
	}
	add(&blocks, 3000, 16);
}

/* Large blocks out of memory that was many small ones: their bytes are the headers of
 * chunks that are none any more. */
static void make_stale(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 15);
	size_t count, n = 0;

	no_mappings();
	for (size_t bytes = 0; bytes < (size_t)mb << 20; bytes += 200)
		add(&blocks, between(&blocks.state, 100, 280), 32);
	add(&blocks, 3000, 16);
	count = blocks.count - 1;
	for (size_t i = 0; i < count; i += 2)
		drop(&blocks, i);
	add(&blocks, 3000, 16);
	for (size_t i = 0; i < count; i++, n++) {
		if (n > 3000 && next(&blocks.state) % 8 == 0)
			n = 0;
		if (blocks.block[i] && n < 1500)
			drop(&blocks, i);
	}
	for (unsigned i = 0; i < mb * 3; i++)
		add(&blocks, between(&blocks.state, 60000, 150000), 0);
}

/* Of each block a page is touched. */
static void make_sparse(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 10);

	no_mappings();
	for (unsigned i = 0; i < mb * 40; i++)
		add(&blocks, between(&blocks.state, 60000, 500000), 3000);
	drop_some(&blocks, 0.3);
	add(&blocks, 3000, 16);
}

/* All that is freed lies on the unsorted list still. */
static void make_unsorted(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 14);

	no_mappings();
	for (size_t bytes = 0; bytes < (size_t)mb << 20;) {
		size_t one = between(&blocks.state, 1100, 4000);

		add(&blocks, one, one);
		bytes += one;
	}
	drop_some(&blocks, 0.45);
}

/* Little is free, and that in few places. */
static void make_full(uint64_t seed, unsigned mb)
{
	struct blocks blocks = begin(seed, (size_t)mb << 14);

	no_mappings();
	for (size_t bytes = 0; bytes < (size_t)mb << 20;) {
		size_t one = between(&blocks.state, 150, 600);

		add(&blocks, one, one);
		bytes += one;
	}
	drop_some(&blocks, 0.01);
	add(&blocks, 3000, 16);
}

static const char *const python[] = {
	"python3", "-c",
	"import random,sys,time\n"
	"random.seed(int(sys.argv[1])); n=int(sys.argv[2])*1500\n"
	"d={i:('x'*random.randrange(600,3000), [i]*random.randrange(1,90)) "
	"for i in range(n//4)}\n"
	"for i in list(d):\n"
	"  if random.random()<0.5: del d[i]\n"
	"print('ready',flush=True); time.sleep(1e6)\n",
	NULL};

const struct heap_kind heap_kinds[] = {
	{"small", make_small, NULL, "blocks of 16 to 240 bytes, 40% freed"},
	{"large", make_large, NULL, "blocks of 20 to 60 KB, half freed"},
	{"mixed", make_mixed, NULL, "sizes of a lognormal law, freed and made again"},
	{"bimodal", make_bimodal, NULL, "100 bytes or 60,000"},
	{"arenas", make_arenas, NULL, "64 arenas of mixed blocks"},
	{"giant", make_giant, NULL, "mixed, and one live block of half the heap"},
	{"fastbins", make_fastbins, NULL, "hundreds of thousands of fastbin chunks"},
	{"trimmed", make_trimmed, NULL, "freed in part, trimmed, freed in part"},
	{"phases", make_phases, NULL, "stretches more free and less"},
	{"stale", make_stale, NULL, "live blocks full of old headers"},
	{"sparse", make_sparse, NULL, "large blocks, a page of each touched"},
	{"unsorted", make_unsorted, NULL, "all on the unsorted list"},
	{"full", make_full, NULL, "1% free"},
	{"python", NULL, python, "CPython, half of a dict deleted"},
};

const unsigned heap_kind_count = sizeof(heap_kinds) / sizeof(heap_kinds[0]);
