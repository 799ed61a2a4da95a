/* test_verdict.c: each illness from figures that show it, the same figures just below
 * what counts, what is said without the evidence, and the order of several. */
#include "analysis/non_malloc.h"
#include "analysis/runtime.h"
#include "analysis/verdict.h"
#include "sample/blockers.h"
#include "target/smaps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define K UINT64_C(1024)
#define M (K << 10)
#define G (M << 10)

enum { ARENAS = 16 };

static struct sample *sample;
static struct verdict_input input;
static struct verdict_non_malloc non_malloc;
static struct headroom headroom;
static struct blockers blockers;
static struct headroom_reach reach[HEADROOM_KINDS];
static struct verdict verdict[VERDICT_KINDS];
static unsigned count;
static char answer[512];

static void set(enum figure f, uint64_t value)
{
	figure_set(&sample->fig, f, value);
}

/* A program of 400M that holds 350M of it, in one arena, with little free. */
static int setup(void **state)
{
	(void)state;
	sample = sample_new(ARENAS, true);
	if (!sample)
		return -1;
	sample->pid = 4711;
	set(FIG_RSS_BYTES, 400 * M);
	set(FIG_LIVE_RESIDENT_BYTES, 350 * M);
	set(FIG_LIVE_BYTES, 350 * M);
	set(FIG_FREE_BYTES, 20 * M);
	set(FIG_FREE_RESIDENT_BYTES, 20 * M);
	set(FIG_PINNED_BYTES, 10 * M);
	set(FIG_TRIMMABLE_BYTES, 10 * M);
	set(FIG_RETAINED_BYTES, 0);
	set(FIG_OTHER_RESIDENT_BYTES, 30 * M);
	set(FIG_LARGEST_FREE_BYTES, 4 * M);
	set(FIG_LARGEST_HOLE_BYTES, 1 * M);
	set(FIG_MALLINFO2_KEEPCOST, 4 * M);
	set(FIG_FREE_CHUNKS, 1000);
	set(FIG_ARENAS, 1);
	set(FIG_ATTACHED_THREADS, 1);
	set(FIG_MMAP_THRESHOLD_BYTES, 128 * K);
	set(FIG_TRIM_THRESHOLD_BYTES, 128 * K);
	input = (struct verdict_input){.sample = sample, .watched_s = 10};
	non_malloc = (struct verdict_non_malloc){.largest = "", .allocator = ""};
	headroom = (struct headroom){.nearest = -1};
	memset(reach, 0, sizeof(reach));
	memset(&blockers, 0, sizeof(blockers));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sample_free(sample);
	return 0;
}

static void judge(void)
{
	memset(verdict, 0xff, sizeof(verdict));
	count = verdicts_of(&input, verdict, VERDICT_KINDS);
	verdict_answer(&input, verdict, count, answer, sizeof(answer));
	for (unsigned i = 0; i < count; i++) {
		assert_true(*verdict[i].headline && *verdict[i].evidence &&
			    *verdict[i].remedy);
		assert_in_range(verdict[i].fact_count, 1, VERDICT_FACTS);
		/* Nothing is cut. */
		assert_true(strlen(verdict[i].headline) < VERDICT_HEADLINE - 1);
		assert_true(strlen(verdict[i].evidence) < VERDICT_EVIDENCE - 1);
		assert_true(strlen(verdict[i].remedy) < VERDICT_REMEDY - 1);
	}
}

static void is_healthy(void)
{
	judge();
	if (count)
		fail_msg("%s: %s", verdict_info[verdict[0].kind].name,
			 verdict[0].headline);
	assert_non_null(strstr(answer, "o known problem"));
}

static void is_only(enum verdict_kind kind, const char *headline)
{
	judge();
	assert_int_equal(count, 1);
	assert_string_equal(verdict_info[verdict[0].kind].name, verdict_info[kind].name);
	assert_string_equal(verdict[0].headline, headline);
}

static void healthy(void **state)
{
	(void)state;
	input.live.is_known = true;
	is_healthy();
	assert_string_equal(answer, "No known problem: of 400M resident the program "
				    "holds 350M, and 20.0M is free.");
	/* Too few readings for a trend: a leak would not have been seen. */
	input.live.is_known = false;
	is_healthy();
	assert_string_equal(
		answer, "No known problem: of 400M resident the program holds 350M, "
			"and 20.0M is free. Whether it grows takes longer to find out.");
}

/* What threads keep in their caches is free, as far as it is known to be resident. */
static void cached(void **state)
{
	(void)state;
	input.live.is_known = true;
	set(FIG_TCACHE_BYTES, 30 * M);
	set(FIG_TCACHE_CHUNKS, 60000);
	set(FIG_SWAP_BYTES, 0);
	is_healthy();
	assert_string_equal(answer, "No known problem: of 400M resident the program "
				    "holds 320M, and 50.0M is free.");
	set(FIG_SWAP_BYTES, 4096);
	is_healthy();
	assert_string_equal(answer, "No known problem: of 400M resident the program "
				    "holds 350M, and 20.0M is free.");
}

static void without_figures(void **state)
{
	(void)state;
	figures_clear(&sample->fig);
	is_healthy();
	assert_string_equal(answer, "No known problem was found, but where the resident "
				    "memory is could not be read.");
}

/* "No known problem" does not stand over memory that nobody can account for. */
static void untold_memory(void **state)
{
	(void)state;
	figure_drop(&sample->fig, FIG_OTHER_RESIDENT_BYTES);
	figure_drop(&sample->fig, FIG_MMAPPED_RESIDENT_BYTES);
	set(FIG_RSS_BYTES, 600 * M);
	strcpy(sample->missing, "found 2 of 3 mmapped chunks");
	judge();
	assert_int_equal(count, 0);
	assert_null(strstr(answer, "No known problem"));
	assert_non_null(
		strstr(answer, "could not be attributed: found 2 of 3 mmapped chunks"));
	/* A little of it is no matter. */
	set(FIG_RSS_BYTES, 371 * M);
	is_healthy();
	sample->missing[0] = '\0';
}

static void heap_unread(void **state)
{
	(void)state;
	figures_clear(&sample->fig);
	set(FIG_RSS_BYTES, 600 * M);
	strcpy(sample->missing, "malloc's own records are swapped out");
	judge();
	assert_string_equal(answer, "How much of 600M resident is malloc's could not be "
				    "read: malloc's own records are swapped out.");
	sample->missing[0] = '\0';
}

static void trend(struct verdict_trend *of, double first, double last)
{
	*of = (struct verdict_trend){
		.is_known = true,
		.is_rising = last > first,
		.is_falling = last < first,
		.per_s = (last - first) / 10,
		.low_per_s = (last - first) / 11,
		.high_per_s = (last - first) / 9,
		.first = first,
		.last = last,
	};
}

