/* oracle.c: a program whose heap is known to itself. It builds a heap by the scenario on
 * its command line, says "ready PID", and then answers one question a line on stdin:
 *
 *   info | info2      mallinfo2's ten fields (of the second libc: info2)
 *   xml  | xml2       the text of malloc_info, ended by a line "."
 *   trim              anonymous resident bytes before and after malloc_trim(0), its time
 *   churn on|off      the workers malloc and free at full speed; "off" waits for them
 *   ops               malloc/free pairs so far
 *   corrupt           overwrites the size of one live chunk
 *   lock|unlock       an arena is as if a worker were inside malloc
 *   hang              until the next line the main thread stands where no signal and no
 *                     debugger reaches it
 *   free ADDR         frees the chunk of its own whose memory begins there
 *   quit
 *
 * No answer uses the heap: every buffer is static and touched before the scenario runs,
 * so what it says stays true until the next question. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	MAX_WORKERS = 160,
	PAGE = 4096,
	CHURN_SLOTS = 4096,
	TCACHE_CLASSES = 63,
	TCACHE_DEEP = 16, /* the fill count from glibc 2.43; 7 before */
};

enum pattern {
	PATTERN_NONE,
	PATTERN_ALTERNATE,
	PATTERN_RUNS,
	PATTERN_RANDOM,
	PATTERN_KEEP,
	PATTERN_ALL,
};

/* The scenario: one field an option. Counts are per actor (the main thread and every
 * worker), sizes are bytes. */
struct plan {
	uint64_t seed;
	uint64_t threads;
	uint64_t exit_threads;
	uint64_t chunks;
	uint64_t min;
	uint64_t max;
	uint64_t pattern;
	uint64_t pattern_arg;
	uint64_t aligned;
	uint64_t mmapped;
	uint64_t fast;
	uint64_t tcache;
	uint64_t large_tcache;
	uint64_t foreign_sbrk;
	uint64_t no_sbrk;
	uint64_t untouched;
	uint64_t thp;
	uint64_t unsorted;
	uint64_t sort;
	uint64_t hostile;
	uint64_t dlmopen;
};

/* A list of live chunks that one step of the scenario owns. It lies in a mapping of its
 * own, so that keeping it does not change the heap. */
struct list {
	void **at;
	size_t count;
};

/* Who builds: the main thread or one worker. */
struct actor {
	const struct plan *plan;
	bool main_thread;
	uint64_t random;
	struct list chunks, aligned, mmapped, fast, tail, tcache, large, foreign,
		untouched, unsorted;
	_Atomic uint64_t ops;
	pthread_t thread;
};

enum phase { PHASE_BUILD, PHASE_PARK, PHASE_CHURN, PHASE_EXIT };

struct crew {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	_Atomic int phase;
	unsigned turn;
	unsigned parked;
	unsigned workers;
	struct actor actor[MAX_WORKERS + 1]; /* [0] is the main thread */
};

#if !__GLIBC_PREREQ(2, 33)
struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks,
		fordblks, keepcost;
};
#endif

/* One libc's own view: its functions, and where its malloc_info writes. */
struct libc {
	struct mallinfo2 (*mallinfo2)(void);
	struct mallinfo (*mallinfo)(void);
	int (*malloc_info)(int, FILE *);
	int (*fflush)(FILE *);
	void *(*malloc)(size_t);
	void (*free)(void *);
	FILE *out;
};

static struct crew crew = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.moved = PTHREAD_COND_INITIALIZER,
};
static struct libc own, second;
static char out_text[1 << 20];

