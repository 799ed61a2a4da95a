/* fragmenter.c: a program whose heap breaks up while you watch. It is a cache in
 * miniature: it has loaded and dropped some start-up data, which leaves one large hole;
 * now each new record is a little larger than those it replaces, and a small index entry
 * beside it outlives it. The holes of old records do not fit new ones, so the large hole
 * is eaten up, although hardly more memory is in use than at the start. With --stay it
 * drops all records in the end and waits: nearly nothing is in use then, and the entries
 * keep nearly all pages. With --apart, the cure, entries lie together in slabs of their
 * own: neighbours that go become one hole, and few pages are kept.
 *
 *   fragmenter [--seconds N] [--mb N] [--threads N] [--self-report] [--stay] [--apart]
 *
 * Try: fragscope stat -p PID 1 */
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	TICKS_A_SECOND = 20,
	BLOCK_BYTES = 64 * 1024, /* start-up data comes in blocks of this size */
	RECORD_BYTES_MIN = 1100,
	RECORD_BYTES_MAX = 2200,
	RECORD_BYTES_MEAN = (RECORD_BYTES_MIN + RECORD_BYTES_MAX) / 2,
	ENTRY_BYTES = 40,
	SLAB_BYTES = 64 * 1024, /* of entries, with --apart */
	TURNOVER_PERCENT = 250, /* of the heap, replaced over the whole run */
	STAY_SECONDS = 600,
	GROWTH_PERCENT = 100, /* how much larger the last records are than the first */
};

struct options {
	unsigned seconds;
	unsigned megabytes;
	unsigned threads;
	bool self_report;
	bool stay;
	bool apart;
};

struct record {
	char *data;
	size_t bytes;
};

/* One cache; each thread has its own, in its own arena. It holds BUDGET_BYTES. */
struct cache {
	const struct options *options;
	struct timespec start;
	uint64_t random;
	size_t heap_bytes;
	size_t budget_bytes;
	size_t held_bytes;
	size_t records;
	struct record *record;
	char *slab;
	size_t slab_left;
	pthread_t thread;
};

static uint64_t random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static char *get(size_t bytes)
{
	char *chunk = malloc(bytes);

	if (!chunk) {
		perror("fragmenter: malloc");
		exit(1);
	}
	memset(chunk, 1, bytes);
	return chunk;
}

/* The index never forgets: nobody needs the address of an entry again. */
static void entry_add(struct cache *cache)
{
	if (!cache->options->apart) {
		get(ENTRY_BYTES);
		return;
	}
	if (cache->slab_left < ENTRY_BYTES) {
		cache->slab = get(SLAB_BYTES);
		cache->slab_left = SLAB_BYTES;
	}
	cache->slab_left -= ENTRY_BYTES;
	memset(cache->slab + cache->slab_left, 1, ENTRY_BYTES);
}

/* Adds a record of the generation that is PERCENT larger than the first, and its entry.
 */
static void cache_add(struct cache *cache, size_t percent)
{
	size_t span = RECORD_BYTES_MAX - RECORD_BYTES_MIN;
	size_t bytes = RECORD_BYTES_MIN + random_next(&cache->random) % span;
	struct record *record = &cache->record[cache->records++];

	record->bytes = bytes * (100 + percent) / 100;
	record->data = get(record->bytes);
	cache->held_bytes += record->bytes;
	entry_add(cache);
}

static void cache_evict(struct cache *cache)
{
	size_t victim = random_next(&cache->random) % cache->records;

	free(cache->record[victim].data);
	cache->held_bytes -= cache->record[victim].bytes;
	cache->record[victim] = cache->record[--cache->records];
}

static void cache_fill(struct cache *cache)
{
	cache->budget_bytes = cache->heap_bytes / 3;
	cache->record = calloc(cache->budget_bytes / RECORD_BYTES_MIN + 1,
			       sizeof(*cache->record));
	if (!cache->record) {
		perror("fragmenter: calloc");
		exit(1);
	}
	while (cache->held_bytes + RECORD_BYTES_MAX <= cache->budget_bytes)
		cache_add(cache, 0);
}

/* Loads start-up data and drops it again. The entry made after it keeps the hole from
 * joining the top of the heap, from where it would go back to the kernel. */
static void cache_leave_hole(struct cache *cache)
{
	char *chain = NULL;

	for (size_t i = 0; i < cache->heap_bytes * 2 / 3 / BLOCK_BYTES; i++) {
		char *block = get(BLOCK_BYTES - 16);

		memcpy(block, &chain, sizeof(chain));
		chain = block;
	}
	/* Larger than any hole there is, so it is cut from the top; never freed. */
	get(BLOCK_BYTES);
	while (chain) {
		char *block = chain;

		memcpy(&chain, block, sizeof(chain));
		free(block);
	}
}

static void cache_replace(struct cache *cache, size_t percent)
{
	cache_add(cache, percent);
	while (cache->held_bytes > cache->budget_bytes)
		cache_evict(cache);
}

