/* pool.c: the cure for what fragmenter.c shows.
 *
 * The story: a cache whose entries live for seconds or for hours, in sizes from 64 bytes
 * to 4 KB. With a malloc for each, those that live long end up strewn among the holes of
 * those that have gone: no hole is large enough, no page is wholly free, and the process
 * grows although the cache does not.
 *
 * Here every entry lies in a slot of its size class, and the slots of a class come from
 * slabs of 64 KB that the pool takes once. An entry that goes leaves a slot that fits the
 * next entry of its class to the byte: the memory never breaks up, whatever the order in
 * which entries come and go. The price is the rest of each slot: a quarter at most.
 *
 * What fragscope says: nothing wrong was found. */
#include "help.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LEAST = 64,
	MOST = 4096,
	CLASSES = 25, /* four a power of two */
	SLAB = 65536,
	ENTRIES = 40000,
	SECONDS = 600,
};

/* A free slot holds the address of the next one. */
static void *free_slot[CLASSES];

static unsigned class_of(size_t bytes, size_t *slot_bytes)
{
	unsigned class = 0;
	size_t step = LEAST / 4, size = LEAST;

	while (size < bytes) {
		size += step;
		class ++;
		if ((size & (size - 1)) == 0)
			step = size / 4;
	}
	*slot_bytes = size;
	return class;
}

static void *pool_take(size_t bytes)
{
	size_t slot_bytes;
	unsigned class = class_of(bytes, &slot_bytes);
	void *slot;

	if (!free_slot[class]) {
		char *slab = malloc(SLAB);

		if (!slab)
			return NULL;
		for (size_t at = 0; at + slot_bytes <= SLAB; at += slot_bytes) {
			memcpy(slab + at, &free_slot[class], sizeof(void *));
			free_slot[class] = slab + at;
		}
	}
	slot = free_slot[class];
	memcpy(&free_slot[class], slot, sizeof(void *));
	return slot;
}

static void pool_give(void *slot, size_t bytes)
{
	size_t slot_bytes;
	unsigned class = class_of(bytes, &slot_bytes);

	memcpy(slot, &free_slot[class], sizeof(void *));
	free_slot[class] = slot;
}

static struct {
	void *data;
	size_t bytes;
} entry[ENTRIES];

/* Replaces one entry by one of another size. */
static void replace(unsigned which)
{
	if (entry[which].data)
		pool_give(entry[which].data, entry[which].bytes);
	entry[which].bytes = LEAST + (size_t)rand() % (MOST - LEAST);
	entry[which].data = pool_take(entry[which].bytes);
	if (!entry[which].data)
		exit(1);
	memset(entry[which].data, 1, entry[which].bytes);
}

static const char help[] = "usage: pool\n"
			   "Shows a cache of 40000 entries that does not fragment: "
			   "entries lie in slots of their size\n"
			   "class, in slabs of 64 KB. Compare with fragmenter.\n"
			   "\n"
			   "Prints READY and its PID when it has replaced its entries 20 "
			   "times; ends after 10 minutes.\n"
			   "Try:  fragscope report -p PID     (no known problem)\n";

int main(int argc, char **argv)
{
	example_arguments(argc, argv, help, "");
	alarm(SECONDS);
	for (unsigned i = 0; i < ENTRIES; i++)
		replace(i);
	/* Hours of a real cache, in a second. */
	for (unsigned i = 0; i < 20 * ENTRIES; i++)
		replace((unsigned)rand() % ENTRIES);
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;) {
		usleep(1000);
		replace((unsigned)rand() % ENTRIES);
	}
}