static void fail(const char *what)
{
	fprintf(stderr, "oracle: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t random_between(uint64_t *state, size_t low, size_t high)
{
	return low + random_next(state) % (high - low + 1);
}

static struct list list_new(size_t capacity)
{
	struct list list = {0};

	if (capacity == 0)
		return list;
	list.at = mmap(NULL, capacity * sizeof(void *), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (list.at == MAP_FAILED)
		fail("mmap of a list");
	return list;
}

static void list_add(struct list *list, void *chunk)
{
	if (!chunk)
		fail("malloc");
	list->at[list->count++] = chunk;
}

static void list_free_at(struct list *list, size_t i)
{
	free(list->at[i]);
	list->at[i] = NULL;
}

static void list_free_all(struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		list_free_at(list, i);
}

static void list_shuffle(struct list *list, uint64_t *random)
{
	for (size_t i = list->count; i > 1; i--) {
		size_t j = random_next(random) % i;
		void *chunk = list->at[i - 1];

		list->at[i - 1] = list->at[j];
		list->at[j] = chunk;
	}
}

/* Bytes that a careless reader takes for chunk headers: sizes with flags at every
 * 16-byte step, zeros, or noise. */
static void fill_hostile(void *at, size_t bytes, uint64_t *random)
{
	static const uint64_t sizes[] = {0x21, 0x91, 0x1011, 0x20d51, 0x10, 0x35};
	uint64_t *word = at;
	unsigned kind = random_next(random) % 3;

	for (size_t i = 0; i < bytes / 8; i++) {
		if (kind == 0)
			word[i] = i % 2 ? sizes[random_next(random) % 6] : 0;
		else
			word[i] = kind == 1 ? 0 : random_next(random);
	}
}

static void *chunk_fill(struct actor *actor, void *chunk, size_t bytes)
{
	if (!chunk)
		fail("malloc");
	if (actor->plan->hostile)
		fill_hostile(chunk, bytes, &actor->random);
	else
		memset(chunk, 0x5a, bytes);
	return chunk;
}

static void build_chunks(struct actor *actor)
{
	const struct plan *plan = actor->plan;

	actor->chunks = list_new(plan->chunks);
	for (size_t i = 0; i < plan->chunks; i++) {
		size_t bytes = random_between(&actor->random, plan->min, plan->max);

		list_add(&actor->chunks, chunk_fill(actor, malloc(bytes), bytes));
	}
}

/* Alignment splits a chunk in front: free chunks of odd sizes between live ones. */
static void build_aligned(struct actor *actor)
{
	actor->aligned = list_new(actor->plan->aligned);
	for (size_t i = 0; i < actor->plan->aligned; i++) {
		size_t bytes = random_between(&actor->random, 24, 3000);
		size_t alignment = (size_t)64 << i % 7;

		list_add(&actor->aligned,
			 chunk_fill(actor, memalign(alignment, bytes), bytes));
	}
}

/* Chunks with a mapping of their own: plain, aligned beyond a page, grown by mremap. */
static void build_mmapped(struct actor *actor)
{
	actor->mmapped = list_new(actor->plan->mmapped);
	for (size_t i = 0; i < actor->plan->mmapped; i++) {
		size_t bytes = random_between(&actor->random, 300000, 2000000);
		void *chunk;

		if (i % 3 == 0)
			chunk = malloc(bytes);
		else if (i % 3 == 1)
			chunk = memalign(65536, bytes);
		else
			chunk = realloc(malloc(bytes / 2), bytes);
		/* Every other one stays mostly untouched. */
		list_add(&actor->mmapped, chunk_fill(actor, chunk, i % 2 ? bytes : 100));
	}
}

/* Large chunks of which only the header was ever written. */
static void build_untouched(struct actor *actor)
{
	actor->untouched = list_new(actor->plan->untouched);
	for (size_t i = 0; i < actor->plan->untouched; i++)
		list_add(&actor->untouched,
			 malloc(random_between(&actor->random, 20000, 120000)));
}

static void build_unsorted(struct actor *actor)
{
	actor->unsorted = list_new(actor->plan->unsorted * 2);
	for (size_t i = 0; i < actor->plan->unsorted * 2; i++) {
		size_t bytes = random_between(&actor->random, 1100, 3000);

		list_add(&actor->unsorted, chunk_fill(actor, malloc(bytes), bytes));
	}
}

static void build_tcache(struct actor *actor)
{
	if (!actor->plan->tcache)
		return;
	actor->tcache = list_new(TCACHE_CLASSES * TCACHE_DEEP);
	for (size_t class = 1; class <= TCACHE_CLASSES; class ++)
		for (size_t i = 0; i <= class % TCACHE_DEEP; i++)
			list_add(&actor->tcache, malloc(class * 16 + 8));
}

/* Sizes beyond the ordinary tcache; only kept there where the tunable allows it. */
static void build_large_tcache(struct actor *actor)
{
	static const size_t sizes[] = {1100, 2000, 5000, 9000, 20000, 70000, 120000};
	size_t count = sizeof(sizes) / sizeof(sizes[0]);

	if (!actor->plan->large_tcache)
		return;
	actor->large = list_new(count * 3);
	for (size_t i = 0; i < count * 3; i++)
		list_add(&actor->large, malloc(sizes[i % count] + 16 * (i / count)));
}

/* Runs of small neighbours; the last run is cut from the top, so that its last chunk,
 * once freed, is a fastbin chunk that borders on the top. */
static void build_fast(struct actor *actor)
{
	size_t count = actor->plan->fast;

	if (count == 0)
		return;
	actor->fast = list_new(count);
	for (size_t i = 0; i < count; i++)
		list_add(&actor->fast, malloc(24 + 16 * (i / 8 % 5)));
	actor->tail = list_new(2 * TCACHE_DEEP);
	for (size_t i = 0; i < 2 * TCACHE_DEEP; i++)
		list_add(&actor->tail, malloc(120));
}

/* Memory from the program's own sbrk in the middle of the main heap. */
static void build_foreign(struct actor *actor)
{
	uint64_t count = actor->main_thread ? actor->plan->foreign_sbrk : 0;

	actor->foreign = list_new(count * 4);
	for (size_t i = 0; i < count; i++) {
		size_t bytes = random_between(&actor->random, 1, 9 * PAGE) | 1;
		char *area = sbrk(bytes);
		char *words = (char *)((uintptr_t)(area + 7) & ~(uintptr_t)7);

		if (area == (void *)-1)
			fail("sbrk");
		if (area + bytes > words)
			fill_hostile(words, area + bytes - words, &actor->random);
		/* More than a top_pad, so that malloc must step over the area. */
		for (size_t j = 0; j < 4; j++)
			list_add(&actor->foreign, malloc(60000));
	}
}

static bool pattern_frees(struct actor *actor, size_t i)
{
	uint64_t arg = actor->plan->pattern_arg;

	switch ((enum pattern)actor->plan->pattern) {
	case PATTERN_ALTERNATE:
		return i % 2 == 0;
	case PATTERN_RUNS:
		return i / arg % 2 == 0;
	case PATTERN_RANDOM:
		return random_next(&actor->random) % 100 < arg;
	case PATTERN_KEEP:
		return i % arg != 0;
	case PATTERN_ALL:
		return true;
	case PATTERN_NONE:
		break;
	}
	return false;
}

static void release_pattern(struct actor *actor, struct list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (pattern_frees(actor, i))
			list_free_at(list, i);
}

static void release_every(struct list *list, size_t step)
{
	for (size_t i = 0; i < list->count; i += step)
		list_free_at(list, i);
}

/* A request that no free chunk serves moves the unsorted list into its bins. */
static void sort_bins(struct actor *actor)
{
	void *volatile passing; /* a compiler may leave out a pair it sees through */

	if (!actor->plan->sort)
		return;
	passing = malloc(125000);
	free(passing);
}

static void release_fast(struct actor *actor)
{
	list_shuffle(&actor->fast, &actor->random);
	list_free_all(&actor->fast);
	list_free_all(&actor->tail);
}

/* Builds in an order that keeps the fastbin tail next to the top, and frees in an order
 * that leaves each step's free chunks where that step wants them. */
static void build(struct actor *actor)
{
	build_chunks(actor);
	build_aligned(actor);
	build_foreign(actor);
	build_mmapped(actor);
	build_untouched(actor);
	build_unsorted(actor);
	build_tcache(actor);
	build_large_tcache(actor);
	build_fast(actor);
	release_pattern(actor, &actor->chunks);
	release_every(&actor->aligned, 3);
	release_every(&actor->foreign, 3);
	release_every(&actor->untouched, 2);
	release_every(&actor->mmapped, 5);
	sort_bins(actor);
	list_free_all(&actor->tcache);
	list_free_all(&actor->large);
	release_fast(actor);
	release_every(&actor->unsorted, 2);
}

static size_t churn_bytes(uint64_t *random)
{
	uint64_t kind = random_next(random) % 4096;

	if (kind == 0)
		return random_between(random, 130000, 400000);
	if (kind < 80)
		return random_between(random, 8000, 90000);
	if (kind < 800)
		return random_between(random, 500, 8000);
	return random_between(random, 1, 500);
}

static void churn(struct actor *actor, void **slot)
{
	while (atomic_load_explicit(&crew.phase, memory_order_relaxed) == PHASE_CHURN) {
		size_t i = random_next(&actor->random) % CHURN_SLOTS;
		size_t bytes = churn_bytes(&actor->random);

		free(slot[i]);
		slot[i] = malloc(bytes);
		if (!slot[i])
			fail("malloc");
		memset(slot[i], 0x5a, bytes < 256 ? bytes : 256);
		atomic_fetch_add_explicit(&actor->ops, 1, memory_order_relaxed);
	}
}

/* Waits, parked, until there is something to do; tells what. */
static enum phase crew_park(void)
{
	enum phase phase;

	pthread_mutex_lock(&crew.lock);
	crew.parked++;
	pthread_cond_broadcast(&crew.moved);
	while (crew.phase == PHASE_BUILD || crew.phase == PHASE_PARK)
		pthread_cond_wait(&crew.moved, &crew.lock);
	crew.parked--;
	phase = crew.phase;
	pthread_mutex_unlock(&crew.lock);
	return phase;
}

static void *worker_run(void *argument)
{
	struct actor *actor = argument;
	unsigned me = actor - crew.actor;
	void **slot = list_new(CHURN_SLOTS).at;

	/* One after the other: two runs of a scenario build the same heap. */
	pthread_mutex_lock(&crew.lock);
	while (crew.turn != me)
		pthread_cond_wait(&crew.moved, &crew.lock);
	build(actor);
	crew.turn++;
	pthread_cond_broadcast(&crew.moved);
	pthread_mutex_unlock(&crew.lock);
	while (crew_park() == PHASE_CHURN)
		churn(actor, slot);
	return NULL;
}

static void crew_wait_parked(void)
{
	pthread_mutex_lock(&crew.lock);
	while (crew.parked != crew.workers)
		pthread_cond_wait(&crew.moved, &crew.lock);
	pthread_mutex_unlock(&crew.lock);
}

static void crew_set_phase(enum phase phase)
{
	pthread_mutex_lock(&crew.lock);
	crew.phase = phase;
	pthread_cond_broadcast(&crew.moved);
	pthread_mutex_unlock(&crew.lock);
}

static void crew_dismiss(void)
{
	crew_set_phase(PHASE_EXIT);
	for (unsigned i = 1; i <= crew.workers; i++)
		pthread_join(crew.actor[i].thread, NULL);
	crew.workers = 0;
}

static void crew_build(const struct plan *plan)
{
	crew.workers = plan->threads;
	crew.turn = 1;
	for (unsigned i = 0; i <= crew.workers; i++) {
		crew.actor[i].plan = plan;
		crew.actor[i].random = plan->seed + i;
	}
	crew.actor[0].main_thread = true;
	build(&crew.actor[0]);
	for (unsigned i = 1; i <= crew.workers; i++) {
		errno = pthread_create(&crew.actor[i].thread, NULL, worker_run,
				       &crew.actor[i]);
		if (errno)
			fail("pthread_create");
	}
	crew_wait_parked();
	if (plan->exit_threads)
		crew_dismiss();
}

#ifdef ORACLE_STATIC
static void libc_open_own(struct libc *libc)
{
	libc->mallinfo2 = mallinfo2;
	libc->malloc_info = malloc_info;
	libc->fflush = fflush;
	libc->out = stdout;
}

static void libc_open_second(struct libc *libc)
{
	(void)libc;
	errno = ENOSYS;
	fail("dlmopen in a static program");
}
#else
/* The program is linked against the oldest glibc, which knows no mallinfo2. */
static void libc_open_own(struct libc *libc)
{
	libc->mallinfo2 = (struct mallinfo2(*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
	libc->mallinfo = (struct mallinfo(*)(void))dlsym(RTLD_DEFAULT, "mallinfo");
	libc->malloc_info = malloc_info;
	libc->fflush = fflush;
	libc->out = stdout;
}

static void *second_symbol(void *handle, const char *name)
{
	void *at = dlsym(handle, name);

	if (!at) {
		errno = ENOENT;
		fail(name);
	}
	return at;
}

static void libc_open_second(struct libc *libc)
{
	static char text[1 << 20];
	void *handle = dlmopen(LM_ID_NEWLM, "libc.so.6", RTLD_NOW);
	int (*buffer)(FILE *, char *, int, size_t);

	if (!handle) {
		fprintf(stderr, "oracle: %s\n", dlerror());
		exit(1);
	}
	libc->mallinfo2 = (struct mallinfo2(*)(void))dlsym(handle, "mallinfo2");
	libc->mallinfo = (struct mallinfo(*)(void))second_symbol(handle, "mallinfo");
	libc->malloc_info = (int (*)(int, FILE *))second_symbol(handle, "malloc_info");
	libc->fflush = (int (*)(FILE *))second_symbol(handle, "fflush");
	libc->malloc = (void *(*)(size_t))second_symbol(handle, "malloc");
	libc->free = (void (*)(void *))second_symbol(handle, "free");
	libc->out = *(FILE **)second_symbol(handle, "stdout");
	buffer = (int (*)(FILE *, char *, int, size_t))second_symbol(handle, "setvbuf");
	buffer(libc->out, text, _IOFBF, sizeof(text));
}
#endif

static void build_second(struct actor *actor)
{
	struct list list = list_new(4000);

	for (size_t i = 0; i < 4000; i++)
		list_add(&list, second.malloc(random_between(&actor->random, 16, 2000)));
	for (size_t i = 0; i < 4000; i += 2)
		second.free(list.at[i]);
}

static void answer_info(const struct libc *libc)
{
	struct mallinfo2 f;

	if (!libc->malloc_info) {
		puts("no second libc");
		return;
	}
	if (libc->mallinfo2) {
		f = libc->mallinfo2();
	} else {
		struct mallinfo old = libc->mallinfo();

		f = (struct mallinfo2){
			(unsigned)old.arena,	(unsigned)old.ordblks,
			(unsigned)old.smblks,	(unsigned)old.hblks,
			(unsigned)old.hblkhd,	(unsigned)old.usmblks,
			(unsigned)old.fsmblks,	(unsigned)old.uordblks,
			(unsigned)old.fordblks, (unsigned)old.keepcost,
		};
	}
	printf("narrow=%d arena=%zu ordblks=%zu smblks=%zu hblks=%zu hblkhd=%zu "
	       "usmblks=%zu "
	       "fsmblks=%zu uordblks=%zu fordblks=%zu keepcost=%zu\n",
	       !libc->mallinfo2, f.arena, f.ordblks, f.smblks, f.hblks, f.hblkhd,
	       f.usmblks, f.fsmblks, f.uordblks, f.fordblks, f.keepcost);
}

static void answer_xml(const struct libc *libc)
{
	if (libc->malloc_info) {
		libc->malloc_info(0, libc->out);
		libc->fflush(libc->out);
	}
	puts(".");
}

static void ask_info(void)
{
	answer_info(&own);
}

static void ask_info2(void)
{
	answer_info(&second);
}

static void ask_xml(void)
{
	answer_xml(&own);
}

static void ask_xml2(void)
{
	answer_xml(&second);
}

/* Exact, from the page tables; status and statm may lag by a batch a CPU. */
static size_t anonymous_bytes(void)
{
	static char text[PAGE];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	const char *at;

	if (got <= 0)
		fail("/proc/self/smaps_rollup");
	close(fd);
	text[got] = '\0';
	at = strstr(text, "\nAnonymous:");
	return at ? strtoull(at + strlen("\nAnonymous:"), NULL, 10) * 1024 : 0;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void ask_trim(void)
{
	size_t before = anonymous_bytes();
	uint64_t start = clock_ns();
	int returned = malloc_trim(0);
	uint64_t end = clock_ns();

	printf("before=%zu after=%zu ns=%llu returned=%d\n", before, anonymous_bytes(),
	       (unsigned long long)(end - start), returned);
}

static void ask_churn_on(void)
{
	crew_set_phase(PHASE_CHURN);
	puts("ok");
}

static void ask_churn_off(void)
{
	crew_set_phase(PHASE_PARK);
	crew_wait_parked();
	puts("ok");
}

static void ask_ops(void)
{
	unsigned long long sum = 0;

	for (unsigned i = 1; i <= crew.workers; i++)
		sum += atomic_load_explicit(&crew.actor[i].ops, memory_order_relaxed);
	printf("ops=%llu\n", sum);
}

static void ask_corrupt(void)
{
	struct list *list = &crew.actor[0].chunks;
	size_t i = list->count / 2;

	while (i < list->count && !list->at[i])
		i++;
	if (i == list->count) {
		puts("no live chunk");
		return;
	}
	((uint64_t *)list->at[i])[-1] = UINT64_C(0x4141414141414141);
	puts("ok");
}

/* The lock word of the first worker's arena, which comes first in its malloc_state; to
 * that the head of the heap points, and heaps are aligned to their size. For the time of
 * a lock the workers must be parked. */
static void set_lock(int value)
{
	enum { NON_MAIN_ARENA = 4, HEAP_MAX_BYTES = 64 << 20 };
	const struct list *list = &crew.actor[1].chunks;
	size_t i = 0;
	uintptr_t heap;

	while (i < list->count && !list->at[i])
		i++;
	if (i == list->count || !(((uint64_t *)list->at[i])[-1] & NON_MAIN_ARENA)) {
		puts("no worker has an arena of its own");
		return;
	}
	heap = (uintptr_t)list->at[i] & ~(uintptr_t)(HEAP_MAX_BYTES - 1);
	**(_Atomic int **)heap = value;
	puts("ok");
}

static void ask_lock(void)
{
	set_lock(1);
}

static void ask_unlock(void)
{
	set_lock(0);
}

/* Who waits for a child of vfork is let go by nothing but that child. */
static void ask_hang(void)
{
	pid_t child = vfork();

	if (child == 0) {
		char line[16];

		_exit(read(STDIN_FILENO, line, sizeof(line)) < 0);
	}
	if (child < 0)
		fail("vfork");
	waitpid(child, NULL, 0);
	puts("ok");
}

static bool free_in(struct list *list, const void *memory)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->at[i] == memory) {
			list_free_at(list, i);
			return true;
		}
	}
	return false;
}

static void ask_free(const char *text)
{
	const void *memory = (const void *)strtoull(text, NULL, 16);

	for (unsigned i = 0; memory && i <= crew.workers; i++) {
		struct actor *actor = &crew.actor[i];

		if (free_in(&actor->chunks, memory) || free_in(&actor->fast, memory) ||
		    free_in(&actor->tail, memory) || free_in(&actor->unsorted, memory)) {
			puts("ok");
			return;
		}
	}
	puts("not mine");
}

static void ask_quit(void)
{
	_exit(0);
}

static const struct {
	const char *line;
	void (*answer)(void);
} questions[] = {
	{"info", ask_info},	      {"xml", ask_xml},	      {"info2", ask_info2},
	{"xml2", ask_xml2},	      {"trim", ask_trim},     {"churn on", ask_churn_on},
	{"churn off", ask_churn_off}, {"ops", ask_ops},	      {"corrupt", ask_corrupt},
	{"lock", ask_lock},	      {"unlock", ask_unlock}, {"hang", ask_hang},
	{"quit", ask_quit},
};

static void answer(const char *line)
{
	for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
		if (strcmp(line, questions[i].line) == 0) {
			questions[i].answer();
			return;
		}
	}
	if (strncmp(line, "free ", 5) == 0)
		ask_free(line + 5);
	else
		puts("what?");
}

/* One question at a time: whoever asks waits for the answer, so a read holds one line. */
static void serve(void)
{
	static char line[256];

	printf("ready %d\n", (int)getpid());
	for (;;) {
		ssize_t got;

		fflush(stdout);
		got = read(STDIN_FILENO, line, sizeof(line) - 1);
		if (got <= 0)
			return;
		while (got > 0 && isspace((unsigned char)line[got - 1]))
			got--;
		line[got] = '\0';
		answer(line);
	}
}

static const struct {
	const char *name;
	size_t field;
	bool flag;
} options[] = {
	{"--seed", offsetof(struct plan, seed), false},
	{"--threads", offsetof(struct plan, threads), false},
	{"--exit-threads", offsetof(struct plan, exit_threads), true},
	{"--chunks", offsetof(struct plan, chunks), false},
	{"--min", offsetof(struct plan, min), false},
	{"--max", offsetof(struct plan, max), false},
	{"--aligned", offsetof(struct plan, aligned), false},
	{"--mmapped", offsetof(struct plan, mmapped), false},
	{"--fast", offsetof(struct plan, fast), false},
	{"--tcache", offsetof(struct plan, tcache), true},
	{"--large-tcache", offsetof(struct plan, large_tcache), true},
	{"--foreign-sbrk", offsetof(struct plan, foreign_sbrk), false},
	{"--no-sbrk", offsetof(struct plan, no_sbrk), true},
	{"--untouched", offsetof(struct plan, untouched), false},
	{"--thp", offsetof(struct plan, thp), true},
	{"--unsorted", offsetof(struct plan, unsorted), false},
	{"--sort", offsetof(struct plan, sort), true},
	{"--hostile", offsetof(struct plan, hostile), true},
	{"--dlmopen", offsetof(struct plan, dlmopen), true},
};

static const struct {
	const char *name;
	enum pattern pattern;
	bool with_number;
} patterns[] = {
	{"none", PATTERN_NONE, false},		 {"all", PATTERN_ALL, false},
	{"alternate", PATTERN_ALTERNATE, false}, {"runs:", PATTERN_RUNS, true},
	{"random:", PATTERN_RANDOM, true},	 {"keep:", PATTERN_KEEP, true},
};

static const struct {
	const char *name;
	int param;
} mallopts[] = {
	{"M_ARENA_MAX=", M_ARENA_MAX},
	{"M_ARENA_TEST=", M_ARENA_TEST},
	{"M_MMAP_THRESHOLD=", M_MMAP_THRESHOLD},
	{"M_MMAP_MAX=", M_MMAP_MAX},
	{"M_MXFAST=", M_MXFAST},
	{"M_TOP_PAD=", M_TOP_PAD},
	{"M_TRIM_THRESHOLD=", M_TRIM_THRESHOLD},
	{"M_PERTURB=", M_PERTURB},
};

static void bad_option(const char *text)
{
	fprintf(stderr, "oracle: bad option or value: '%s'\n", text);
	exit(64);
}

static uint64_t parse_number(const char *text)
{
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (end == text || *end)
		bad_option(text);
	return value;
}

static void parse_pattern(struct plan *plan, const char *text)
{
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		size_t length = strlen(patterns[i].name);

		if (strncmp(text, patterns[i].name, length) != 0)
			continue;
		plan->pattern = patterns[i].pattern;
		if (patterns[i].with_number)
			plan->pattern_arg = parse_number(text + length);
		return;
	}
	bad_option(text);
}

static void apply_mallopt(const char *text)
{
	for (size_t i = 0; i < sizeof(mallopts) / sizeof(mallopts[0]); i++) {
		size_t length = strlen(mallopts[i].name);

		if (strncmp(text, mallopts[i].name, length) == 0) {
			mallopt(mallopts[i].param, (int)parse_number(text + length));
			return;
		}
	}
	bad_option(text);
}

/* Returns how many arguments it used, 0 when ARGV[0] is no option of the table. */
static int parse_field(struct plan *plan, char **argv)
{
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		uint64_t *field = (uint64_t *)((char *)plan + options[i].field);

		if (strcmp(argv[0], options[i].name) != 0)
			continue;
		if (!options[i].flag && !argv[1])
			bad_option(argv[0]);
		*field = options[i].flag ? 1 : parse_number(argv[1]);
		return options[i].flag ? 1 : 2;
	}
	return 0;
}