static void fragmentation(void **state)
{
	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 130 * M);
	set(FIG_PINNED_BYTES, 120 * M);
	figure_set(&sample->fig, FIG_UNUSABLE_FOR_BYTES, M);
	figure_set_ratio(&sample->fig, FIG_UNUSABLE, 0.97);
	is_only(VERDICT_FRAGMENTATION, "120M of free memory shares its pages with 350M "
				       "that the program holds, and no trim gives it "
				       "back");
	assert_non_null(strstr(verdict[0].evidence,
			       "For a request of 1.00M, 97% of the free memory is "
			       "useless."));
	assert_string_equal(verdict[0].fact[0].name, "pinned_bytes");
	assert_int_equal(verdict[0].fact[0].value.u, 120 * M);
	assert_null(strstr(verdict[0].evidence, "It grows"));
	assert_non_null(strstr(verdict[0].remedy,
			       "it would have about 270M resident instead of 400M"));
	assert_string_equal(verdict[0].fact[verdict[0].fact_count - 1].name,
			    "after_restart_bytes");
	assert_int_equal(verdict[0].fact[verdict[0].fact_count - 1].value.u, 270 * M);
	/* More is held than is free beside it: it need not be sparse. */
	assert_null(strstr(verdict[0].remedy, "Another allocator"));
	set(FIG_LIVE_RESIDENT_BYTES, 110 * M);
	set(FIG_TCACHE_BYTES, 20 * M);
	judge();
	assert_non_null(
		strstr(verdict[0].remedy, "Another allocator does not help where "));
	assert_non_null(strstr(verdict[0].remedy, "about 250M resident instead of 400M"));
	/* What is in thread caches is no part of what the program holds. */
	set(FIG_TCACHE_CHUNKS, 40000);
	set(FIG_SWAP_BYTES, 0);
	is_only(VERDICT_FRAGMENTATION, "120M of free memory shares its pages with 90.0M "
				       "that the program holds, and no trim gives it "
				       "back");
	set(FIG_TCACHE_BYTES, 0);
	set(FIG_LIVE_RESIDENT_BYTES, 350 * M);
	trend(&input.pinned, 100.0 * (double)M, 120.0 * (double)M);
	judge();
	assert_non_null(strstr(verdict[0].evidence, "It grows by 2.00M a second."));
	/* A quarter of the heap is where it begins: 116M of 466M is less. */
	set(FIG_PINNED_BYTES, 116 * M);
	is_healthy();
	/* A share without the bytes. */
	set(FIG_LIVE_RESIDENT_BYTES, 10 * M);
	set(FIG_PINNED_BYTES, 15 * M);
	is_healthy();
	figure_drop(&sample->fig, FIG_PINNED_BYTES);
	is_healthy();
}

/* Pinned memory that is far from a quarter of the heap, but rises. */
/* A quarter of the heap is where it begins: 470M of it, so 117.5M. */
static void estimates_need_their_whole_interval(void **state)
{
	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 130 * M);
	set(FIG_PINNED_BYTES, 120 * M);
	figure_set_range(&sample->fig, FIG_PINNED_BYTES, 119.0 * (double)M,
			 122.0 * (double)M);
	judge();
	assert_int_equal(count, 1);
	assert_int_equal(verdict[0].kind, VERDICT_FRAGMENTATION);
	/* As it is told it is the estimate, not an end of it. */
	assert_int_equal(verdict[0].fact[0].value.u, 120 * M);
	figure_set_range(&sample->fig, FIG_PINNED_BYTES, 110.0 * (double)M,
			 130.0 * (double)M);
	judge();
	assert_int_equal(count, 0);
}

static void the_heap_breaks_up(void **state)
{
	(void)state;
	trend(&input.pinned, 2.0 * (double)M, 10.0 * (double)M);
	trend(&input.chunks, 801, 6430);
	trend(&input.live, 350.0 * (double)M, 350.0 * (double)M);
	is_only(VERDICT_BREAKING, "pinned memory rises 819K a second, to 10.0M now");
	assert_string_equal(answer, "The heap is breaking up: pinned memory rises 819K a "
				    "second, to 10.0M now.");
	assert_non_null(
		strstr(verdict[0].evidence,
		       "rose from 2.00M to 10.0M, the free chunks from 801 to 6430."));
	/* By the largest alone. */
	input.chunks.is_rising = false;
	is_healthy();
	trend(&input.largest, 63.5 * (double)M, 54.0 * (double)M);
	is_only(VERDICT_BREAKING, "pinned memory rises 819K a second, to 10.0M now");
	assert_non_null(strstr(verdict[0].evidence, "fell from 63.5M to 54.0M"));
	/* By chance; a heap that only grows; less than 1% of the heap. */
	input.pinned.is_rising = false;
	is_healthy();
	input.pinned.is_rising = true;
	trend(&input.live, 320.0 * (double)M, 350.0 * (double)M);
	is_healthy();
	input.live.is_known = false;
	trend(&input.pinned, 7.0 * (double)M, 10.0 * (double)M);
	is_healthy();
	/* Where much is pinned already, that is told, and that it grows. */
	set(FIG_PINNED_BYTES, 120 * M);
	trend(&input.pinned, 100.0 * (double)M, 120.0 * (double)M);
	judge();
	assert_int_equal(count, 1);
	assert_int_equal(verdict[0].kind, VERDICT_FRAGMENTATION);
}

static void cache(void **state)
{
	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 100 * M);
	set(FIG_TRIMMABLE_BYTES, 90 * M);
	is_only(VERDICT_CACHE, "malloc_trim(0) would return 90.0M of 400M resident");
	assert_non_null(strstr(verdict[0].evidence, "(94371840 bytes)"));
#ifdef __x86_64__
	assert_non_null(strstr(verdict[0].remedy, "'fragscope trim --attach "));
#else
	assert_non_null(strstr(verdict[0].remedy, "in a program under 'fragscope run'"));
#endif
	set(FIG_TRIMMABLE_BYTES, 39 * M);
	is_healthy();
	set(FIG_RSS_BYTES, 20 * M);
	set(FIG_TRIMMABLE_BYTES, 15 * M);
	is_healthy();
}

static void huge_pages(void **state)
{
	struct verdict_huge huge = {
		.is_known = true,
		.fills = true,
		.rss_bytes = 380 * M,
		.anon_bytes = 300 * M,
		.page_bytes = 2 * M,
		.absent_pages = 511,
		.fill_per_s = 1.6 * (double)M,
	};

	(void)state;
	input.huge = &huge;
	set(FIG_LIVE_RESIDENT_BYTES, 100 * M);
	set(FIG_FREE_RESIDENT_BYTES, 280 * M);
	set(FIG_TRIMMABLE_BYTES, 250 * M);
	set(FIG_HUGE_PAGE_BYTES, 2 * M);
	judge();
	assert_int_equal(count, 2);
	assert_int_equal(verdict[0].kind, VERDICT_HUGE_PAGES);
	assert_int_equal(verdict[1].kind, VERDICT_CACHE);
	assert_string_equal(verdict[0].headline,
			    "170M of 400M resident is free memory in huge pages, and "
			    "becomes resident again after a trim");
	assert_non_null(strstr(verdict[0].evidence, "glibc.malloc.hugetlb=1"));
	assert_non_null(strstr(verdict[0].remedy, "glibc.malloc.hugetlb=0"));
	assert_non_null(strstr(verdict[1].evidence, "It does not last"));
	assert_non_null(strstr(verdict[1].evidence, "which takes 2.6 min for 250M"));
	/* Others may want them. */
	set(FIG_HUGE_PAGE_BYTES, 0);
	judge();
	assert_non_null(strstr(verdict[0].evidence, "MADV_HUGEPAGE"));
	assert_null(strstr(verdict[0].remedy, "hugetlb=0"));
	huge.is_always = true;
	huge.fill_per_s = 0;
	judge();
	assert_non_null(strstr(verdict[0].evidence, "enabled is 'always'"));
	assert_non_null(strstr(verdict[0].evidence, "as fast as it can"));
	/* Nor is it malloc's wish then that counts. */
	set(FIG_HUGE_PAGE_BYTES, 2 * M);
	judge();
	assert_null(strstr(verdict[0].remedy, "hugetlb=0"));
	assert_non_null(strstr(verdict[0].remedy, "PR_SET_THP_DISABLE"));
	/* It may all be what is held that is in them. */
	huge.anon_bytes = 130 * M;
	judge();
	assert_int_equal(count, 1);
	assert_non_null(strstr(verdict[0].evidence, "It does not last"));
	huge.anon_bytes = 300 * M;
	huge.fills = false;
	is_only(VERDICT_CACHE, "malloc_trim(0) would return 250M of 400M resident");
	assert_null(strstr(verdict[0].evidence, "last"));
}