static void tick_wait(const struct cache *cache, unsigned tick)
{
	struct timespec at = cache->start;

	at.tv_sec += tick / TICKS_A_SECOND;
	at.tv_nsec += (long)(tick % TICKS_A_SECOND) * (1000000000 / TICKS_A_SECOND);
	if (at.tv_nsec >= 1000000000) {
		at.tv_nsec -= 1000000000;
		at.tv_sec++;
	}
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
		;
}

static void self_report(const struct cache *cache, unsigned tick)
{
	struct mallinfo2 info;

	if (!cache->options->self_report || tick % TICKS_A_SECOND != 0)
		return;
	info = mallinfo2();
	printf("%3u s: system %zu, in use %zu, free %zu in %zu chunks\n",
	       tick / TICKS_A_SECOND, info.arena, info.uordblks, info.fordblks,
	       info.ordblks);
	fflush(stdout);
}

/* So many replacements in all that little of the hole is left. */
static void cache_run(struct cache *cache)
{
	unsigned ticks = cache->options->seconds * TICKS_A_SECOND;
	size_t total_bytes = cache->heap_bytes * TURNOVER_PERCENT / 100;
	size_t each = total_bytes / RECORD_BYTES_MEAN / ticks + 1;

	for (unsigned tick = 0; tick < ticks; tick++) {
		tick_wait(cache, tick);
		self_report(cache, tick);
		for (size_t i = 0; i < each; i++)
			cache_replace(cache, (size_t)GROWTH_PERCENT * tick / ticks);
	}
}

static void cache_drop(struct cache *cache)
{
	while (cache->records)
		free(cache->record[--cache->records].data);
}

static void *cache_thread(void *argument)
{
	struct cache *cache = argument;

	cache_fill(cache);
	cache_leave_hole(cache);
	cache_run(cache);
	if (cache->options->stay)
		cache_drop(cache);
	return NULL;
}

static void run(const struct options *options)
{
	struct cache cache[64] = {0};

	for (unsigned i = 0; i < options->threads; i++) {
		cache[i].options = options;
		cache[i].random = i + 1;
		cache[i].heap_bytes =
			((size_t)options->megabytes << 20) / options->threads;
		clock_gettime(CLOCK_MONOTONIC, &cache[i].start);
	}
	for (unsigned i = 1; i < options->threads; i++) {
		if (pthread_create(&cache[i].thread, NULL, cache_thread, &cache[i]) !=
		    0) {
			fprintf(stderr, "fragmenter: cannot start thread %u\n", i);
			exit(1);
		}
	}
	cache_thread(&cache[0]);
	for (unsigned i = 1; i < options->threads; i++)
		pthread_join(cache[i].thread, NULL);
}

static void stay(void)
{
	alarm(STAY_SECONDS);
	printf("READY %d\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}

static const char help[] =
	"usage: fragmenter [--seconds N] [--mb N] [--threads N] [--self-report]\n"
	"                  [--stay] [--apart]\n"
	"Shows a heap that breaks up: a cache whose new records do not fit the holes of "
	"the\n"
	"old ones. Prints its PID at once and ends when the time is over.\n"
	"  --seconds N     how long that takes (15)\n"
	"  --mb N          how large the heap is (96)\n"
	"  --threads N     so many caches, each in its own arena (1; 64 at most, 4 MB "
	"each)\n"
	"  --self-report   print mallinfo2 once a second\n"
	"  --stay          drop all records at the end, print READY and wait 10 minutes\n"
	"  --apart         cure: small entries that stay have slabs of their own\n"
	"\n"
	"Try:  fragscope stat -p PID 1\n"
	"      fragscope top -p PID\n";

static void usage(void)
{
	fputs("fragmenter: wrong arguments: N is at least 1; 64 threads at most, at "
	      "least "
	      "4 MB each; see --help\n",
	      stderr);
	exit(64);
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long value = text ? strtoul(text, &end, 10) : 0;

	if (!text || *end || value == 0 || value > 1000000)
		usage();
	return (unsigned)value;
}

int main(int argc, char **argv)
{
	struct options options = {.seconds = 15, .megabytes = 96, .threads = 1};

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--self-report") == 0)
			options.self_report = true;
		else if (strcmp(argv[i], "--stay") == 0)
			options.stay = true;
		else if (strcmp(argv[i], "--apart") == 0)
			options.apart = true;
		else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return fputs(help, stdout) < 0;
		else if (strcmp(argv[i], "--seconds") == 0)
			options.seconds = number(argv[++i]);
		else if (strcmp(argv[i], "--mb") == 0)
			options.megabytes = number(argv[++i]);
		else if (strcmp(argv[i], "--threads") == 0)
			options.threads = number(argv[++i]);
		else
			usage();
	}
	if (options.threads > 64 || options.megabytes / options.threads < 4)
		usage();
	printf("fragmenter: PID %d, %u MB, %u s\n", (int)getpid(), options.megabytes,
	       options.seconds);
	fflush(stdout);
	run(&options);
	if (options.stay)
		stay();
	return 0;
}