static void parse(struct plan *plan, char **argv)
{
	while (*argv) {
		int used = parse_field(plan, argv);

		if (used == 0 && argv[1] && strcmp(*argv, "--free-pattern") == 0) {
			parse_pattern(plan, argv[1]);
			used = 2;
		} else if (used == 0 && argv[1] && strcmp(*argv, "--mallopt") == 0) {
			apply_mallopt(argv[1]);
			used = 2;
		}
		if (used == 0)
			bad_option(*argv);
		argv += used;
	}
	if (plan->threads > MAX_WORKERS || plan->min > plan->max)
		bad_option("--threads, --min or --max");
}

/* A mapping right above the break: the main arena must fall back on mmap. */
static void block_brk(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t end = ((uintptr_t)sbrk(0) + page - 1) & -page;

	if (mmap((void *)end, page, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		fail("mmap above the break");
}

/* One large extension of the heap, advised before its pages are touched. */
static void advise_huge(void)
{
	enum { HEAP = 48 << 20, HUGE = 2 << 20 };
	uintptr_t start = (uintptr_t)sbrk(0);
	void *volatile chunk[2]; /* a compiler may leave out a pair it sees through */
	uintptr_t end;

	mallopt(M_TOP_PAD, HEAP);
	/* More than the first top holds, less than the mmap threshold each. */
	chunk[0] = malloc(120000);
	chunk[1] = malloc(120000);
	start = (start + HUGE - 1) & ~(uintptr_t)(HUGE - 1);
	end = (uintptr_t)sbrk(0) & ~(uintptr_t)(HUGE - 1);
	if (madvise((void *)start, end - start, MADV_HUGEPAGE) != 0)
		fail("madvise(MADV_HUGEPAGE)");
	free(chunk[1]);
	free(chunk[0]);
}

int main(int argc, char **argv)
{
	struct plan plan = {.seed = 1, .min = 16, .max = 1000, .pattern_arg = 1};

	(void)argc;
	memset(out_text, 1, sizeof(out_text));
	setvbuf(stdout, out_text, _IOFBF, sizeof(out_text));
	libc_open_own(&own);
	parse(&plan, argv + 1);
	if (plan.no_sbrk)
		block_brk();
	if (plan.thp)
		advise_huge();
	if (plan.dlmopen)
		libc_open_second(&second);
	/* The first use of a page or a path is over before anybody looks. */
	anonymous_bytes();
	crew_build(&plan);
	if (plan.dlmopen)
		build_second(&crew.actor[0]);
	serve();
	return 0;
}