/* Much by bytes, although no large share of the process. */
static void share_or_bytes(void **state)
{
	(void)state;
	/* 109M of 573M are 19%. */
	set(FIG_RSS_BYTES, 573 * M);
	set(FIG_LIVE_RESIDENT_BYTES, 430 * M);
	set(FIG_FREE_RESIDENT_BYTES, 115 * M);
	set(FIG_TRIMMABLE_BYTES, 109 * M);
	is_only(VERDICT_CACHE, "malloc_trim(0) would return 109M of 573M resident");
	set(FIG_RSS_BYTES, 1100 * M);
	set(FIG_LIVE_RESIDENT_BYTES, 960 * M);
	is_healthy(); /* less than a tenth */
	/* A thirty-second of what memory there is. */
	input.headroom = &headroom;
	headroom.memory_bytes = 4 * G;
	is_healthy();
	headroom.memory_bytes = 3 * G;
	is_only(VERDICT_CACHE, "malloc_trim(0) would return 109M of 1.07G resident");
	/* Of a very small host, too, few bytes are few. */
	headroom.memory_bytes = 256 * M;
	set(FIG_TRIMMABLE_BYTES, 15 * M);
	is_healthy();
	headroom.memory_bytes = 0;
	set(FIG_RSS_BYTES, 10 * G);
	set(FIG_LIVE_RESIDENT_BYTES, 8 * G);
	set(FIG_FREE_RESIDENT_BYTES, 1700 * M);
	set(FIG_PINNED_BYTES, 1640 * M);
	is_only(VERDICT_FRAGMENTATION, "1.60G of free memory shares its pages with 8.00G "
				       "that the program holds, and no trim gives it "
				       "back");
	set(FIG_PINNED_BYTES, 1100 * M); /* less than an eighth */
	is_healthy();
}

static void leak(void **state)
{
	(void)state;
	trend(&input.live, 340.0 * (double)M, 350.0 * (double)M);
	trend(&input.rss, 388.0 * (double)M, 400.0 * (double)M);
	is_only(VERDICT_LEAK, "what the program holds grows by 1.00M a second, and the "
			      "process with it");
	assert_string_equal(answer, "A leak, or a cache that fills: what the program "
				    "holds grows by 1.00M a second, and the process with "
				    "it.");
	assert_non_null(
		strstr(verdict[0].evidence,
		       "live_bytes and mmapped_bytes together rose from 340M to 350M"));
	/* It takes what was free: the process does not grow. */
	trend(&input.rss, 400.0 * (double)M, 400.0 * (double)M);
	is_healthy();
	trend(&input.rss, 388.0 * (double)M, 400.0 * (double)M);
	input.live.is_rising = false;
	is_healthy();
	trend(&input.live, 349.5 * (double)M, 350.0 * (double)M);
	is_healthy();
	trend(&input.live, 347.0 * (double)M, 350.0 * (double)M);
	is_healthy(); /* less than 1% */
	/* Of a large process 1% is much. */
	trend(&input.live, 10000.0 * (double)M, 10017.0 * (double)M);
	trend(&input.rss, 10388.0 * (double)M, 10400.0 * (double)M);
	is_only(VERDICT_LEAK, "what the program holds grows by 1.70M a second, and the "
			      "process with it");
	trend(&input.live, 10000.0 * (double)M, 10015.0 * (double)M);
	is_healthy();
	trend(&input.rss, 388.0 * (double)M, 400.0 * (double)M);
	trend(&input.live, 340.0 * (double)M, 350.0 * (double)M);
	input.live.is_known = false;
	is_healthy();
}

/* Each that a rise is of is named with its part. */
static void growth_of_two(void **state)
{
	static const char parts[] =
		"; the resident memory rises 2.50M a second, 1.00M of it malloc's, 1.50M "
		"not";

	(void)state;
	trend(&input.live, 340.0 * (double)M, 350.0 * (double)M);
	trend(&input.rss, 375.0 * (double)M, 400.0 * (double)M);
	trend(&input.other, 15.0 * (double)M, 30.0 * (double)M);
	judge();
	assert_int_equal(count, 2);
	assert_int_equal(verdict[0].kind, VERDICT_LEAK);
	assert_non_null(strstr(answer, "grows by 1.00M a second, and the process by "
				       "more; the resident memory"));
	assert_non_null(strstr(answer, parts));
	assert_int_equal(verdict[1].kind, VERDICT_NOT_MALLOC);
	assert_non_null(strstr(verdict[1].headline, parts));
	/* Of one alone, but for what is not worth a word. */
	trend(&input.other, 29.5 * (double)M, 30.0 * (double)M);
	judge();
	assert_int_equal(count, 1);
	assert_null(strstr(answer, "malloc's"));
}

/* It is seen that the process grows, and not what. */
static void growth_of_nothing_known(void **state)
{
	(void)state;
	trend(&input.live, 120.0 * (double)M, 184.0 * (double)M);
	input.live.is_rising = false;
	trend(&input.rss, 380.0 * (double)M, 400.0 * (double)M);
	is_only(VERDICT_GROWTH,
		"the resident memory rises by 2.00M a second, from 380M to "
		"400M; what the program holds, and what is not malloc's, are not "
		"seen to rise as much");
	assert_int_equal(strncmp(answer, "The process grows: ", 19), 0);
	/* Half of it is memory that is not malloc's: then that is told alone. */
	trend(&input.other, 15.0 * (double)M, 25.0 * (double)M);
	judge();
	assert_int_equal(count, 2);
	assert_int_equal(verdict[0].kind, VERDICT_GROWTH);
	assert_int_equal(verdict[1].kind, VERDICT_NOT_MALLOC);
	trend(&input.other, 15.0 * (double)M, 25.5 * (double)M);
	judge();
	assert_int_equal(count, 1);
	assert_int_equal(verdict[0].kind, VERDICT_NOT_MALLOC);
	input.other.is_known = input.other.is_rising = false;
	/* A twentieth, and 16M. */
	trend(&input.rss, 384.5 * (double)M, 400.0 * (double)M);
	is_healthy();
	trend(&input.rss, 382.0 * (double)M, 400.0 * (double)M);
	is_healthy();
	trend(&input.rss, 380.0 * (double)M, 400.0 * (double)M);
	input.rss.is_rising = false;
	is_healthy();
	input.rss.is_rising = true;
	input.live.is_known = false;
	is_healthy();
}

