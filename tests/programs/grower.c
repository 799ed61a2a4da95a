/* grower.c: a program that knows how its heap grew. It says "ready PID" and then obeys
 * one order a line on stdin, each answered by one line of what the order did:
 *
 *   malloc|calloc|memalign|realloc N SIZE   N calls by the main thread; chunks are kept
 *   rush HOW N SIZE          the same, but only refusals are counted
 *   turns|race HOW N SIZE    by every worker: one after the other, or all at once
 *   threads N                starts N workers
 *   resize SIZE              realloc of the last kept chunk
 *   free                     frees the last kept chunk
 *   rotate N                 the Nth kept chunk from the end becomes the last
 *   figures                  does nothing
 *   mapped N                 mallopt(M_MMAP_MAX, N)
 *   block                    a mapping right above the program break
 *   stock N                  N small chunks for realloc N SIZE
 *   own HOW N SIZE           the program's own sbrk, mmap, mremap or mprotect
 *   maps N                   mappings of its own that do not merge, up to N in all; 0:
 * gone flood SECONDS            chunks with mappings of their own as fast as can be touch
 * N SIZE             N chunks, every page written to exec FILE                becomes
 * another program
 *
 * What malloc took from the kernel is read off malloc's own figures before and after each
 * call: the answers are KIND=EVENTS/BYTES, nulls and the calls made. No order uses the
 * heap for anything else. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	PAGE = 4096,
	MAX_KEPT = 1 << 18,
	MAX_WORKERS = 64,
	MAX_HEAPS = 1024,
	MAX_WORDS = 5,
	NON_MAIN_ARENA = 4, /* in a chunk's size */
	STOCK_BYTES = 100,
	ALIGNMENT = 64,
};

#define HEAP_BYTES (UINT64_C(64) << 20) /* what secondary heaps are aligned to */
#define NS_PER_S   UINT64_C(1000000000)

enum kind { BRK, FALLBACK, NEW_HEAP, MPROTECT, MMAP, MREMAP, FOREIGN, KINDS };

static const char *const kind_name[KINDS] = {"brk",  "fallback", "new_heap", "mprotect",
					     "mmap", "mremap",	 "foreign"};

#if !__GLIBC_PREREQ(2, 33)
struct mallinfo2 {
	size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks,
		fordblks, keepcost;
};
#endif

/* What one order did. */
struct tally {
	uint64_t events[KINDS];
	uint64_t bytes[KINDS];
	uint64_t calls;
	uint64_t nulls;
};

/* malloc's figures at one instant. */
struct figures {
	uint64_t brk, arena, maps, map_bytes;
};

struct worker {
	pthread_t thread;
	struct tally tally;
};

typedef void *how_fn(size_t bytes);

struct job {
	how_fn *how;
	uint64_t count;
	size_t bytes;
	bool in_turn;
};

static struct crew {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	unsigned workers, parked, turn;
	uint64_t round; /* of jobs given out */
	struct job job;
	struct worker worker[MAX_WORKERS];
} crew = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static struct mallinfo2 (*own_mallinfo2)(void);
static struct mallinfo (*own_mallinfo)(void);
static void *kept[MAX_KEPT];
static _Atomic unsigned kept_count;
static void *stock[MAX_KEPT];
static unsigned stock_count;
static _Atomic unsigned stock_next;
static uintptr_t heaps[MAX_HEAPS];
static unsigned heap_count;
static void *own_map;
static size_t own_map_bytes;
static struct tally tally;
static char out_text[PAGE];

