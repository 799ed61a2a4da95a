/* verdict.h: what ails a process's memory, with the evidence and what helps. Pure
 * functions: nothing is read here, nothing allocated. A verdict needs bytes,
 * a share of the process or of all memory that it can have, and figures that were had;
 * without them there is none. */
#ifndef FRAGSCOPE_VERDICT_H
#define FRAGSCOPE_VERDICT_H

#include "analysis/arena_peaks.h"
#include "analysis/headroom.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stdint.h>

struct blockers;
struct runtime;

/* The names that go with these (verdict_info) are released: only added to. */
enum verdict_kind {
	VERDICT_FAILURES,	/* allocations failed */
	VERDICT_LIMIT,		/* a limit is near */
	VERDICT_LEAK,		/* live memory grows, and the process with it */
	VERDICT_ALLOCATOR,	/* another allocator than malloc has the memory */
	VERDICT_NOT_MALLOC,	/* files, stacks, mappings of the program itself */
	VERDICT_PINNED_TAIL,	/* a few chunks hold a heap's end */
	VERDICT_ARENAS,		/* many arenas keep free memory each */
	VERDICT_FRAGMENTATION,	/* free memory in crumbs among what is in use */
	VERDICT_BREAKING,	/* not yet, but the crumbs become more */
	VERDICT_MMAP_THRESHOLD, /* it rose: large blocks came from the heap */
	VERDICT_TRIM_THRESHOLD, /* it rose: the top stays */
	VERDICT_CACHE,		/* what a trim would give back */
	VERDICT_RETURNED,	/* free, but not resident: costs nothing */
	VERDICT_HUGE_PAGES,	/* the kernel fills what is free with huge pages */
	VERDICT_GROWTH,		/* by more than is seen to rise in it */
	VERDICT_FAST_TAIL,	/* fastbin chunks hold a heap's end */
	VERDICT_KINDS
};

struct verdict_info {
	const char *name;   /* in JSON */
	const char *answer; /* begins the first sentence of a report */
};

extern const struct verdict_info verdict_info[VERDICT_KINDS];

enum severity {
	SEVERITY_NOTE, /* costs nothing: told because figures mislead */
	SEVERITY_WARNING,
	SEVERITY_CRITICAL,
};

const char *severity_name(enum severity severity);

/* How a figure moves. IS_KNOWN: there were enough readings. At most one of the others:
 * the movement is no chance. Units a second; the bounds are 95% ones. */
struct verdict_trend {
	bool is_known, is_rising, is_falling;
	double per_s, low_per_s, high_per_s;
	double first, last;
};

/* What else is resident besides malloc's memory. ANON_BYTES is anonymous memory that is
 * not malloc's; LARGEST names the largest of the named mappings. */
struct verdict_non_malloc {
	bool is_known;
	bool no_heap;	/* glibc's malloc has nothing, or is not there */
	bool is_static; /* no library is mapped: no function can be called from outside */
	const struct runtime *runtime; /* null: none that is known */
	uint64_t anon_bytes, shared_bytes, file_bytes, stack_bytes;
	uint64_t shared_pss_bytes;
	/* All anonymous memory, malloc's too: what other processes have as well since a
	 * fork, and what they have not. */
	uint64_t forked_bytes, private_bytes;
	uint64_t page_cache_bytes; /* of files, and the kernel can take it back */
	const char *largest;	   /* "" when there is none */
	uint64_t largest_bytes;
	const char *allocator; /* the file of another allocator that is mapped, or "" */
};

/* What huge pages do to the private anonymous memory: RSS_BYTES of it, of which
 * ANON_BYTES are in huge pages. FILLS: the kernel may fill holes in what is malloc's with
 * huge pages, FILL_PER_S bytes a second at most (0: no bound is known), where up to
 * ABSENT_PAGES of a range of PAGE_BYTES are not there. */
struct verdict_huge {
	bool is_known, fills;
	bool is_always; /* not only where a program asks for them */
	uint64_t rss_bytes, anon_bytes, page_bytes, absent_pages;
	double fill_per_s;
};

/* What verdicts are made of; each pointer but SAMPLE may be null, each figure absent. */
struct verdict_input {
	const struct sample *sample; /* the latest */
	const struct blockers *blockers;
	const struct headroom *headroom;
	const struct headroom_reach *reach; /* of HEADROOM_KINDS */
	const struct verdict_non_malloc *non_malloc;
	const struct verdict_huge *huge;
	/* Of live_bytes and mmapped_bytes together, of rss_bytes, other_resident_bytes,
	 * pinned_bytes, free_chunks and largest_free_bytes. */
	struct verdict_trend live, rss, other, pinned, chunks, largest;
	struct arena_peaks arenas;
	double watched_s;
	bool has_failures; /* events were counted while it was watched */
	uint64_t failures;
};

enum {
	VERDICT_HEADLINE = 384,
	VERDICT_EVIDENCE = 640,
	VERDICT_REMEDY = 640,
	VERDICT_FACTS = 12,
};

/* A figure of the evidence, for machines. */
struct verdict_fact {
	const char *name;
	enum figure_unit unit;
	union figure_value value;
};

struct verdict {
	enum verdict_kind kind;
	enum severity severity;
	bool is_possible;     /* what helps may not: it is told after what does */
	uint64_t stake_bytes; /* what it is about */
	char headline[VERDICT_HEADLINE];
	char evidence[VERDICT_EVIDENCE];
	char remedy[VERDICT_REMEDY];
	unsigned fact_count;
	struct verdict_fact fact[VERDICT_FACTS];
};

/* Fills OUT, most important first; returns how many, VERDICT_KINDS at most. Of a sample
 * with estimates, what holds over the whole of their intervals. */
unsigned verdicts_of(const struct verdict_input *input, struct verdict *out,
		     unsigned max);

/* How many BYTES of live_resident_bytes are free chunks in tcaches. Their threads have
 * written to each of them, so that all are resident; false, not known, when something of
 * the process is in swap, or when a tunable lets in sizes beyond the usual. */
bool verdict_cached(const struct figures *fig, uint64_t *bytes);

/* What VERDICT is, in a few words: it begins its line, and the first sentence. */
const char *verdict_title(const struct verdict *verdict);

/* The one sentence that answers what is the matter, into TEXT of SIZE bytes; also when
 * COUNT is 0: where the memory is, then. */
void verdict_answer(const struct verdict_input *input, const struct verdict *verdict,
		    unsigned count, char *text, unsigned size);

#endif
