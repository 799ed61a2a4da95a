/* judge_huge.c: what huge pages do to free memory: a hole beside what is held is filled
 * again after it was given back. */
#include "analysis/judge.h"

#include <stdio.h>

/* Of what a trim would give back, what is in huge pages for sure: both are parts of the
 * same memory, and overlap by what they are more than it. */
static uint64_t free_in_huge_pages(const struct verdict_huge *huge, uint64_t trimmable)
{
	uint64_t both = huge->anon_bytes + trimmable;

	return both > huge->rss_bytes ? both - huge->rss_bytes : 0;
}

static bool fills(const struct verdict_input *input)
{
	return input->huge && input->huge->is_known && input->huge->fills;
}

/* Whose wish it is that there are huge pages, and what takes them away. */
struct huge_request {
	const char *whose, *remedy;
};

static struct huge_request request_of(const struct verdict_input *input)
{
	static const struct huge_request of_malloc = {
		"The tunable glibc.malloc.hugetlb=1 makes malloc ask for them",
		"start it with GLIBC_TUNABLES=glibc.malloc.hugetlb=0; ",
	};
	static const struct huge_request of_host = {
		"/sys/kernel/mm/transparent_hugepage/enabled is 'always'",
		"",
	};
	static const struct huge_request of_program = {
		"The program asks for them (madvise with MADV_HUGEPAGE)",
		"remove that; ",
	};
	uint64_t page_bytes;

	/* Where all memory may have them, malloc need not ask: leaving that out is no
	 * cure. */
	if (input->huge->is_always)
		return of_host;
	if (judge_get(input, FIG_HUGE_PAGE_BYTES, &page_bytes) && page_bytes)
		return of_malloc;
	return of_program;
}

/* How long it takes to fill BYTES again, at the least. */
static void say_pace(const struct verdict_huge *huge, uint64_t bytes, char *text,
		     size_t size)
{
	if (huge->fill_per_s > 0)
		snprintf(text, size, "at %s a second at most, which takes %s for %s",
			 BYTES((uint64_t)huge->fill_per_s),
			 SPAN((double)bytes / huge->fill_per_s), BYTES(bytes));
	else
		snprintf(text, size, "as fast as it can");
}

void judge_say_refill(const struct verdict_input *input, uint64_t bytes, char *text,
		      size_t size)
{
	char pace[96];

	*text = '\0';
	if (!fills(input))
		return;
	say_pace(input->huge, bytes, pace, sizeof(pace));
	snprintf(text, size,
		 " It does not last: the kernel fills holes beside live chunks with huge "
		 "pages, %s.",
		 pace);
}

bool judge_huge_pages(const struct verdict_input *input, struct verdict *verdict)
{
	uint64_t rss, trimmable, stake;
	struct huge_request request;
	char pace[96];

	if (!fills(input) || !judge_get(input, FIG_RSS_BYTES, &rss) ||
	    !judge_get(input, FIG_TRIMMABLE_BYTES, &trimmable))
		return false;
	stake = free_in_huge_pages(input->huge, trimmable);
	if (!judge_weighs(input, stake, rss, &judge_of_rss))
		return false;
	request = request_of(input);
	say_pace(input->huge, stake, pace, sizeof(pace));
	verdict->stake_bytes = stake;
	SAY(headline,
	    "%s of %s resident is free memory in huge pages, and becomes resident again "
	    "after a trim",
	    BYTES(stake), BYTES(rss));
	SAY(evidence,
	    "%s is in huge pages, %s free. %s. khugepaged turns every %s with at most %s "
	    "pages absent (max_ptes_none) into one: %s.",
	    BYTES(input->huge->anon_bytes), BYTES(trimmable), request.whose,
	    BYTES(input->huge->page_bytes), COUNT(input->huge->absent_pages), pace);
	SAY(remedy,
	    "A trim lasts without them: %scall prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) in "
	    "the program, or before exec in what starts it; or write 0 to "
	    "/sys/kernel/mm/transparent_hugepage/khugepaged/max_ptes_none, for the whole "
	    "host. Huge pages make memory faster: measure what the program loses without "
	    "them.",
	    request.remedy);
	judge_fact(verdict, "free_huge_bytes", UNIT_BYTES, stake);
	judge_fact(verdict, "anon_huge_bytes", UNIT_BYTES, input->huge->anon_bytes);
	judge_fact_figure(input, verdict, FIG_HUGE_PAGE_BYTES);
	judge_fact_figure(input, verdict, FIG_TRIMMABLE_BYTES);
	judge_fact(verdict, "max_ptes_none", UNIT_COUNT, input->huge->absent_pages);
	judge_fact(verdict, "refill_bytes_per_s", UNIT_BYTES,
		   (uint64_t)input->huge->fill_per_s);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}