static void fail(const char *what)
{
	fprintf(stderr, "grower: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* ---- counting ---- */

#ifdef ORACLE_STATIC
static void find_mallinfo(void)
{
	own_mallinfo2 = mallinfo2;
}
#else
/* The program is linked against the oldest glibc, which knows no mallinfo2. Looked for
 * once: dlsym takes memory of each thread that it is called in. */
static void find_mallinfo(void)
{
	own_mallinfo2 = (struct mallinfo2(*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
	own_mallinfo = (struct mallinfo(*)(void))dlsym(RTLD_DEFAULT, "mallinfo");
}
#endif

static struct figures look(void)
{
	struct figures now = {.brk = (uintptr_t)sbrk(0)};

	if (own_mallinfo2) {
		struct mallinfo2 info = own_mallinfo2();

		now.arena = info.arena;
		now.maps = info.hblks;
		now.map_bytes = info.hblkhd;
	} else {
		struct mallinfo info = own_mallinfo();

		now.arena = (unsigned)info.arena;
		now.maps = (unsigned)info.hblks;
		now.map_bytes = (unsigned)info.hblkhd;
	}
	return now;
}

static void add(struct tally *to, enum kind kind, uint64_t bytes)
{
	to->events[kind]++;
	to->bytes[kind] += bytes;
}

static bool is_new_heap(uintptr_t heap)
{
	for (unsigned i = 0; i < heap_count; i++)
		if (heaps[i] == heap)
			return false;
	if (heap_count == MAX_HEAPS)
		fail("too many heaps");
	heaps[heap_count++] = heap;
	return true;
}

/* An arena grew, and not by brk: the chunk tells whose it is. */
static void add_arena(struct tally *to, const void *chunk, uint64_t bytes)
{
	uintptr_t heap = (uintptr_t)chunk & ~(HEAP_BYTES - 1);

	if (!(((const uint64_t *)chunk)[-1] & NON_MAIN_ARENA))
		add(to, FALLBACK, bytes);
	else
		add(to, is_new_heap(heap) ? NEW_HEAP : MPROTECT, bytes);
}

static void count(struct tally *to, const struct figures *before, const void *chunk)
{
	struct figures now = look();

	to->calls++;
	if (!chunk)
		to->nulls++;
	if (now.brk > before->brk)
		add(to, BRK, now.brk - before->brk);
	else if (chunk && now.arena > before->arena)
		add_arena(to, chunk, now.arena - before->arena);
	if (now.maps > before->maps)
		add(to, MMAP, now.map_bytes - before->map_bytes);
	else if (now.map_bytes > before->map_bytes)
		/* From 2.43 on this figure drifts by what an mmapped chunk's trailer
		 * takes. */
		add(to, MREMAP, (now.map_bytes - before->map_bytes) & -(uint64_t)PAGE);
}

static void keep(void *chunk)
{
	unsigned at;

	if (!chunk)
		return;
	at = kept_count++;
	if (at >= MAX_KEPT)
		fail("too many chunks");
	kept[at] = chunk;
}

/* ---- ways to ask malloc; the names are looked for in stacks ---- */

/* Results pass through a volatile: no call becomes a jump, and none is left out. */
static __attribute__((noinline)) void *by_malloc(size_t bytes)
{
	void *volatile chunk = malloc(bytes);

	return chunk;
}

static __attribute__((noinline)) void *by_calloc(size_t bytes)
{
	void *volatile chunk = calloc(1, bytes);

	return chunk;
}

static __attribute__((noinline)) void *by_memalign(size_t bytes)
{
	void *volatile chunk = memalign(ALIGNMENT, bytes);

	return chunk;
}

static __attribute__((noinline)) void *by_realloc(size_t bytes)
{
	unsigned at = stock_next++;
	void *volatile chunk;

	if (at >= stock_count)
		fail("no stock");
	chunk = realloc(stock[at], bytes);
	return chunk;
}

static const struct {
	const char *name;
	how_fn *how;
} hows[] = {
	{"malloc", by_malloc},
	{"calloc", by_calloc},
	{"memalign", by_memalign},
	{"realloc", by_realloc},
};

static how_fn *how_named(const char *name)
{
	for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
		if (!strcmp(name, hows[i].name))
			return hows[i].how;
	return NULL;
}

static __attribute__((noinline)) void grow(struct tally *to, const struct job *job)
{
	for (uint64_t i = 0; i < job->count; i++) {
		struct figures before = look();
		void *chunk = job->how(job->bytes);

		count(to, &before, chunk);
		keep(chunk);
	}
}

/* Beside others malloc's figures cannot be one call's: only refusals are counted. */
static __attribute__((noinline)) void rush(struct tally *to, const struct job *job)
{
	for (uint64_t i = 0; i < job->count; i++) {
		void *chunk = job->how(job->bytes);

		to->calls++;
		to->nulls += !chunk;
		keep(chunk);
	}
}

/* ---- workers ---- */

static void do_job(unsigned me, const struct job *job)
{
	struct tally *to = &crew.worker[me].tally;

	memset(to, 0, sizeof(*to));
	if (!job->in_turn) {
		rush(to, job);
		return;
	}
	pthread_mutex_lock(&crew.lock);
	while (crew.turn != me)
		pthread_cond_wait(&crew.moved, &crew.lock);
	grow(to, job);
	crew.turn++;
	pthread_cond_broadcast(&crew.moved);
	pthread_mutex_unlock(&crew.lock);
}

static void *worker_main(void *argument)
{
	unsigned me = (unsigned)((struct worker *)argument - crew.worker);
	uint64_t done = 0;

	for (;;) {
		struct job job;

		pthread_mutex_lock(&crew.lock);
		crew.parked++;
		pthread_cond_broadcast(&crew.moved);
		while (crew.round == done)
			pthread_cond_wait(&crew.moved, &crew.lock);
		done = crew.round;
		job = crew.job;
		pthread_mutex_unlock(&crew.lock);
		do_job(me, &job);
	}
	return NULL;
}

static void wait_parked(void)
{
	pthread_mutex_lock(&crew.lock);
	while (crew.parked != crew.workers)
		pthread_cond_wait(&crew.moved, &crew.lock);
	pthread_mutex_unlock(&crew.lock);
}

static void add_tally(const struct tally *from)
{
	for (unsigned kind = 0; kind < KINDS; kind++) {
		tally.events[kind] += from->events[kind];
		tally.bytes[kind] += from->bytes[kind];
	}
	tally.calls += from->calls;
	tally.nulls += from->nulls;
}

/* ---- orders ---- */

/* The words of an order; missing ones are empty. */
struct order {
	const char *word[MAX_WORDS];
	uint64_t number[MAX_WORDS];
};

static void obey_malloc(const struct order *order)
{
	const struct job job = {
		.how = how_named(order->word[0]),
		.count = order->number[1],
		.bytes = order->number[2],
	};

	grow(&tally, &job);
}

static void obey_crew(const struct order *order)
{
	pthread_mutex_lock(&crew.lock);
	crew.job = (struct job){
		.how = how_named(order->word[1]),
		.count = order->number[2],
		.bytes = order->number[3],
		.in_turn = !strcmp(order->word[0], "turns"),
	};
	crew.parked = 0;
	crew.turn = 0;
	crew.round++;
	pthread_cond_broadcast(&crew.moved);
	pthread_mutex_unlock(&crew.lock);
	wait_parked();
	for (unsigned i = 0; i < crew.workers; i++)
		add_tally(&crew.worker[i].tally);
}

static void obey_rush(const struct order *order)
{
	const struct job job = {
		.how = how_named(order->word[1]),
		.count = order->number[2],
		.bytes = order->number[3],
	};

	rush(&tally, &job);
}

/* Starting a thread takes memory, too. */
static void obey_threads(const struct order *order)
{
	for (uint64_t i = 0; i < order->number[1]; i++) {
		struct worker *worker = &crew.worker[crew.workers];
		struct figures before = look();

		if (crew.workers == MAX_WORKERS)
			fail("too many workers");
		errno = pthread_create(&worker->thread, NULL, worker_main, worker);
		if (errno)
			fail("pthread_create");
		crew.workers++;
		wait_parked();
		count(&tally, &before, kept[0]);
	}
}

static __attribute__((noinline)) void by_resize(size_t bytes)
{
	struct figures before = look();
	void *volatile chunk = realloc(kept[kept_count - 1], bytes);

	count(&tally, &before, chunk);
	if (chunk)
		kept[kept_count - 1] = chunk;
}

static void obey_resize(const struct order *order)
{
	by_resize(order->number[1]);
}

static __attribute__((noinline)) void by_free(void)
{
	free(kept[--kept_count]);
	kept[kept_count] = NULL;
}

static void obey_free(const struct order *order)
{
	(void)order;
	by_free();
}

/* Brings the chunk that is N from the end to the end, to be freed next. */
static void obey_rotate(const struct order *order)
{
	unsigned last = kept_count - 1, at = kept_count - (unsigned)order->number[1];
	void *chunk = kept[at];

	kept[at] = kept[last];
	kept[last] = chunk;
}

static void obey_figures(const struct order *order)
{
	(void)order;
}

static void obey_mapped(const struct order *order)
{
	mallopt(M_MMAP_MAX, (int)order->number[1]);
}

static void obey_block(const struct order *order)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t end = ((uintptr_t)sbrk(0) + page - 1) & -page;

	(void)order;
	if (mmap((void *)end, page, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		fail("mmap above the break");
}

static void obey_stock(const struct order *order)
{
	stock_count = 0;
	stock_next = 0;
	while (stock_count < order->number[1]) {
		struct figures before = look();

		stock[stock_count] = malloc(STOCK_BYTES);
		count(&tally, &before, stock[stock_count]);
		stock_count++;
	}
}

/* ---- memory that is not malloc's ---- */

static __attribute__((noinline)) void own_sbrk(size_t bytes)
{
	if (sbrk((intptr_t)bytes) == (void *)-1)
		tally.nulls++;
	else
		add(&tally, FOREIGN, bytes);
}

static __attribute__((noinline)) void own_mmap(size_t bytes)
{
	own_map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	own_map_bytes = bytes;
	if (own_map == MAP_FAILED)
		tally.nulls++;
}

static __attribute__((noinline)) void own_mremap(size_t bytes)
{
	void *at = mremap(own_map, own_map_bytes, own_map_bytes + bytes, MREMAP_MAYMOVE);

	if (at == MAP_FAILED)
		fail("mremap");
	own_map = at;
	own_map_bytes += bytes;
}

/* A reservation that becomes writable bit by bit, at an address such as heaps have. */
static __attribute__((noinline)) void own_mprotect(size_t bytes)
{
	static char *at;
	static size_t done;

	if (!at) {
		at = mmap(NULL, 2 * HEAP_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
		if (at == MAP_FAILED)
			fail("mmap");
		at += -(uintptr_t)at & (HEAP_BYTES - 1);
	}
	if (mprotect(at + done, bytes, PROT_READ | PROT_WRITE))
		fail("mprotect");
	done += bytes;
}

static const struct {
	const char *name;
	void (*how)(size_t bytes);
} owns[] = {
	{"sbrk", own_sbrk},
	{"mmap", own_mmap},
	{"mremap", own_mremap},
	{"mprotect", own_mprotect},
};

static void obey_own(const struct order *order)
{
	for (size_t i = 0; i < sizeof(owns) / sizeof(owns[0]); i++) {
		if (strcmp(order->word[1], owns[i].name) != 0)
			continue;
		for (uint64_t n = 0; n < order->number[2]; n++) {
			owns[i].how(order->number[3]);
			tally.calls++;
		}
	}
}

/* Every second page of one reservation gets another protection, so that none merge. */
static void obey_maps(const struct order *order)
{
	static char *at;
	static size_t bytes;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (at) {
		munmap(at, bytes);
		at = NULL;
	}
	if (!order->number[1])
		return;
	bytes = order->number[1] * page;
	at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		fail("mmap");
	for (size_t i = 1; i < order->number[1]; i += 2)
		if (mprotect(at + i * page, page, PROT_READ))
			return;
}

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static __attribute__((noinline)) void flood(void)
{
	void *volatile chunk = malloc(PAGE * 64);

	tally.calls++;
	tally.nulls += !chunk;
	free(chunk);
}

static void obey_flood(const struct order *order)
{
	uint64_t end = clock_ns() + order->number[1] * NS_PER_S;

	mallopt(M_MMAP_THRESHOLD, PAGE * 32);
	while (clock_ns() < end)
		flood();
}

static __attribute__((noinline)) void by_touch(size_t bytes)
{
	char *volatile chunk = malloc(bytes);

	for (size_t i = 0; chunk && i < bytes; i += PAGE)
		chunk[i] = 1;
	keep(chunk);
}

static void obey_pace(const struct order *order)
{
	const struct timespec pause = {.tv_nsec = 1000000};

	for (uint64_t i = 0; i < order->number[1]; i++) {
		keep(by_malloc(order->number[2]));
		nanosleep(&pause, NULL);
	}
}

static void obey_touch(const struct order *order)
{
	for (uint64_t i = 0; i < order->number[1]; i++)
		by_touch(order->number[2]);
}

static void obey_exec(const struct order *order)
{
	execl(order->word[1], order->word[1], (char *)NULL);
	fail("exec");
}

static const struct {
	const char *name;
	void (*obey)(const struct order *order);
} orders[] = {
	{"malloc", obey_malloc},  {"calloc", obey_malloc},   {"memalign", obey_malloc},
	{"realloc", obey_malloc}, {"turns", obey_crew},	     {"race", obey_crew},
	{"rush", obey_rush},	  {"threads", obey_threads}, {"resize", obey_resize},
	{"free", obey_free},	  {"stock", obey_stock},     {"own", obey_own},
	{"maps", obey_maps},	  {"flood", obey_flood},     {"touch", obey_touch},
	{"exec", obey_exec},	  {"rotate", obey_rotate},   {"figures", obey_figures},
	{"mapped", obey_mapped},  {"block", obey_block},     {"pace", obey_pace},
};

static void answer(void)
{
	struct figures now = look();

	for (unsigned kind = 0; kind < KINDS; kind++)
		printf("%s=%llu/%llu ", kind_name[kind],
		       (unsigned long long)tally.events[kind],
		       (unsigned long long)tally.bytes[kind]);
	printf("nulls=%llu calls=%llu brk_at=%llu arena=%llu\n",
	       (unsigned long long)tally.nulls, (unsigned long long)tally.calls,
	       (unsigned long long)now.brk, (unsigned long long)now.arena);
	fflush(stdout);
}

static bool obey(char *line)
{
	struct order order = {{"", "", "", "", ""}, {0}};
	unsigned words = 0;

	for (char *save, *word = strtok_r(line, " \n", &save); word && words < MAX_WORDS;
	     word = strtok_r(NULL, " \n", &save)) {
		order.word[words] = word;
		order.number[words++] = strtoull(word, NULL, 10);
	}
	memset(&tally, 0, sizeof(tally));
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		if (!strcmp(order.word[0], orders[i].name)) {
			orders[i].obey(&order);
			return true;
		}
	}
	return false;
}

static __attribute__((noinline)) void serve(void)
{
	static char line[256];
	ssize_t got;

	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	/* One order at a time: whoever gives it waits for the answer. */
	while ((got = read(STDIN_FILENO, line, sizeof(line) - 1)) > 0) {
		line[got] = '\0';
		if (obey(line)) {
			answer();
		} else {
			puts("what?");
			fflush(stdout);
		}
	}
}

int main(void)
{
	memset(out_text, 1, sizeof(out_text));
	setvbuf(stdout, out_text, _IOFBF, sizeof(out_text));
	find_mallinfo();
	/* The first chunk of all, so that there is a heap to attach to. */
	keep(by_malloc(PAGE));
	look();
	serve();
	return 0;
}