static void not_malloc(void **state)
{
	(void)state;
	set(FIG_LIVE_RESIDENT_BYTES, 100 * M);
	set(FIG_OTHER_RESIDENT_BYTES, 280 * M);
	input.non_malloc = &non_malloc;
	non_malloc.is_known = true;
	non_malloc.anon_bytes = 200 * M;
	non_malloc.file_bytes = 80 * M;
	non_malloc.largest = "/srv/index.db";
	non_malloc.largest_bytes = 70 * M;
	is_only(VERDICT_NOT_MALLOC, "280M of 400M resident is not malloc's, 200M of it "
				    "anonymous memory that the program maps itself");
	assert_non_null(strstr(verdict[0].evidence, "/srv/index.db (70.0M)"));
	assert_non_null(strstr(verdict[0].remedy, "'strace -f -k -e trace=mmap -p "
						  "4711'"));
	non_malloc.file_bytes = 210 * M;
	is_only(VERDICT_NOT_MALLOC,
		"280M of 400M resident is not malloc's, 210M of it mapped files");
	/* Not all mapped chunks were found: there is no figure, but a bound. */
	figure_drop(&sample->fig, FIG_OTHER_RESIDENT_BYTES);
	set(FIG_ALLOCATOR_RESIDENT_BYTES, M);
	is_healthy();
	set(FIG_MMAPPED_BYTES, 29 * M);
	is_only(VERDICT_NOT_MALLOC, "at least 250M of 400M resident is not malloc's, "
				    "210M of it mapped files");
	assert_string_equal(verdict[0].fact[0].name, "other_least_bytes");
	set(FIG_OTHER_RESIDENT_BYTES, 280 * M);
	input.non_malloc = NULL;
	is_only(VERDICT_NOT_MALLOC, "280M of 400M resident is not malloc's");
	/* A heap that changed under the reader. */
	set(FIG_IN_DOUBT_BYTES, 90 * M);
	is_healthy();
	set(FIG_IN_DOUBT_BYTES, 0);
	set(FIG_OTHER_RESIDENT_BYTES, 199 * M);
	is_healthy();
	trend(&input.other, 150.0 * (double)M, 199.0 * (double)M);
	trend(&input.rss, 350.0 * (double)M, 400.0 * (double)M);
	is_only(VERDICT_NOT_MALLOC, "memory that is not malloc's grows by 4.90M a "
				    "second, to 199M now");
	set(FIG_RSS_BYTES, 70 * M);
	input.other.is_known = false;
	set(FIG_LIVE_RESIDENT_BYTES, M);
	set(FIG_OTHER_RESIDENT_BYTES, 63 * M);
	is_healthy();
}

/* Pages of files that the kernel can take back are a note, and only as long as they are
 * what it is about. */
static void page_cache(void **state)
{
	(void)state;
	set(FIG_LIVE_RESIDENT_BYTES, 100 * M);
	set(FIG_OTHER_RESIDENT_BYTES, 280 * M);
	input.non_malloc = &non_malloc;
	non_malloc.is_known = true;
	non_malloc.file_bytes = 278 * M;
	non_malloc.page_cache_bytes = 217 * M;
	is_only(VERDICT_NOT_MALLOC,
		"280M of 400M resident is not malloc's, 278M of it mapped files");
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	assert_null(strstr(verdict[0].remedy, "strace"));
	assert_int_equal(strncmp(answer, "No known problem: ", 18), 0);
	/* 64M are something else, if not half of what is no page cache; nor is 100M. */
	non_malloc.page_cache_bytes = 216 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	set(FIG_OTHER_RESIDENT_BYTES, 350 * M);
	non_malloc.page_cache_bytes = 301 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	non_malloc.page_cache_bytes = 286 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_WARNING);
	assert_non_null(strstr(verdict[0].remedy, "strace"));
	/* More than there is, as the kernel counts it roughly. */
	non_malloc.page_cache_bytes = 352 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	/* 20M that grew: more than half of it must be the cache. */
	trend(&input.other, 330.0 * (double)M, 350.0 * (double)M);
	trend(&input.rss, 380.0 * (double)M, 400.0 * (double)M);
	non_malloc.page_cache_bytes = 341 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	assert_non_null(strstr(verdict[0].headline, "grows by 2.00M a second"));
	non_malloc.page_cache_bytes = 340 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_WARNING);
}

/* The same where glibc's malloc has nothing. */
static void page_cache_without_heap(void **state)
{
	(void)state;
	figures_clear(&sample->fig);
	set(FIG_RSS_BYTES, 300 * M);
	input.non_malloc = &non_malloc;
	non_malloc.is_known = non_malloc.no_heap = true;
	non_malloc.page_cache_bytes = 237 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	non_malloc.page_cache_bytes = 236 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_WARNING);
	trend(&input.rss, 280.0 * (double)M, 300.0 * (double)M);
	non_malloc.page_cache_bytes = 289 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_WARNING);
	non_malloc.page_cache_bytes = 291 * M;
	judge();
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
}

static void runtimes(void **state)
{
	static const char *const lines[][3] = {
		{"/usr/lib/jvm/libjvm.so", "jvm", "-Xmx"},
		{"/usr/bin/node", "v8", "--max-old-space-size"},
		{"/usr/bin/node (deleted)", "v8", "--heapsnapshot-signal"},
		{"/usr/bin/nodecount", NULL, "strace"},
		{"/usr/bin/python3.11", "cpython", "PYTHONMALLOC=malloc"},
		{"/usr/lib/libpython3.11.so.1.0", "cpython", "tracemalloc"},
		{"/lib/ld-musl-x86_64.so.1", "musl", "built for glibc"},
		{"/usr/lib/x86_64-linux-musl/libc.so", "musl", "built for glibc"},
		{"/usr/lib/x86_64-linux-gnu/libc.so.6", NULL, "strace"},
		{"/usr/bin/memcached", "memcached", "-m MB"},
		{"/usr/bin/php8.2", "php", "which this report covers"},
		{"/usr/lib/erlang/beam.smp", "erlang", "which this report covers"},
		{"[anon: Go: heap]", "go", "GOMEMLIMIT"},
	};
	static struct smaps smaps;

	(void)state;
	set(FIG_OTHER_RESIDENT_BYTES, 280 * M);
	input.non_malloc = &non_malloc;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		char line[128];

		smaps_begin(&smaps);
		snprintf(line, sizeof(line), "1000-2000 r-xp 00000000 %s   %s",
			 *lines[i][0] == '[' ? "00:00 0" : "fe:00 77", lines[i][0]);
		smaps_line(&smaps, line);
		snprintf(line, sizeof(line), "2000-3000 rw-p 00000000 00:00 0 ");
		smaps_line(&smaps, line);
		snprintf(line, sizeof(line), "Rss: %llu kB", (unsigned long long)(4 * M));
		smaps_line(&smaps, line);
		smaps_end(&smaps);
		non_malloc_of(&smaps, &sample->fig, &non_malloc);
		non_malloc.anon_bytes = 350 * M;
		judge();
		assert_int_equal(verdict[0].kind, VERDICT_NOT_MALLOC);
		assert_true(!non_malloc.runtime == !lines[i][1]);
		if (non_malloc.runtime)
			assert_string_equal(non_malloc.runtime->name, lines[i][1]);
		assert_non_null(strstr(verdict[0].remedy, lines[i][2]));
		/* What is not so beside another allocator is not said there. */
		non_malloc.allocator = "libjemalloc.so.2";
		judge();
		assert_int_equal(verdict[0].kind, VERDICT_ALLOCATOR);
		assert_null(strstr(verdict[0].remedy, "which this report covers"));
		assert_null(strstr(verdict[0].remedy, "built for glibc"));
	}
}

