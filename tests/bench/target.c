/* target.c: the program that `make bench` reads. It builds the heap named on its command
 * line, says "ready LIVE" (how many chunks it holds), and answers one question a line on
 * stdin with one number:
 *
 *   mallinfo2   ns that one call of mallinfo2 takes
 *   memcpy      bytes a second from one large buffer to another
 *   windows     bytes a second of process_vm_readv alone, in windows as the reader's
 *   spin MS     units of work bound by memory that it does in MS on a core of its own
 *   alloc MS    malloc/free pairs
 *   map MS      mmap/munmap pairs, with every page touched
 *   churn MS    malloc/free pairs of small blocks, amid other work: some four million a
 *               second
 *   pairs MS    malloc/free pairs that never leave the thread's cache
 *   hooked MS   of a million ns that the churn takes by the malloc and free behind those
 * of `run --stacks`, how many it takes by these: in turns, lower quartiles getppid MS,
 * calls MS, brk MS   system calls: getppid, mmap and munmap, brk grow-20 MS, grow-1000 MS
 * ns of CPU time that malloc takes to grow the heap by a chunk, at so many growths a
 * second: the median
 *
 * As `target hog` it copies memory until it is ended. As `target copy PID` it answers
 * each line with "NS BYTES": CPU time that process_vm_readv alone takes, in windows as
 * the reader's, to copy all anonymous memory of PID that is resident. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum {
	BUFFER_BYTES = 128 << 20,
	PASSES = 8,
	WINDOW_BYTES = 64 << 10,
	WINDOWS = 2, /* in one call, as the reader has it */
	SPIN_STEPS = 1024,
	SLOTS = 4096,
	MAP_BYTES = 128 << 10,
	MMAP_BYTES = 32 << 20, /* what is smaller is of the heap */
	PAGE_BYTES = 4096,
	OTHER_WORK = 150, /* multiplications between two pairs */
	BATCH = 256,	  /* of what takes no longer than a look at the clock */
	TURNS = 512,	  /* at most, of each way to malloc */
	GROWTH_BYTES = 60000,
	GROWTHS = 4096,
	FRAME_BYTES = 16 << 10, /* a stack as deep as the probes copy */
	MAX_THREADS = 64,
	FAST_BYTES = 120,  /* the largest that malloc puts into a fastbin */
	STRIDE = 15485863, /* a prime */
	MAPS_LINE = 512,
	/* glibc sorts at most 10000 chunks of the unsorted list in one malloc. */
	SORTED_AT_ONCE = 5000,
};

/* SHARE percent of the chunks are of LOW to HIGH bytes. */
struct sizes {
	unsigned share;
	unsigned low;
	unsigned high;
};

struct shape {
	const char *name;
	unsigned threads;      /* beside the main one, each with an arena */
	unsigned chunks;       /* of each thread */
	struct sizes sizes[3]; /* the shares add up to 100 */
	unsigned freed_percent;
	unsigned fast_percent; /* freed in the end, of what is left and fits a fastbin */
	bool sorted; /* what was freed is in its bins, not on the unsorted list */
	bool held; /* the list of chunks stays, and each begins with a pointer to another
		    */
	unsigned touched; /* bytes of each that are written, at most; 0: all */
};

#define SMALL_MIX                              \
	{                                      \
		{70, 24, 128}, {25, 128, 512}, \
		{                              \
			5, 512, 2048           \
		}                              \
	}

static const struct shape shapes[] = {
	{"many", 0, 9500000, SMALL_MIX, 30, 0, true, false, 0},
	{"large", 0, 115000, {{100, 4096, 32768}}, 30, 0, true, false, 0},
	{"small", 0, 500000, SMALL_MIX, 30, 0, true, false, 0},
	{"arenas", 63, 2000, SMALL_MIX, 30, 0, true, false, 0},
	{"unsorted", 0, 200000, {{100, 1100, 1200}}, 50, 0, false, false, 0},
	{"fastbins", 0, 4200000, SMALL_MIX, 30, 27, true, false, 0},
	{"mass-free", 0, 700000, {{100, 1100, 1200}}, 50, 0, false, false, 0},
	{"many-arenas", 63, 50000, SMALL_MIX, 30, 10, true, false, 0},
	{"held", 0, 4750000, SMALL_MIX, 30, 0, true, true, 0},
	{"pages", 0, 250000, {{100, 4080, 4080}}, 25, 0, true, false, 0},
	{"virtual", 0, 25600, {{100, 4000000, 4000000}}, 25, 0, false, false, 4080},
};

