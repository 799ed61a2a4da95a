/* foreign.c: a program on an allocator that is preloaded: it fills its heap, breaks it
 * up, says "ready", and for every line of its input says what the allocator tells of
 * itself: "NAME VALUE" lines and an empty one. It asks for no memory after that. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, CHUNKS = 20000, LARGEST = 5000, LINE = 256 };

int mallctl(const char *name, void *old, size_t *old_bytes, void *new, size_t new_bytes);
int MallocExtension_GetNumericProperty(const char *name, size_t *value);
void MallocExtension_GetStats(char *text, int bytes);
void mi_process_info(size_t *elapsed_ms, size_t *user_ms, size_t *system_ms, size_t *rss,
		     size_t *peak_rss, size_t *commit, size_t *peak_commit,
		     size_t *faults);
void mi_stats_print_out(void (*output)(const char *text, void *context), void *context);
#pragma weak mallctl
#pragma weak MallocExtension_GetNumericProperty
#pragma weak MallocExtension_GetStats
#pragma weak mi_process_info
#pragma weak mi_stats_print_out

static const char *const of_jemalloc[] = {
	"stats.allocated",
	"stats.active",
	"stats.resident",
	"stats.mapped",
	"stats.retained",
	"stats.arenas.4096.pdirty",
	"stats.arenas.4096.pmuzzy",
	"stats.arenas.4096.tcache_bytes",
	"stats.arenas.4096.tcache_stashed_bytes",
	"arenas.page",
	NULL,
};

static const char *const of_tcmalloc[] = {
	"generic.current_allocated_bytes",
	"generic.heap_size",
	"tcmalloc.pageheap_free_bytes",
	"tcmalloc.pageheap_unmapped_bytes",
	"tcmalloc.current_total_thread_cache_bytes",
	"tcmalloc.central_cache_free_bytes",
	"tcmalloc.transfer_cache_free_bytes",
	NULL,
};

static pthread_barrier_t filled, never;

static void fill(unsigned seed)
{
	static __thread void *chunk[CHUNKS];

	for (unsigned i = 0; i < CHUNKS; i++) {
		size_t bytes = 1 + (size_t)rand_r(&seed) % LARGEST;

		chunk[i] = malloc(i % 1000 ? bytes : bytes * 100);
		if (!chunk[i])
			abort();
		memset(chunk[i], 1, bytes);
	}
	for (unsigned i = 0; i < CHUNKS; i++)
		if (rand_r(&seed) & 1)
			free(chunk[i]);
}

static void *work(void *seed)
{
	fill((unsigned)(size_t)seed);
	pthread_barrier_wait(&filled);
	pthread_barrier_wait(&never);
	return NULL;
}

/* Figures of the classes of all arenas, and what a class of small sizes is made of. */
static const char *const of_classes[] = {
	"arenas.bin.%u.size",
	"arenas.bin.%u.slab_size",
	"stats.arenas.4096.bins.%u.curslabs",
	"stats.arenas.4096.bins.%u.curregs",
	"stats.arenas.4096.extents.%u.ndirty",
	"stats.arenas.4096.extents.%u.nmuzzy",
	"stats.arenas.4096.extents.%u.nretained",
	"stats.arenas.4096.extents.%u.dirty_bytes",
	"stats.arenas.4096.extents.%u.muzzy_bytes",
	"stats.arenas.4096.extents.%u.retained_bytes",
};

/* Asked for the bin behind the last, jemalloc 5.3 reads what lies there. */
static unsigned count_bins(void)
{
	unsigned bins = 0;
	size_t bytes = sizeof(bins);

	mallctl("arenas.nbins", &bins, &bytes, NULL, 0);
	return bins;
}

static void tell_classes(void)
{
	const unsigned bins = count_bins();

	for (unsigned i = 0; i < sizeof(of_classes) / sizeof(of_classes[0]); i++)
		for (unsigned class = 0; class < bins || strstr(of_classes[i], "extents");
		     class ++) {
			size_t value, bytes = sizeof(value);
			char name[100];

			snprintf(name, sizeof(name), of_classes[i], class);
			if (mallctl(name, &value, &bytes, NULL, 0))
				break;
			printf("%s %zu\n", name, value);
		}
}

static void tell_jemalloc(void)
{
	uint64_t epoch = 1;

	mallctl("epoch", NULL, NULL, &epoch, sizeof(epoch));
	for (unsigned i = 0; of_jemalloc[i]; i++) {
		size_t value = 0, bytes = sizeof(value);

		if (!mallctl(of_jemalloc[i], &value, &bytes, NULL, 0))
			printf("%s %zu\n", of_jemalloc[i], value);
	}
	tell_classes();
}

static void tell_tcmalloc(void)
{
	static char report[64 << 10];

	for (unsigned i = 0; of_tcmalloc[i]; i++) {
		size_t value;

		if (MallocExtension_GetNumericProperty(of_tcmalloc[i], &value))
			printf("%s %zu\n", of_tcmalloc[i], value);
	}
	/* Its report, marked line by line, for it has empty ones. */
	MallocExtension_GetStats(report, sizeof(report));
	for (char *line = strtok(report, "\n"); line; line = strtok(NULL, "\n"))
		printf("| %s\n", line);
}

/* A line of its report that is of the heap: the others tell of the time that passes. */
static void tell_line(const char *line, void *context)
{
	(void)context;
	if (!strstr(line, "elapsed:") && !strstr(line, "process:"))
		printf("| %s", line);
}

static void tell_mimalloc(void)
{
	size_t ignored, commit, peak;

	/* It is the first call of all that may take something. */
	mi_stats_print_out(tell_line, NULL);
	mi_process_info(&ignored, &ignored, &ignored, &ignored, &ignored, &commit, &peak,
			&ignored);
	printf("current_commit %zu\npeak_commit %zu\n", commit, peak);
}

static void tell(void)
{
	if (mallctl)
		tell_jemalloc();
	else if (MallocExtension_GetNumericProperty)
		tell_tcmalloc();
	else if (mi_process_info)
		tell_mimalloc();
	printf("\n");
	fflush(stdout);
}

int main(void)
{
	static char line[LINE], in[BUFSIZ], out[BUFSIZ];
	pthread_t thread;

	setvbuf(stdin, in, _IOFBF, sizeof(in));
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	pthread_barrier_init(&filled, NULL, THREADS + 1);
	pthread_barrier_init(&never, NULL, THREADS + 1);
	for (size_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, work, (void *)i))
			return 1;
	fill(THREADS);
	pthread_barrier_wait(&filled);
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin))
		tell();
	return 0;
}