/* What other processes have as well since a fork is free when all have returned it. */
static void cache_since_a_fork(void **state)
{
	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 100 * M);
	set(FIG_TRIMMABLE_BYTES, 90 * M);
	input.non_malloc = &non_malloc;
	non_malloc = (struct verdict_non_malloc){.is_known = true,
						 .forked_bytes = 350 * M,
						 .private_bytes = 20 * M,
						 .largest = "",
						 .allocator = ""};
	is_only(VERDICT_CACHE,
		"malloc_trim(0) would return 90.0M of 400M resident; since a "
		"fork other processes have at least 70.0M of it as well");
	assert_non_null(strstr(verdict[0].remedy, "Call malloc_trim(0) before the fork"));
	assert_non_null(strstr(verdict[0].remedy, "The host has the shared part back"));
	/* Little of it. */
	non_malloc.private_bytes = 70 * M;
	is_only(VERDICT_CACHE, "malloc_trim(0) would return 90.0M of 400M resident");
	/* None. */
	non_malloc.private_bytes = non_malloc.forked_bytes = 0;
	is_only(VERDICT_CACHE, "malloc_trim(0) would return 90.0M of 400M resident");
}

/* No thread of a JVM can be made to call, but it makes the call when it is asked. */
static void cache_of_a_jvm(void **state)
{
	static const struct runtime asked = {.name = "one", .trims = "'ask PID'"};
	static const struct runtime other = {.name = "other"};

	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 100 * M);
	set(FIG_TRIMMABLE_BYTES, 90 * M);
	input.non_malloc = &non_malloc;
	non_malloc = (struct verdict_non_malloc){
		.is_known = true, .runtime = &asked, .largest = "", .allocator = ""};
	is_only(VERDICT_CACHE, "malloc_trim(0) would return 90.0M of 400M resident");
	assert_non_null(
		strstr(verdict[0].remedy, "'ask 4711' has it call malloc_trim(0)"));
	assert_null(strstr(verdict[0].remedy, "fragscope trim"));
	non_malloc.runtime = &other;
	judge();
	assert_non_null(strstr(verdict[0].remedy, "fragscope trim"));
	/* Nor a static program's. */
	non_malloc.is_static = true;
	judge();
	assert_null(strstr(verdict[0].remedy, "fragscope trim"));
	assert_non_null(strstr(verdict[0].remedy,
			       "malloc_trim(0) gives back 90.0M. As the program is "
			       "linked statically"));
}

/* Nothing is advised that helps with an interpreter only. */
static void linked_and_not_started(void **state)
{
	static char library[] =
		"1000-2000 r-xp 00000000 fe:00 77   /usr/lib/libpython3.11.so.1.0";
	static struct smaps smaps;

	(void)state;
	smaps_begin(&smaps);
	smaps_line(&smaps, library);
	smaps_end(&smaps);
	assert_null(runtime_of(&smaps, 96 * K));
	assert_string_equal(runtime_of(&smaps, M)->name, "cpython");
}

/* glibc's malloc is not there: all is somebody else's. */
static void no_heap(void **state)
{
	(void)state;
	figures_clear(&sample->fig);
	set(FIG_RSS_BYTES, 300 * M);
	input.non_malloc = &non_malloc;
	non_malloc.is_known = true;
	non_malloc.no_heap = true;
	non_malloc.anon_bytes = 290 * M;
	is_only(VERDICT_NOT_MALLOC, "300M of 300M resident is not glibc malloc's, 290M "
				    "of it anonymous memory "
				    "that the program maps itself");
	set(FIG_RSS_BYTES, 30 * M);
	non_malloc.anon_bytes = 20 * M;
	is_healthy();
	assert_string_equal(
		answer, "No known problem: 30.0M is resident, none of it glibc malloc's, "
			"20.0M of it anonymous memory that the program maps itself.");
	trend(&input.rss, 20.0 * (double)M, 30.0 * (double)M);
	is_only(VERDICT_NOT_MALLOC,
		"memory that is not glibc malloc's grows by 1.00M a second, to 30.0M "
		"now, "
		"20.0M of it anonymous memory that the program maps itself");
}

static void another_allocator(void **state)
{
	static const struct runtime asked = {.name = "one",
					     .remedy = "Started so, malloc has all, "
						       "which this report covers.",
					     .beside = "Bound PID."};
	static const struct runtime other = {.name = "other", .remedy = "See that."};

	(void)state;
	set(FIG_SYSTEM_BYTES, 132 * K);
	set(FIG_LIVE_RESIDENT_BYTES, 100 * K);
	set(FIG_OTHER_RESIDENT_BYTES, 399 * M);
	input.non_malloc = &non_malloc;
	non_malloc.is_known = true;
	non_malloc.anon_bytes = 300 * M;
	non_malloc.allocator = "libjemalloc.so.2";
	is_only(VERDICT_ALLOCATOR,
		"libjemalloc.so.2 is loaded, and 300M of 400M resident "
		"is anonymous memory that is not glibc malloc's");
	assert_memory_equal(answer, "Not malloc's memory: ", 21);
	assert_non_null(strstr(verdict[0].evidence, "glibc's malloc has 132K"));
	figure_drop(&sample->fig, FIG_SYSTEM_BYTES);
	judge();
	assert_null(strstr(verdict[0].evidence, "glibc's malloc has"));
	/* It grows. */
	trend(&input.rss, 340.0 * (double)M, 400.0 * (double)M);
	trend(&input.other, 349.0 * (double)M, 399.0 * (double)M);
	is_only(VERDICT_ALLOCATOR, "memory that is not glibc malloc's grows by 5.00M a "
				   "second, to 399M now; libjemalloc.so.2 is loaded");
	/* By what the kernel caches of files. */
	non_malloc.page_cache_bytes = 390 * M;
	judge();
	assert_null(strstr(verdict[0].headline, "grows"));
	non_malloc.page_cache_bytes = 0;
	input.other.is_known = input.rss.is_known = false;
	/* Some of it may be a runtime's. */
	non_malloc.runtime = &asked;
	judge();
	assert_non_null(strstr(verdict[0].remedy, "for its figures. Bound 4711."));
	assert_null(strstr(verdict[0].remedy, "which this report covers"));
	non_malloc.runtime = &other;
	judge();
	assert_null(strstr(verdict[0].remedy, "See that."));
	non_malloc.runtime = NULL;
	/* The figures are its own. */
	strcpy(sample->allocator, "jemalloc-5.3.0");
	figure_drop(&sample->fig, FIG_OTHER_RESIDENT_BYTES);
	is_healthy();
	strcpy(sample->allocator, "glibc-2.36");
	/* Loaded, and hardly used. */
	non_malloc.anon_bytes = 20 * M;
	set(FIG_OTHER_RESIDENT_BYTES, 30 * M);
	is_healthy();
}

static void give_arenas(unsigned arenas, uint64_t free_each)
{
	set(FIG_ARENAS, arenas);
	sample->arena_count = arenas;
	for (unsigned i = 0; i < arenas; i++) {
		struct figures *fig = &sample->arena[i].fig;

		sample->arena[i].index = i;
		figure_set(fig, FIG_FREE_RESIDENT_BYTES, free_each);
		figure_set(fig, FIG_PINNED_BYTES, 0);
		figure_set(fig, FIG_LIVE_BYTES, 2 * M);
		figure_set(fig, FIG_TOP_BYTES, free_each / 2);
	}
}

static void took(uint64_t peaks, uint64_t peak, uint64_t swing)
{
	input.arenas = (struct arena_peaks){
		.is_known = true,
		.peaks_bytes = peaks,
		.peak_bytes = peak,
		.swing_bytes = swing,
	};
}