struct builder {
	const struct shape *shape;
	pthread_barrier_t *built;
	uint64_t random;
	uint64_t live;
};

struct bench {
	char *from; /* both buffers are there while a question is answered only: */
	char *to;   /* a reading goes over all mappings */
	uint64_t random;
	void *slot[SLOTS];
};

static void fail(const char *what)
{
	fprintf(stderr, "target: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static int64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void *map(size_t bytes, int flags)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	if (at == MAP_FAILED)
		fail("mmap");
	return at;
}

/* ---- the heap ---- */

static size_t pick_size(const struct shape *shape, uint64_t *random)
{
	const struct sizes *sizes = shape->sizes;
	unsigned share = random_next(random) % 100;

	for (; share >= sizes->share; sizes++)
		share -= sizes->share;
	return sizes->low + random_next(random) % (sizes->high - sizes->low + 1);
}

static void sort_bins(unsigned freed)
{
	for (unsigned i = 0; i <= freed / SORTED_AT_ONCE; i++) {
		/* Volatile: a pair that nothing uses would be left out. */
		void *volatile chunk = malloc(60000);

		free(chunk);
	}
}

static void free_one(struct builder *builder, void **chunk)
{
	free(*chunk);
	*chunk = NULL;
	builder->live--;
}

/* In an order that has nothing to do with where the chunks lie. Nothing after it may ask
 * for more than a KB: that would empty the fastbins. */
static void fill_fastbins(struct builder *builder, void **chunk)
{
	const struct shape *shape = builder->shape;

	for (unsigned i = 0; i < shape->chunks; i++) {
		void **one = &chunk[(uint64_t)i * STRIDE % shape->chunks];

		if (*one && malloc_usable_size(*one) <= FAST_BYTES &&
		    random_next(&builder->random) % 100 < shape->fast_percent)
			free_one(builder, one);
	}
}

/* A free chunk of the list points to nothing. */
static void hold(struct builder *builder, void **chunk)
{
	unsigned chunks = builder->shape->chunks;

	for (unsigned i = 0; i < chunks; i++)
		if (chunk[i])
			*(void **)chunk[i] =
				chunk[random_next(&builder->random) % chunks];
}

/* The list of chunks has a mapping of its own, so that the heap is what SHAPE says. */
static void build(struct builder *builder)
{
	const struct shape *shape = builder->shape;
	size_t list_bytes = shape->chunks * sizeof(void *);
	void **chunk = map(list_bytes, MAP_POPULATE);

	for (unsigned i = 0; i < shape->chunks; i++) {
		size_t bytes = pick_size(shape, &builder->random);

		chunk[i] = malloc(bytes);
		if (!chunk[i])
			fail("malloc");
		memset(chunk[i], 0x5a,
		       shape->touched && shape->touched < bytes ? shape->touched : bytes);
	}
	builder->live = shape->chunks;
	for (unsigned i = 0; i < shape->chunks; i++) {
		if (random_next(&builder->random) % 100 < shape->freed_percent)
			free_one(builder, &chunk[i]);
	}
	if (shape->sorted)
		sort_bins(shape->chunks - builder->live);
	fill_fastbins(builder, chunk);
	if (shape->held)
		hold(builder, chunk);
	else
		munmap(chunk, list_bytes);
}

static void *builder_main(void *argument)
{
	struct builder *builder = argument;

	build(builder);
	pthread_barrier_wait(builder->built);
	for (;;)
		pause();
	return NULL;
}

/* Builds the heaps of all threads; how many chunks they hold. */
static uint64_t build_all(const struct shape *shape)
{
	static struct builder builder[MAX_THREADS + 1];
	static pthread_barrier_t built;
	uint64_t live = 0;

	mallopt(M_ARENA_MAX, shape->threads + 1);
	mallopt(M_MMAP_THRESHOLD, MMAP_BYTES);
	pthread_barrier_init(&built, NULL, shape->threads + 1);
	for (unsigned i = 0; i <= shape->threads; i++) {
		pthread_t thread;

		builder[i] = (struct builder){
			.shape = shape, .built = &built, .random = 88172645463325252 + i};
		if (i && pthread_create(&thread, NULL, builder_main, &builder[i]))
			fail("pthread_create");
	}
	build(&builder[0]);
	pthread_barrier_wait(&built);
	for (unsigned i = 0; i <= shape->threads; i++)
		live += builder[i].live;
	return live;
}

/* ---- the questions ---- */

static double mallinfo2_ns(struct bench *bench)
{
	int64_t start = now_ns();
	/* Volatile: the call is wanted, not what it says. */
	volatile struct mallinfo2 info = mallinfo2();

	(void)bench;
	(void)info;
	return now_ns() - start;
}

static double memcpy_speed(struct bench *bench)
{
	int64_t start = now_ns();

	for (unsigned i = 0; i < PASSES; i++)
		memcpy(bench->to, bench->from, BUFFER_BYTES);
	return PASSES * 1e9 * BUFFER_BYTES / (now_ns() - start);
}

static double windows_speed(struct bench *bench)
{
	const size_t call_bytes = WINDOWS * WINDOW_BYTES;
	int64_t start = now_ns();

	for (size_t i = 0; i < PASSES * (BUFFER_BYTES / call_bytes); i++) {
		char *at = bench->from + i * call_bytes % BUFFER_BYTES;
		struct iovec local[WINDOWS], remote[WINDOWS];

		for (size_t k = 0; k < WINDOWS; k++) {
			local[k] = (struct iovec){bench->to + k * WINDOW_BYTES,
						  WINDOW_BYTES};
			remote[k] = (struct iovec){at + k * WINDOW_BYTES, WINDOW_BYTES};
		}
		if (process_vm_readv(getpid(), local, WINDOWS, remote, WINDOWS, 0) < 0)
			fail("process_vm_readv");
	}
	return PASSES * 1e9 * BUFFER_BYTES / (now_ns() - start);
}

static void spin_once(struct bench *bench)
{
	uint64_t *word = (uint64_t *)bench->to;

	for (unsigned i = 0; i < SPIN_STEPS; i++)
		word[random_next(&bench->random) % (BUFFER_BYTES / sizeof(*word))]++;
}

static void alloc_once(struct bench *bench)
{
	uint64_t random = random_next(&bench->random);
	void **slot = &bench->slot[random % SLOTS];

	free(*slot);
	*slot = malloc(16 + (random >> 32) % 2000);
	if (*slot)
		*(char *)*slot = 1;
}

/* A way to malloc. */
struct way {
	void *(*malloc)(size_t bytes);
	void (*free)(void *block);
};

static inline __attribute__((always_inline)) void
churn_by(struct bench *bench, const struct way *way, unsigned other_work)
{
	for (unsigned i = 0; i < BATCH; i++) {
		uint64_t random = random_next(&bench->random), other = random;
		void **slot = &bench->slot[random % SLOTS];

		way->free(*slot);
		*slot = way->malloc(16 + (random >> 32) % 512);
		if (*slot)
			*(char *)*slot = 1;
		for (unsigned k = 0; k < other_work; k++)
			other = other * UINT64_C(0x5851f42d4c957f2d) + 1;
		bench->random ^= other == 0;
	}
}

static void churn_once(struct bench *bench)
{
	churn_by(bench, &(const struct way){malloc, free}, OTHER_WORK);
}

static void map_once(struct bench *bench)
{
	char *at = map(MAP_BYTES, 0);

	(void)bench;
	for (size_t i = 0; i < MAP_BYTES; i += PAGE_BYTES)
		at[i] = 1;
	munmap(at, MAP_BYTES);
}

static void pairs_once(struct bench *bench)
{
	(void)bench;
	for (unsigned i = 0; i < BATCH; i++) {
		/* Volatile: a pair that nothing uses would be left out. */
		void *volatile chunk = malloc(48);

		free(chunk);
	}
}

static void getppid_once(struct bench *bench)
{
	(void)bench;
	for (unsigned i = 0; i < BATCH; i++)
		getppid();
}

static void calls_once(struct bench *bench)
{
	(void)bench;
	for (unsigned i = 0; i < BATCH / 2; i++)
		munmap(map(PAGE_BYTES, 0), PAGE_BYTES);
}

static void brk_once(struct bench *bench)
{
	(void)bench;
	for (unsigned i = 0; i < BATCH / 2; i++)
		if (sbrk(PAGE_BYTES) == (void *)-1 || sbrk(-PAGE_BYTES) == (void *)-1)
			fail("sbrk");
}

/* How long this thread has waited for a core, so far: the second number of schedstat. */
static int64_t waited_ns(void)
{
	FILE *file = fopen("/proc/thread-self/schedstat", "r");
	long long waited = 0;

	if (!file || fscanf(file, "%*s %lld", &waited) != 1)
		waited = 0;
	if (file)
		fclose(file);
	return waited;
}

/* Time spent waiting for a core is not counted: other programs are to blame for it. What
 * is spent asleep, waiting for a lock that the reader holds, is. On a machine too busy to
 * give it MS in ten times as long, it says what it did in less. */
static double count_in(struct bench *bench, void (*once)(struct bench *), unsigned ms)
{
	const int64_t wanted_ns = ms * INT64_C(1000000);
	int64_t waited = waited_ns(), start = now_ns(), now = start, own = 0;
	uint64_t count = 0;

	while (own < wanted_ns && now - start < 10 * wanted_ns) {
		int64_t pause = now + wanted_ns / 10;

		do {
			once(bench);
			count++;
		} while (now_ns() < pause);
		now = now_ns();
		own = now - start - (waited_ns() - waited);
	}
	return own > 0 ? (double)count * wanted_ns / own : 0;
}

/* ---- growth ---- */

static int compare_ns(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* CPU time of one malloc; 0 when the program break did not move. */
static int64_t growth_ns(void **chunk)
{
	void *before = sbrk(0);
	int64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID), end;

	*chunk = malloc(GROWTH_BYTES);
	end = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	if (!*chunk)
		fail("malloc");
	return sbrk(0) == before ? 0 : end - start;
}

static void wait_until(int64_t due_ns)
{
	const struct timespec due = {due_ns / 1000000000, due_ns % 1000000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		;
}

/* The median, as a preempted growth is no growth's price. What was grown is given back.
 */
static double grow_at(unsigned rate, unsigned ms)
{
	static void *chunk[GROWTHS];
	static int64_t taken_ns[GROWTHS];
	char frame[FRAME_BYTES];
	unsigned wanted = rate * ms / 1000, count = 0;
	int64_t start = now_ns();

	explicit_bzero(frame, sizeof(frame));
	mallopt(M_TOP_PAD, 0); /* each chunk is a growth of its own */
	if (wanted > GROWTHS)
		wanted = GROWTHS;
	for (unsigned i = 0; i < wanted; i++) {
		wait_until(start + i * INT64_C(1000000000) / rate);
		taken_ns[count] = growth_ns(&chunk[i]);
		count += taken_ns[count] != 0;
	}
	for (unsigned i = 0; i < wanted; i++)
		free(chunk[i]);
	malloc_trim(0);
	qsort(taken_ns, count, sizeof(*taken_ns), compare_ns);
	return count ? taken_ns[count / 2] : 0;
}

static double grow_rarely(unsigned ms)
{
	return grow_at(20, ms);
}

static double grow_often(unsigned ms)
{
	return grow_at(1000, ms);
}

/* ---- two ways to malloc ---- */

const void *fragscope_stacks_malloc(void);
#pragma weak fragscope_stacks_malloc

static struct way way_of(void *library)
{
	struct way way = {NULL, NULL};

	*(void **)&way.malloc = dlsym(library, "malloc");
	*(void **)&way.free = dlsym(library, "free");
	if (!way.malloc || !way.free)
		fail("dlsym");
	return way;
}

static struct way way_behind(void)
{
	void *library = NULL;
	Dl_info info;

	if (fragscope_stacks_malloc && dladdr(fragscope_stacks_malloc(), &info))
		library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
	if (!library)
		fail("not under run --stacks");
	return way_of(library);
}

/* ns of a short turn, so that few are interrupted, with caches that this way has filled;
 * it leaves nothing in use. */
static int64_t turn_ns(struct bench *bench, const struct way *way)
{
	int64_t start;

	for (unsigned i = 0; i < 2 * SLOTS / BATCH; i++)
		churn_by(bench, way, 0);
	start = now_ns();
	for (unsigned i = 0; i < SLOTS / 2 / BATCH; i++)
		churn_by(bench, way, OTHER_WORK);
	start = now_ns() - start;
	for (unsigned i = 0; i < SLOTS; i++) {
		way->free(bench->slot[i]);
		bench->slot[i] = NULL;
	}
	return start;
}

/* Both ways have the same numbers, and each goes first in every other round. */
static double compare_ways(struct bench *bench, unsigned ms)
{
	const struct way way[2] = {way_of(RTLD_DEFAULT), way_behind()};
	const int64_t end = now_ns() + ms * INT64_C(1000000);
	static int64_t taken_ns[2][TURNS];
	unsigned count = 0;

	for (; count < TURNS && (!count || now_ns() < end); count++) {
		uint64_t random = bench->random;

		for (unsigned k = 0; k < 2; k++) {
			unsigned which = (count + k) % 2;

			bench->random = random;
			taken_ns[which][count] = turn_ns(bench, &way[which]);
		}
	}
	for (unsigned i = 0; i < 2; i++)
		qsort(taken_ns[i], count, sizeof(taken_ns[i][0]), compare_ns);
	return 1e6 * taken_ns[0][count / 4] / taken_ns[1][count / 4];
}

/* One of the four functions is set. */
struct question {
	const char *name;
	double (*measure)(struct bench *bench);
	void (*once)(struct bench *bench); /* as often as the time allows */
	double (*grow)(unsigned ms);
	double (*compare)(struct bench *bench, unsigned ms);
	unsigned batch; /* what ONCE does so many times; 0: once, with the buffers */
};

static const struct question questions[] = {
	{.name = "mallinfo2", .measure = mallinfo2_ns},
	{.name = "memcpy", .measure = memcpy_speed},
	{.name = "windows", .measure = windows_speed},
	{.name = "spin", .once = spin_once},
	{.name = "alloc", .once = alloc_once, .batch = 1},
	{.name = "map", .once = map_once, .batch = 1},
	{.name = "churn", .once = churn_once, .batch = BATCH},
	{.name = "pairs", .once = pairs_once, .batch = BATCH},
	{.name = "getppid", .once = getppid_once, .batch = BATCH},
	{.name = "calls", .once = calls_once, .batch = BATCH},
	{.name = "brk", .once = brk_once, .batch = BATCH},
	{.name = "hooked", .compare = compare_ways},
	{.name = "grow-20", .grow = grow_rarely},
	{.name = "grow-1000", .grow = grow_often},
};

static void take_buffers(struct bench *bench)
{
	bench->from = map(BUFFER_BYTES, MAP_POPULATE);
	bench->to = map(BUFFER_BYTES, MAP_POPULATE);
}

static void drop_buffers(struct bench *bench)
{
	munmap(bench->from, BUFFER_BYTES);
	munmap(bench->to, BUFFER_BYTES);
}

static double with_buffers(struct bench *bench, const struct question *question,
			   unsigned ms)
{
	double value;

	take_buffers(bench);
	value = question->measure ? question->measure(bench)
				  : count_in(bench, question->once, ms);
	drop_buffers(bench);
	return value;
}

static bool answer(struct bench *bench, const char *line)
{
	char name[16] = "";
	unsigned ms = 0;

	sscanf(line, "%15s %u", name, &ms);
	for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
		const struct question *question = &questions[i];

		if (strcmp(question->name, name) != 0)
			continue;
		if (question->grow)
			printf("%.0f\n", question->grow(ms));
		else if (question->compare)
			printf("%.0f\n", question->compare(bench, ms));
		else if (question->batch)
			printf("%.0f\n",
			       question->batch * count_in(bench, question->once, ms));
		else
			printf("%.0f\n", with_buffers(bench, question, ms));
		return true;
	}
	return false;
}

static void hog(struct bench *bench)
{
	take_buffers(bench);
	puts("ready 0");
	for (;;)
		memcpy_speed(bench);
}

/* ---- a plain copy ---- */

struct copier {
	pid_t pid;
	int pagemap;
	char *buffer; /* WINDOWS * WINDOW_BYTES */
	uint64_t bytes;
	int64_t ns;
	unsigned windows; /* filled in REMOTE */
	struct iovec remote[WINDOWS];
};

static void flush_copy(struct copier *copier)
{
	struct iovec local = {copier->buffer, 0};
	int64_t start = clock_ns(CLOCK_THREAD_CPUTIME_ID);

	for (unsigned i = 0; i < copier->windows; i++)
		local.iov_len += copier->remote[i].iov_len;
	if (copier->windows && process_vm_readv(copier->pid, &local, 1, copier->remote,
						copier->windows, 0) < 0)
		fail("process_vm_readv");
	copier->ns += clock_ns(CLOCK_THREAD_CPUTIME_ID) - start;
	copier->bytes += local.iov_len;
	copier->windows = 0;
}

static void copy_run(struct copier *copier, uint64_t from, uint64_t to)
{
	for (uint64_t bytes; from < to; from += bytes) {
		bytes = to - from < WINDOW_BYTES ? to - from : WINDOW_BYTES;
		copier->remote[copier->windows++] =
			(struct iovec){(void *)(uintptr_t)from, bytes};
		if (copier->windows == WINDOWS)
			flush_copy(copier);
	}
}

/* The runs of resident pages in [FROM, TO). */
static void copy_mapping(struct copier *copier, uint64_t from, uint64_t to)
{
	uint64_t entry[4096], run = 0;

	for (uint64_t at = from; at < to;) {
		uint64_t pages = (to - at) / PAGE_BYTES;
		ssize_t got;

		if (pages > sizeof(entry) / sizeof(*entry))
			pages = sizeof(entry) / sizeof(*entry);
		got = pread(copier->pagemap, entry, pages * sizeof(*entry),
			    (off_t)(at / PAGE_BYTES * sizeof(*entry)));
		if (got <= 0)
			break;
		for (size_t i = 0; i < (size_t)got / sizeof(*entry); i++) {
			bool there = entry[i] >> 63;

			if (there && !run)
				run = at;
			if (!there && run)
				copy_run(copier, run, at);
			if (!there)
				run = 0;
			at += PAGE_BYTES;
		}
	}
	if (run)
		copy_run(copier, run, to);
}

static void copy_all(struct copier *copier)
{
	char path[64], line[MAPS_LINE];
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)copier->pid);
	maps = fopen(path, "r");
	if (!maps)
		fail(path);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long long from, to, inode;
		char flags[5], name[MAPS_LINE] = "";

		if (sscanf(line, "%llx-%llx %4s %*x %*s %llu %511s", &from, &to, flags,
			   &inode, name) < 4 ||
		    inode || strncmp(flags, "rw", 2) != 0 ||
		    (*name && strcmp(name, "[heap]") != 0))
			continue;
		copy_mapping(copier, from, to);
	}
	flush_copy(copier);
	fclose(maps);
}

