/* churner.c: a program that mallocs and frees at full speed and keeps a log of what it
 * held, against which every reading from outside can be checked.
 *
 * Usage: churner KIND FILE. FILE is made, as large as struct log, and written as long as
 * the program runs: what each worker held at the least and at the most in each part of
 * time. The bounds are true sums: what a worker does in one call of malloc or free is the
 * only thing that the log may lag behind. Says "ready PID"; ends with its input. */
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	WORKERS = 4,
	PARTS = 1 << 17, /* of time, two minutes; then it begins again */
	PART_NS = 1000000,
	SLOTS = 1000,
	RING = 256,
	MAPPED_MIN = 128 << 10,
	FULL = 7, /* of a tcache's list */
	CACHED_MAX = 1032,
};

/* Bytes, as malloc rounds them; MOVED: allocated or freed in this part of time. */
struct held {
	int64_t min, max, last;
};

struct cell {
	uint64_t part; /* which this is; another: nothing was done in it */
	uint64_t moved;
	struct held heap, mapped;
};

struct log {
	uint64_t parts, workers, part_ns;
	uint64_t cached_bytes; /* what threads at rest keep in their caches */
	struct cell cell[WORKERS][PARTS];
};

static struct log *book;
static atomic_bool ends;

static struct {
	struct held heap, mapped; /* their LAST only */
	unsigned seed;
	void *slot[SLOTS];
	_Atomic(void *) ring[RING];
} worker[WORKERS];

static uint64_t now_part(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec * 1000000000 + now.tv_nsec) / PART_NS;
}

static struct cell *cell_now(unsigned w)
{
	uint64_t part = now_part();
	struct cell *cell = &book->cell[w][part % PARTS];

	if (cell->part != part) {
		int64_t heap = worker[w].heap.last, mapped = worker[w].mapped.last;

		cell->moved = 0;
		cell->heap = (struct held){heap, heap, heap};
		cell->mapped = (struct held){mapped, mapped, mapped};
		cell->part = part;
	}
	return cell;
}

static void note(struct held *held, struct held *last, int64_t bytes)
{
	last->last += bytes;
	held->last = last->last;
	held->min = held->last < held->min ? held->last : held->min;
	held->max = held->last > held->max ? held->last : held->max;
}

/* SIGN is 1 for a chunk that was got, -1 for one that is about to be freed. */
static void account(unsigned w, void *chunk, int64_t sign)
{
	struct cell *cell = cell_now(w);
	size_t field = ((size_t *)chunk)[-1];
	int64_t bytes = field & ~(size_t)7;

	cell->moved += bytes;
	if (field & 2)
		note(&cell->mapped, &worker[w].mapped, sign * bytes);
	else
		note(&cell->heap, &worker[w].heap, sign * bytes);
}

static void *get(unsigned w, size_t bytes)
{
	char *chunk = malloc(bytes);

	if (!chunk)
		abort();
	account(w, chunk, 1);
	chunk[0] = 1;
	chunk[bytes - 1] = 1;
	return chunk;
}

static void put(unsigned w, void *chunk)
{
	if (!chunk)
		return;
	account(w, chunk, -1);
	free(chunk);
}

static unsigned draw(unsigned w, unsigned below)
{
	return (unsigned)rand_r(&worker[w].seed) % below;
}

/* ---- kinds ---- */

/* Threads that map and unmap, and malloc small chunks besides. */
static void *map(void *arg)
{
	unsigned w = (uintptr_t)arg;

	while (!ends) {
		void **slot = &worker[w].slot[draw(w, 100)];

		put(w, *slot);
		*slot = get(w, draw(w, 10) ? 1 + draw(w, 20000)
					   : MAPPED_MIN + draw(w, 1 << 20));
	}
	return NULL;
}

static void *produce(void *arg)
{
	unsigned w = (uintptr_t)arg;

	for (unsigned i = 0; !ends; i = (i + 1) % RING) {
		void *chunk = get(w, 1 + draw(w, 8000)), *none = NULL;

		while (!atomic_compare_exchange_weak(&worker[w].ring[i], &none, chunk)) {
			none = NULL;
			if (ends)
				return NULL;
		}
	}
	return NULL;
}