/* Of what arenas keep, only their course tells whether fewer would keep less. */
static void arenas(void **state)
{
	(void)state;
	set(FIG_LIVE_RESIDENT_BYTES, 150 * M);
	set(FIG_FREE_RESIDENT_BYTES, 160 * M);
	give_arenas(16, 10 * M);
	is_only(VERDICT_ARENAS,
		"150M of 400M resident is free memory in 15 arenas beside the main one; "
		"fewer arenas help only if the threads' peaks do not coincide");
	assert_memory_equal(answer, "Perhaps too many arenas: ", 25);
	assert_true(verdict[0].is_possible);
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	/* They were watched, and did not move. */
	took(180 * M, 180 * M, M);
	judge();
	assert_true(count == 1 && verdict[0].is_possible);
	assert_non_null(strstr(verdict[0].evidence, "moved by only 1.00M"));
	input.arenas.is_known = false;
	judge();
	assert_non_null(strstr(verdict[0].evidence, "no two complete readings"));
	input.watched_s = 0;
	judge();
	assert_non_null(strstr(verdict[0].evidence, "one reading cannot show it"));
	input.watched_s = 10;
	/* In turn. */
	took(180 * M, 60 * M, 150 * M);
	is_only(VERDICT_ARENAS, "up to 120M of 400M resident is free memory in 15 arenas "
				"beside the main one "
				"that fewer arenas would have reused");
	assert_memory_equal(answer, "Too many arenas: ", 17);
	assert_non_null(strstr(verdict[0].evidence,
			       "at no reading did they hold more than 60.0M"));
	assert_non_null(strstr(verdict[0].remedy, "MALLOC_ARENA_MAX=2"));
	assert_non_null(strstr(verdict[0].remedy, "in turn from the start"));
	assert_int_equal(verdict[0].severity, SEVERITY_WARNING);
	/* No more than they keep. */
	took(900 * M, 60 * M, 850 * M);
	judge();
	assert_int_equal(verdict[0].stake_bytes, 150 * M);
	/* All at the same time. */
	took(180 * M, 175 * M, 150 * M);
	is_healthy();
}

static void few_arenas(void **state)
{
	(void)state;
	set(FIG_LIVE_RESIDENT_BYTES, 150 * M);
	set(FIG_FREE_RESIDENT_BYTES, 160 * M);
	give_arenas(7, 20 * M);
	is_healthy();
	give_arenas(16, 4 * M); /* 60M of 400M */
	is_healthy();
	give_arenas(16, 10 * M);
	figures_clear(&sample->arena[3].fig);
	is_healthy();
	/* What is pinned is not at stake. */
	give_arenas(16, 10 * M);
	for (unsigned i = 0; i < 16; i++)
		figure_set(&sample->arena[i].fig, FIG_PINNED_BYTES, 7 * M);
	is_healthy();
}

/* What a trim gives back is certain. */
static void the_certain_comes_first(void **state)
{
	(void)state;
	set(FIG_LIVE_RESIDENT_BYTES, 150 * M);
	set(FIG_FREE_RESIDENT_BYTES, 160 * M);
	set(FIG_TRIMMABLE_BYTES, 100 * M);
	give_arenas(16, 10 * M);
	judge();
	assert_int_equal(count, 2);
	assert_int_equal(verdict[0].kind, VERDICT_CACHE);
	assert_int_equal(verdict[1].kind, VERDICT_ARENAS);
	took(180 * M, 60 * M, 150 * M);
	judge();
	assert_int_equal(verdict[0].kind, VERDICT_ARENAS);
	assert_int_equal(verdict[1].kind, VERDICT_CACHE);
}

static void thresholds(void **state)
{
	(void)state;
	/* Free, in pieces that a trim leaves for the greater part. */
	set(FIG_FREE_BYTES, 110 * M);
	set(FIG_FREE_RESIDENT_BYTES, 110 * M);
	set(FIG_LARGEST_FREE_BYTES, 90 * M);
	set(FIG_MMAP_THRESHOLD_BYTES, 20 * M);
	set(FIG_TRIM_THRESHOLD_BYTES, 40 * M);
	is_only(VERDICT_MMAP_THRESHOLD,
		"it is 20.0M instead of 128K, so that blocks between the two come from "
		"the "
		"heap; up to 90.0M of 400M resident is what they left free there");
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	assert_true(verdict[0].is_possible);
	/* Whatever left a top, the trim threshold keeps it. */
	give_arenas(1, 0);
	figure_set(&sample->arena[0].fig, FIG_TOP_BYTES, 90 * M);
	is_only(VERDICT_MMAP_THRESHOLD,
		"it is 20.0M instead of 128K, and the trim threshold 40.0M, so that the "
		"heap "
		"keeps 90.0M of 400M resident free");
	assert_int_equal(verdict[0].severity, SEVERITY_WARNING);
	assert_false(verdict[0].is_possible);
	/* Set by hand. */
	set(FIG_TRIM_THRESHOLD_BYTES, 41 * M);
	is_healthy();
	/* Raised a little, or with little free. */
	set(FIG_MMAP_THRESHOLD_BYTES, 256 * K);
	set(FIG_TRIM_THRESHOLD_BYTES, 512 * K);
	is_healthy();
	set(FIG_MMAP_THRESHOLD_BYTES, 20 * M);
	set(FIG_TRIM_THRESHOLD_BYTES, 40 * M);
	set(FIG_FREE_RESIDENT_BYTES, 63 * M);
	is_healthy();
}

static void large_chunks_by_their_bins(void **state)
{
	struct arena_bins *bins = sample->arena[0].bins;

	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 110 * M);
	set(FIG_MMAP_THRESHOLD_BYTES, 20 * M);
	set(FIG_TRIM_THRESHOLD_BYTES, 40 * M);
	give_arenas(1, 0);
	bins->split = true;
	bins->bins[120] = (struct bin_total){128 * K, 160 * K, 50 * M, 380};
	bins->bins[125] = (struct bin_total){M, 2 * M, 40 * M, 30};
	bins->bins[100] = (struct bin_total){32 * K, 40 * K, 900 * M, 9};
	is_only(VERDICT_MMAP_THRESHOLD,
		"it is 20.0M instead of 128K, so that blocks between the two come from "
		"the "
		"heap; up to 90.0M of 400M resident is what they left free there");
	bins->split = false;
	is_healthy();
	/* By size alone, with nothing sorted yet. */
	bins->sized = true;
	is_only(VERDICT_MMAP_THRESHOLD,
		"it is 20.0M instead of 128K, so that blocks between the two come from "
		"the "
		"heap; up to 90.0M of 400M resident is what they left free there");
	bins->bins[125] = (struct bin_total){0};
	is_healthy();
	/* What is not sorted has small chunks, too: the largest is large for sure. */
	bins->sized = false;
	bins->split = true;
	bins->bins[0] = (struct bin_total){K, 40 * M, 400 * M, 30};
	is_only(VERDICT_MMAP_THRESHOLD,
		"it is 20.0M instead of 128K, so that blocks between the two come from "
		"the "
		"heap; up to 90.0M of 400M resident is what they left free there");
}

static void the_top_stays(void **state)
{
	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 110 * M);
	set(FIG_TRIMMABLE_BYTES, 63 * M);
	set(FIG_MALLINFO2_KEEPCOST, 100 * M);
	set(FIG_TRIM_THRESHOLD_BYTES, 256 * M); /* by hand */
	is_healthy();				/* not resident, for the most */
	set(FIG_TRIMMABLE_BYTES, 100 * M);
	judge();
	assert_int_equal(count, 2);
	assert_int_equal(verdict[0].kind, VERDICT_TRIM_THRESHOLD);
	assert_int_equal(verdict[1].kind, VERDICT_CACHE);
	assert_string_equal(verdict[0].headline, "the main arena's top has 100M free, "
						 "and returns none by itself below 256M");
	/* It goes with the next free. */
	set(FIG_TRIM_THRESHOLD_BYTES, 64 * M);
	judge();
	assert_int_equal(count, 1);
	assert_int_equal(verdict[0].kind, VERDICT_CACHE);
	set(FIG_TRIM_THRESHOLD_BYTES, 256 * M);
	set(FIG_MALLINFO2_KEEPCOST, 63 * M);
	judge();
	assert_int_equal(count, 1);
	assert_int_equal(verdict[0].kind, VERDICT_CACHE);
}