static void copy_on_demand(pid_t pid)
{
	struct copier copier = {.pid = pid};
	char line[64];

	snprintf(line, sizeof(line), "/proc/%d/pagemap", (int)pid);
	copier.pagemap = open(line, O_RDONLY | O_CLOEXEC);
	if (copier.pagemap < 0)
		fail(line);
	copier.buffer = map((size_t)WINDOWS * WINDOW_BYTES, MAP_POPULATE);
	puts("ready 0");
	while (fgets(line, sizeof(line), stdin)) {
		copier.ns = copier.bytes = 0;
		copy_all(&copier);
		printf("%lld %llu\n", (long long)copier.ns,
		       (unsigned long long)copier.bytes);
	}
}

static const struct shape *find_shape(const char *name)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++)
		if (strcmp(shapes[i].name, name) == 0)
			return &shapes[i];
	return NULL;
}

/* target SHAPE [PERCENT]: with so many percent of the shape's chunks. */
int main(int argc, char **argv)
{
	static char in[1 << 12], out[1 << 12];
	const struct shape *found = argc > 1 ? find_shape(argv[1]) : NULL;
	struct bench *bench = map(sizeof(*bench), MAP_POPULATE);
	struct shape shape;
	char line[64];

	setvbuf(stdin, in, _IOFBF, sizeof(in));
	setvbuf(stdout, out, _IOLBF, sizeof(out));
	bench->random = 2463534242;
	if (argc == 2 && strcmp(argv[1], "hog") == 0)
		hog(bench);
	if (argc == 3 && strcmp(argv[1], "copy") == 0) {
		copy_on_demand(atoi(argv[2]));
		return 0;
	}
	if (!found) {
		fprintf(stderr, "target: no such shape of heap\n");
		return 64;
	}
	shape = *found;
	if (argc > 2)
		shape.chunks = (uint64_t)shape.chunks * atoi(argv[2]) / 100;
	printf("ready %llu\n", (unsigned long long)build_all(&shape));
	while (fgets(line, sizeof(line), stdin) && answer(bench, line))
		;
	return 0;
}