/* Frees what the worker before made. */
static void *consume(void *arg)
{
	unsigned w = (uintptr_t)arg;

	for (unsigned i = 0; !ends; i = (i + 1) % RING) {
		void *chunk;

		while (!(chunk = atomic_exchange(&worker[w - 1].ring[i], NULL)))
			if (ends)
				return NULL;
		put(w, chunk);
	}
	return NULL;
}

/* Threads that end, and leave what they hold to the next. */
static void *churn(void *arg)
{
	unsigned w = (uintptr_t)arg;
	pthread_attr_t detached;
	pthread_t next;

	for (unsigned i = 0; i < 3000; i++) {
		void **slot = &worker[w].slot[draw(w, SLOTS)];

		put(w, *slot);
		*slot = get(w, 1 + draw(w, 1000));
	}
	if (ends)
		return NULL;
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	while (pthread_create(&next, &detached, churn, arg) && !ends)
		usleep(1000);
	return NULL;
}

/* Arenas that grow, and shrink to nothing. */
static void *shrink(void *arg)
{
	unsigned w = (uintptr_t)arg;

	while (!ends) {
		unsigned bytes = 1 + draw(w, 60000), count = 1 + draw(w, SLOTS);

		for (unsigned i = 0; i < count; i++)
			worker[w].slot[i] = get(w, 1 + draw(w, bytes));
		for (unsigned i = count; i-- > 0;)
			put(w, worker[w].slot[i]);
	}
	return NULL;
}

/* Fills each list of this thread's cache. */
static void fill_cache(void)
{
	void *chunk[FULL];

	for (size_t bytes = 24; bytes <= CACHED_MAX; bytes += 16) {
		for (unsigned i = 0; i < FULL; i++)
			chunk[i] = malloc(bytes);
		for (unsigned i = 0; i < FULL; i++)
			free(chunk[i]);
	}
}

/* A full cache, of which one list is emptied and filled all the time. */
static void *cache(void *arg)
{
	unsigned w = (uintptr_t)arg;
	void *chunk[FULL];

	fill_cache();
	while (!ends) {
		for (unsigned i = 0; i < FULL; i++)
			chunk[i] = get(w, 24);
		for (unsigned i = 0; i < FULL; i++)
			put(w, chunk[i]);
	}
	return NULL;
}

static const struct kind {
	const char *name;
	void *(*run[WORKERS])(void *);
	unsigned cached; /* threads with a full cache, but for the first list */
} kinds[] = {
	{"map", {map, map, map, map}, 0},
	{"pair", {produce, consume, produce, consume}, 0},
	{"churn", {churn, churn, churn, churn}, 0},
	{"shrink", {shrink, shrink, shrink, shrink}, 0},
	{"cache", {cache, cache, cache, cache}, WORKERS},
	{"all", {map, churn, shrink, cache}, 1},
};

static uint64_t full_bytes(unsigned caches)
{
	uint64_t bytes = 0;

	for (uint64_t size = 48; size <= CACHED_MAX + 8; size += 16)
		bytes += FULL * size;
	return caches * bytes;
}

static void open_book(const char *path, unsigned caches)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*book))) {
		perror(path);
		exit(1);
	}
	book = mmap(NULL, sizeof(*book), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (book == MAP_FAILED) {
		perror("mmap");
		exit(1);
	}
	book->cached_bytes = full_bytes(caches);
	book->parts = PARTS;
	book->workers = WORKERS;
	book->part_ns = PART_NS;
}

int main(int argc, char **argv)
{
	const struct kind *kind = kinds;
	char line[16];

	while (kind < kinds + sizeof(kinds) / sizeof(*kinds) &&
	       (argc != 3 || strcmp(kind->name, argv[1]) != 0))
		kind++;
	if (kind == kinds + sizeof(kinds) / sizeof(*kinds)) {
		fprintf(stderr, "usage: churner KIND FILE\n");
		return 2;
	}
	mallopt(M_MMAP_THRESHOLD, MAPPED_MIN);
	mallopt(M_TRIM_THRESHOLD, 64 << 10);
	open_book(argv[2], kind->cached);
	for (uintptr_t i = 0; i < WORKERS; i++) {
		pthread_t thread;

		worker[i].seed = i + 1;
		if (pthread_create(&thread, NULL, kind->run[i], (void *)i))
			return 1;
		pthread_detach(thread);
	}
	printf("ready %d\n", getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		;
	ends = true;
	_exit(0);
}