static void a_pinned_tail(void **state)
{
	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 110 * M);
	input.blockers = &blockers;
	blockers.tail_count = 1;
	blockers.tail[0] = (struct blocker){.addr = 0x55aa0010, .bytes = 64, .chunks = 1};
	blockers.step_count = 2;
	blockers.step[0] = (struct blockers_step){0, 1, 64, M, M};
	blockers.step[1] = (struct blockers_step){0, 3, 192, 100 * M, 100 * M};
	is_only(VERDICT_PINNED_TAIL,
		"3 chunks of 192 bytes near the end of arena 0 keep 100M of "
		"free memory from going back by itself");
	assert_non_null(strstr(verdict[0].evidence, "0x55aa0010 (64 bytes)"));
	/* Not resident; too many chunks; chunks of which they are the greater part. */
	blockers.step[1].hole_resident_bytes = 63 * M;
	is_healthy();
	blockers.step[1].hole_resident_bytes = 100 * M;
	blockers.step[1].chunks = 65;
	is_healthy();
	blockers.step[1].chunks = 3;
	blockers.step[1].bytes = 6 * M;
	is_healthy();
	blockers.step[1].bytes = 192;
	blockers.tail_count = 0;
	is_healthy();
}

/* Free memory that neither free() nor a trim returns, and not for a chunk in use. */
static void fastbins_hold_the_end(void **state)
{
	(void)state;
	set(FIG_FREE_RESIDENT_BYTES, 110 * M);
	set(FIG_RETAINED_BYTES, 100 * M);
	set(FIG_FAST_CHUNKS, 200);
	sample->arena_count = 3;
	for (unsigned i = 0; i < 3; i++) {
		sample->arena[i].index = i;
		figures_clear(&sample->arena[i].fig);
		figure_set(&sample->arena[i].fig, FIG_TOP_BYTES, 4 * K);
		figure_set(&sample->arena[i].fig, FIG_RETAINED_BYTES, 0);
	}
	is_healthy();
	figure_set(&sample->arena[1].fig, FIG_RETAINED_BYTES, 60 * M + 4 * K);
	figure_set(&sample->arena[2].fig, FIG_RETAINED_BYTES, 40 * M + 4 * K);
	is_only(VERDICT_FAST_TAIL,
		"100M of 400M resident is free at the ends of heaps, in 2 arenas, and "
		"kept there by small chunks that are in fastbins");
	assert_int_equal(verdict[0].severity, SEVERITY_WARNING);
	assert_int_equal(verdict[0].stake_bytes, 100 * M);
	assert_non_null(strstr(verdict[0].remedy, "glibc.malloc.mxfast=0"));
	/* What is in a top below the threshold is there for that. */
	set(FIG_TRIM_THRESHOLD_BYTES, 40 * M);
	figure_set(&sample->arena[2].fig, FIG_TOP_BYTES, 39 * M);
	is_healthy();
	/* Another would have been returned, had free() merged it. */
	set(FIG_TRIM_THRESHOLD_BYTES, 39 * M);
	judge();
	assert_int_equal(verdict[0].kind, VERDICT_FAST_TAIL);
	assert_int_equal(verdict[0].stake_bytes, 100 * M);
	assert_false(verdict[0].is_possible);
	/* Where all of it is so, it may be for another reason. */
	figure_set(&sample->arena[1].fig, FIG_TOP_BYTES, 61 * M);
	judge();
	assert_true(verdict[0].is_possible && verdict[0].severity == SEVERITY_NOTE);
	assert_int_equal(strncmp(answer, "Perhaps fastbins held", 21), 0);
	assert_non_null(strstr(answer, "that were in fastbins"));
	assert_non_null(strstr(verdict[0].evidence, "M_TOP_PAD"));
	/* Not with a glibc that has none. */
	strcpy(sample->allocator, "glibc-2.43");
	judge();
	for (size_t i = 0; i < count; i++)
		assert_int_not_equal(verdict[i].kind, VERDICT_FAST_TAIL);
	strcpy(sample->allocator, "glibc-2.36");
	judge();
	figure_set(&sample->arena[1].fig, FIG_TOP_BYTES, 4 * K);
	figure_set(&sample->arena[2].fig, FIG_TOP_BYTES, 4 * K);
	/* The main arena's goes back by a trim. */
	sample->arena[1].index = 0;
	is_healthy();
	sample->arena[1].index = 1;
	/* Nor is it more than all that is retained. */
	set(FIG_RETAINED_BYTES, 63 * M);
	is_healthy();
}

static void what_pins_is_told(void **state)
{
	(void)state;
	set(FIG_PINNED_BYTES, 200 * M);
	input.blockers = &blockers;
	blockers.pinning_chunks = 80356;
	blockers.pinning_bytes = 13 * M;
	judge();
	assert_int_equal(count, 1);
	assert_non_null(strstr(verdict[0].evidence,
			       "80356 chunks in use (13.0M) hold these "
			       "pages."));
}

static void causes_come_first(void **state)
{
	(void)state;
	set(FIG_FREE_BYTES, 110 * M);
	set(FIG_FREE_RESIDENT_BYTES, 110 * M);
	set(FIG_TRIMMABLE_BYTES, 105 * M);
	set(FIG_LARGEST_FREE_BYTES, 90 * M);
	set(FIG_MMAP_THRESHOLD_BYTES, 20 * M);
	set(FIG_TRIM_THRESHOLD_BYTES, 40 * M);
	judge();
	assert_int_equal(count, 2);
	assert_int_equal(verdict[0].kind, VERDICT_CACHE);
	assert_int_equal(verdict[1].kind, VERDICT_MMAP_THRESHOLD);
	give_arenas(1, 0);
	figure_set(&sample->arena[0].fig, FIG_TOP_BYTES, 90 * M);
	judge();
	assert_int_equal(count, 2);
	assert_int_equal(verdict[0].kind, VERDICT_MMAP_THRESHOLD);
	assert_int_equal(verdict[1].kind, VERDICT_CACHE);
	/* Fragmentation is not what a trim leaves behind: the larger comes first. */
	set(FIG_PINNED_BYTES, 200 * M);
	judge();
	assert_int_equal(count, 3);
	assert_int_equal(verdict[0].kind, VERDICT_FRAGMENTATION);
}

/* What the sampler tells of jemalloc: nothing of single pages. */
static void by_an_allocators_own_figures(void **state)
{
	(void)state;
	figures_clear(&sample->fig);
	strcpy(sample->allocator, "jemalloc 5.3.0");
	set(FIG_RSS_BYTES, 400 * M);
	set(FIG_LIVE_BYTES, 150 * M);
	set(FIG_ACTIVE_BYTES, 250 * M);
	set(FIG_DIRTY_BYTES, 20 * M);
	is_only(VERDICT_FRAGMENTATION, "100M of the 250M in pages with live objects is "
				       "free, and is released only with them");
	assert_non_null(strstr(verdict[0].evidence, "(jemalloc 5.3.0)"));
	assert_non_null(strstr(verdict[0].remedy,
			       "it would have about 280M resident instead of 400M"));
	set(FIG_ACTIVE_BYTES, 199 * M);
	is_healthy();
	assert_string_equal(answer,
			    "No known problem: 400M is resident, and by the allocator's "
			    "own figures (jemalloc 5.3.0) the program holds 150M.");
	set(FIG_DIRTY_BYTES, 100 * M);
	is_only(VERDICT_CACHE,
		"the allocator keeps 100M of free pages, of 400M resident");
	set(FIG_DIRTY_BYTES, 63 * M);
	is_healthy();
	set(FIG_ACTIVE_BYTES, 20 * M);
	set(FIG_LIVE_BYTES, 5 * M);
	is_healthy();
}

