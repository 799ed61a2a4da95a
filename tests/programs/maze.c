/* maze.c: heaps that lead a search for owners astray. "maze KIND CHUNKS": ring, chunks
 * that point to each other and from nowhere else; garbage, each word of each chunk points
 * to some chunk; deep, a list of chunks of many sizes; churn, a garbage that changes all
 * the time; wide, a tree of CHUNKS levels and a ring; left, a list that main has in a
 * variable of its own, and a text of libc's in a chunk that once pointed to it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t seed = 1;
static void **volatile root;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % below;
}

static void **make(size_t words)
{
	void **chunk = calloc(words, sizeof(*chunk));

	if (!chunk)
		exit(1);
	return chunk;
}

static void ring(size_t count)
{
	void **first = make(8), **last = first;

	for (size_t i = 1; i < count; i++) {
		*last = make(8);
		last = *last;
	}
	*last = first;
	first = last = NULL;
}

static void **list(size_t count)
{
	void **first = make(8), **last = first;

	for (size_t i = 1; i < count; i++) {
		*last = make(2 + draw(60));
		last = *last;
	}
	return first;
}

/* The copy that tzset makes of TZ takes the chunk that was freed last, and writes two
 * bytes of it. */
static void leave(void **first)
{
	void *volatile *chunk = (void *volatile *)make(3);

	setenv("TZ", "X", 1);
	chunk[2] = first;
	free((void *)chunk);
	tzset();
}

/* Words of chunk I, as the table of all chunks has them. */
static void fill(void **const *all, size_t count, size_t i)
{
	for (unsigned word = 0; word < 6; word++)
		all[i][word] = (char *)all[draw(count)] + (draw(4) ? 0 : 8 * draw(6));
}

static void garbage(size_t count, int changes)
{
	void ***all = malloc(count * sizeof(*all));

	if (!all)
		exit(1);
	for (size_t i = 0; i < count; i++)
		all[i] = make(6);
	for (size_t i = 0; i < count; i++)
		fill(all, count, i);
	if (changes) {
		puts("ready");
		fflush(stdout);
	}
	while (changes) {
		size_t i = draw(count);

		free(all[i]);
		all[i] = make(6 + draw(20));
		fill(all, count, i);
	}
	root = (void **)all[0];
	free(all);
}

/* No two pointers of a node are at the same place, and no two levels of one size. */
static void **wide(size_t levels)
{
	enum { CHILDREN = 32, WORDS = 80 };
	void **node = make(levels ? WORDS + 2 * levels : 2);

	for (size_t i = 0; levels && i < CHILDREN; i++)
		node[2 * i] = wide(levels - 1);
	return node;
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "ring";
	size_t count = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000;
	void **volatile own = NULL;

	if (!strcmp(kind, "ring"))
		ring(count);
	else if (!strcmp(kind, "deep"))
		root = list(count);
	else if (!strcmp(kind, "left"))
		leave(own = list(count));
	else if (!strcmp(kind, "wide")) {
		ring(1000);
		root = wide(count);
	} else
		garbage(count, !strcmp(kind, "churn"));
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
