/* fuzz_walk.c: a libFuzzer target: the first byte of the input chooses a saved image, the
 * second a way to read it, and each twelve bytes after them are one edit of damage.h.
 * Whatever the edits are, the reader must end, within a number of reads, and read nothing
 * that is not resident. Run it in the build directory:
 *
 *   FRAGSCOPE_SRCDIR=.../fragscope tests/fuzz/fuzz_walk -max_total_time=300 CORPUS */
#include "damage.h"
#include "saved.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EDIT_BYTES = 12, EDITS_MAX = 64, LIMIT = 1000000 };

static const struct heap_options ways[] = {
	{.threads = 1},
	{.threads = 1, .arenas = true, .bins = true},
	{.threads = 1, .quick = true},
};

enum { WAYS = sizeof(ways) / sizeof(*ways) };

/* One image and its readers, made when the first input asks for them. */
struct bench {
	struct damage *damage;
	struct image_memory memory;
	struct heap *heap[WAYS];
	struct sample *sample[WAYS];
};

static struct saved saved[SAVED_MAX];
static struct bench bench[SAVED_MAX];
static int saved_count;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stop(const char *what)
{
	fprintf(stderr, "fuzz_walk: %s\n", what);
	abort();
}

static void exhausted(void *context)
{
	(void)context;
	stop("it looks at pages without end");
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char why[SAVED_PATH];

	(void)argc;
	(void)argv;
	saved_count = saved_load(saved, why);
	if (saved_count <= 0) {
		fprintf(stderr,
			"fuzz_walk: no images at %s: run make check, and set "
			"FRAGSCOPE_SRCDIR and FRAGSCOPE_BUILDDIR\n",
			why);
		exit(1);
	}
	return 0;
}

static void open_reader(struct bench *one, const struct image *image, unsigned way)
{
	struct fault fault;

	if (heap_new(&one->heap[way], &one->memory.memory, image->instance,
		     image->instance_count, &ways[way], &fault))
		stop(fault.text);
	one->sample[way] =
		sample_new(heap_arena_capacity(one->heap[way]), ways[way].bins);
	if (!one->sample[way])
		stop("no memory");
}

static struct bench *open_bench(unsigned number, unsigned way)
{
	struct bench *one = &bench[number];
	struct image *image = saved[number].image;

	if (!one->damage) {
		one->damage = damage_new(image);
		image_memory_init(&one->memory, image);
		one->memory.exhausted = exhausted;
		one->memory.limit = LIMIT;
	}
	if (!one->damage)
		stop("an image is damaged already");
	if (!one->heap[way])
		open_reader(one, image, way);
	return one;
}

static void damage(struct bench *one, const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < EDITS_MAX && size >= EDIT_BYTES; i++) {
		struct edit edit = {.change = data[0], .place = data[1]};

		memcpy(&edit.index, data + 2, sizeof(edit.index));
		memcpy(&edit.value, data + 4, sizeof(edit.value));
		damage_apply(one->damage, &edit);
		data += EDIT_BYTES;
		size -= EDIT_BYTES;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fault fault;
	struct bench *one;
	unsigned number, way;

	if (size < 2)
		return 0;
	number = data[0] % saved_count;
	way = data[1] % WAYS;
	one = open_bench(number, way);
	one->memory.reads = one->memory.looks = 0;
	damage(one, data + 2, size - 2);
	sample_clear(one->sample[way]);
	if (!heap_look(one->heap[way], &fault))
		heap_read(one->heap[way], &saved[number].image->regions, one->sample[way],
			  &fault);
	if (one->memory.outside)
		stop("it read what is not resident");
	if (one->memory.reads + one->memory.looks > LIMIT)
		stop("it reads without end");
	damage_undo(one->damage);
	return 0;
}