static void returned(void **state)
{
	(void)state;
	set(FIG_FREE_BYTES, 170 * M);
	set(FIG_FREE_RESIDENT_BYTES, 19 * M);
	is_only(VERDICT_RETURNED,
		"151M of the 170M that malloc counts as free is not resident");
	assert_int_equal(verdict[0].severity, SEVERITY_NOTE);
	/* A note is no illness. */
	assert_memory_equal(answer, "No known problem", 16);
	set(FIG_FREE_BYTES, 82 * M);
	is_healthy();
	set(FIG_FREE_BYTES, 400 * M);
	set(FIG_FREE_RESIDENT_BYTES, 201 * M);
	is_healthy();
}

static void near(enum headroom_kind kind, uint64_t limit, uint64_t used)
{
	headroom = (struct headroom){.nearest = (int)kind};
	headroom.row[kind] = (struct headroom_row){
		.is_set = true,
		.limit = limit,
		.used = used,
		.left = limit - used,
		.left_share = (double)(limit - used) / (double)limit,
	};
	input.headroom = &headroom;
	input.reach = reach;
}

static void near_a_limit(void **state)
{
	(void)state;
	near(HEADROOM_ADDRESS_SPACE, 500 * M, 460 * M);
	is_only(VERDICT_LIMIT, "40.0M of 500M is left of the address space (RLIMIT_AS)");
	assert_int_equal(verdict[0].severity, SEVERITY_WARNING);
	near(HEADROOM_ADDRESS_SPACE, 500 * M, 490 * M);
	is_only(VERDICT_LIMIT, "10.0M of 500M is left of the address space (RLIMIT_AS)");
	assert_int_equal(verdict[0].severity, SEVERITY_CRITICAL);
	near(HEADROOM_ADDRESS_SPACE, 500 * M, 440 * M);
	is_healthy();
	/* A small share of very much. */
	near(HEADROOM_HOST, 1024 * G, 940 * G);
	is_healthy();
	near(HEADROOM_MAPPINGS, 65530, 65000);
	is_only(VERDICT_LIMIT, "530 of 65530 is left of the mappings (vm.max_map_count)");
}

static void a_limit_is_reached_soon(void **state)
{
	(void)state;
	near(HEADROOM_ADDRESS_SPACE, 500 * M, 300 * M);
	reach[HEADROOM_ADDRESS_SPACE] =
		(struct headroom_reach){HEADROOM_WHEN_IN, 300, 200, 400};
	is_only(VERDICT_LIMIT, "200M of 500M is left of the address space (RLIMIT_AS)");
	assert_non_null(strstr(verdict[0].evidence, "it is reached in 5.0 min"));
	assert_int_equal(verdict[0].severity, SEVERITY_CRITICAL);
	reach[HEADROOM_ADDRESS_SPACE].in_s = 7200;
	is_healthy();
	reach[HEADROOM_ADDRESS_SPACE].in_s = 300;
	near(HEADROOM_ADDRESS_SPACE, 500 * M, 200 * M);
	is_healthy();
}

static void failures(void **state)
{
	(void)state;
	input.failures = 3;
	is_healthy();
	input.has_failures = true;
	near(HEADROOM_ADDRESS_SPACE, 500 * M, 499 * M);
	set(FIG_PINNED_BYTES, 300 * M);
	judge();
	assert_int_equal(count, 3);
	assert_int_equal(verdict[0].kind, VERDICT_FAILURES);
	assert_int_equal(verdict[1].kind, VERDICT_LIMIT);
	assert_int_equal(verdict[2].kind, VERDICT_FRAGMENTATION);
	input.failures = 0;
	input.headroom = NULL;
	set(FIG_PINNED_BYTES, M);
	is_healthy();
}

/* With all at once on a page, no remedy says that another does nothing. */
static void no_two_contradict(void **state)
{
	static const char *const denies[] = {"do nothing", "does nothing", "No setting",
					     "no setting", "no trim",	   "no use"};

	(void)state;
	input.non_malloc = &non_malloc;
	non_malloc.is_known = true;
	non_malloc.anon_bytes = 100 * M;
	set(FIG_RSS_BYTES, 1200 * M);
	set(FIG_OTHER_RESIDENT_BYTES, 700 * M);
	set(FIG_FREE_BYTES, 360 * M);
	set(FIG_FREE_RESIDENT_BYTES, 360 * M);
	set(FIG_LIVE_RESIDENT_BYTES, 100 * M);
	set(FIG_PINNED_BYTES, 120 * M);
	set(FIG_TRIMMABLE_BYTES, 240 * M);
	set(FIG_LARGEST_FREE_BYTES, 240 * M);
	set(FIG_MMAP_THRESHOLD_BYTES, 300 * M);
	set(FIG_TRIM_THRESHOLD_BYTES, 600 * M);
	set(FIG_MALLINFO2_KEEPCOST, 240 * M);
	give_arenas(16, 20 * M);
	took(400 * M, 100 * M, 350 * M);
	trend(&input.live, 70.0 * (double)M, 100.0 * (double)M);
	trend(&input.rss, 1100.0 * (double)M, 1200.0 * (double)M);
	judge();
	assert_true(count >= 7);
	for (unsigned i = 0; i < count; i++)
		for (unsigned d = 0; d < sizeof(denies) / sizeof(*denies); d++)
			if (strstr(verdict[i].remedy, denies[d]))
				fail_msg("%s", verdict[i].remedy);
}

static void every_verdict_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < VERDICT_KINDS; i++)
		assert_true(*verdict_info[i].name && *verdict_info[i].answer);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(healthy),
		TEST(cached),
		TEST(huge_pages),
		TEST(without_figures),
		TEST(untold_memory),
		TEST(heap_unread),
		TEST(fragmentation),
		TEST(estimates_need_their_whole_interval),
		TEST(the_heap_breaks_up),
		TEST(cache),
		TEST(share_or_bytes),
		TEST(leak),
		TEST(growth_of_nothing_known),
		TEST(growth_of_two),
		TEST(not_malloc),
		TEST(page_cache),
		TEST(page_cache_without_heap),
		TEST(runtimes),
		TEST(cache_since_a_fork),
		TEST(cache_of_a_jvm),
		TEST(linked_and_not_started),
		TEST(no_heap),
		TEST(another_allocator),
		TEST(arenas),
		TEST(few_arenas),
		TEST(the_certain_comes_first),
		TEST(thresholds),
		TEST(large_chunks_by_their_bins),
		TEST(the_top_stays),
		TEST(a_pinned_tail),
		TEST(fastbins_hold_the_end),
		TEST(what_pins_is_told),
		TEST(causes_come_first),
		TEST(by_an_allocators_own_figures),
		TEST(returned),
		TEST(near_a_limit),
		TEST(a_limit_is_reached_soon),
		TEST(failures),
		TEST(no_two_contradict),
		TEST(every_verdict_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
