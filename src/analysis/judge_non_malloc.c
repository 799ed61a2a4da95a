/* judge_non_malloc.c: the checks of what is not glibc malloc's: another allocator's, a
 * runtime's, or what the program maps itself. */
#include "analysis/judge.h"
#include "analysis/runtime.h"

#include <stdio.h>
#include <string.h>

bool judge_has_own_figures(const struct verdict_input *input)
{
	return *input->sample->allocator &&
	       strncmp(input->sample->allocator, "glibc", 5) != 0;
}

/* Another allocator is loaded, and anonymous memory that is not malloc's is large. */
static bool is_elsewhere(const struct verdict_input *input)
{
	const struct verdict_non_malloc *non_malloc = input->non_malloc;
	uint64_t rss;

	if (judge_has_own_figures(input))
		return false;
	return non_malloc && non_malloc->is_known && *non_malloc->allocator &&
	       judge_get(input, FIG_RSS_BYTES, &rss) &&
	       non_malloc->anon_bytes >= JUDGE_LEAST_BYTES &&
	       judge_share(non_malloc->anon_bytes, rss) >= 0.5;
}

/* Where the mapped chunks were not all found, what is resident of them is no more than
 * they have. */
static bool least_other_bytes(const struct verdict_input *input, uint64_t *bytes)
{
	static const enum figure parts[] = {
		FIG_LIVE_RESIDENT_BYTES, FIG_FREE_RESIDENT_BYTES,
		FIG_ALLOCATOR_RESIDENT_BYTES, FIG_MMAPPED_BYTES};

	if (!judge_get(input, FIG_RSS_BYTES, bytes))
		return false;
	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		uint64_t part;

		if (!judge_get(input, parts[i], &part))
			return false;
		*bytes -= part < *bytes ? part : *bytes;
	}
	return true;
}

/* What is not malloc's for sure: heap that could not be read counts as other, too. Where
 * glibc's malloc has nothing, all of it is. */
static bool other_bytes(const struct verdict_input *input, uint64_t *bytes)
{
	uint64_t doubt;

	if (judge_has_no_heap(input))
		return judge_get(input, FIG_RSS_BYTES, bytes);
	if (!judge_get(input, FIG_OTHER_RESIDENT_BYTES, bytes))
		return least_other_bytes(input, bytes);
	if (judge_get(input, FIG_IN_DOUBT_BYTES, &doubt))
		*bytes -= doubt < *bytes ? doubt : *bytes;
	return true;
}

/* Of what is not malloc's. */
static const struct verdict_trend *other_trend(const struct verdict_input *input)
{
	return judge_has_no_heap(input) ? &input->rss : &input->other;
}

/* From where on what is not malloc's is worth a word although it does not grow. */
static bool is_much(uint64_t other, uint64_t rss)
{
	return other >= 64 * JUDGE_M && judge_share(other, rss) >= 0.5;
}

/* Whether OTHER is worth a word only for what the kernel caches of files: without that it
 * is not much, and if it GROWS, less than half of the rise. */
static bool is_page_cache(const struct verdict_input *input, uint64_t other, uint64_t rss,
			  bool grows)
{
	uint64_t cache = input->non_malloc ? input->non_malloc->page_cache_bytes : 0;

	if (cache > other)
		cache = other;
	return !is_much(other - cache, rss - cache) &&
	       (!grows || (double)(other - cache) < judge_risen(other_trend(input)) / 2);
}

/* Whether what is not malloc's grows, and not only by what the kernel caches of files. */
static bool other_grows(const struct verdict_input *input, uint64_t other, uint64_t rss)
{
	return judge_has_grown(other_trend(input), &input->rss) &&
	       !is_page_cache(input, other, rss, true);
}

static void say_loaded(const struct verdict_input *input, struct verdict *verdict,
		       uint64_t rss)
{
	const struct verdict_non_malloc *non_malloc = input->non_malloc;
	uint64_t other;

	if (other_bytes(input, &other) && other_grows(input, other, rss))
		SAY(headline,
		    "memory that is not glibc malloc's grows by %s a second, to %s now; "
		    "%s is loaded",
		    BYTES((uint64_t)other_trend(input)->per_s), BYTES(other),
		    non_malloc->allocator);
	else
		SAY(headline,
		    "%s is loaded, and %s of %s resident is anonymous memory that is "
		    "not glibc malloc's",
		    non_malloc->allocator, BYTES(non_malloc->anon_bytes), BYTES(rss));
}

/* What bounds the memory of a runtime beside that allocator, or tells more of it. */
static void say_runtime_too(const struct verdict_input *input, char *text, size_t size)
{
	const struct runtime *runtime = input->non_malloc->runtime;

	*text = '\0';
	if (runtime && runtime->beside)
		runtime_say(runtime->beside, input->sample->pid, text, size);
}

bool judge_allocator(const struct verdict_input *input, struct verdict *verdict)
{
	const struct verdict_non_malloc *non_malloc = input->non_malloc;
	uint64_t rss = 0, system_bytes;
	char glibc[64] = "", runtime[320];

	if (!is_elsewhere(input))
		return false;
	judge_get(input, FIG_RSS_BYTES, &rss);
	if (judge_get(input, FIG_SYSTEM_BYTES, &system_bytes))
		snprintf(glibc, sizeof(glibc), "glibc's malloc has %s from the kernel; ",
			 BYTES(system_bytes));
	verdict->stake_bytes = non_malloc->anon_bytes;
	say_loaded(input, verdict, rss);
	say_runtime_too(input, runtime, sizeof(runtime));
	SAY(evidence,
	    "%s%s of the resident memory is anonymous and not glibc malloc's, whose "
	    "settings do not affect it.",
	    glibc, SHARE(judge_share(non_malloc->anon_bytes, rss)));
	SAY(remedy,
	    "See the settings of %s. 'fragscope run -- COMMAND' starts the program with "
	    "a sampler that asks it for its figures.%s%s",
	    non_malloc->allocator, *runtime ? " " : "", runtime);
	judge_fact(verdict, "anon_not_malloc_bytes", UNIT_BYTES, non_malloc->anon_bytes);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
	judge_fact_figure(input, verdict, FIG_SYSTEM_BYTES);
	return true;
}

static void say_non_malloc(const struct verdict_non_malloc *non_malloc, char *text,
			   size_t size)
{
	int used;

	*text = '\0';
	if (!non_malloc || !non_malloc->is_known)
		return;
	used = snprintf(text, size,
			" Its own anonymous memory %s, shared %s (PSS %s), files %s, the "
			"first thread's stack %s.",
			BYTES(non_malloc->anon_bytes), BYTES(non_malloc->shared_bytes),
			BYTES(non_malloc->shared_pss_bytes),
			BYTES(non_malloc->file_bytes), BYTES(non_malloc->stack_bytes));
	if (*non_malloc->largest && used > 0 && (size_t)used < size)
		snprintf(text + used, size - (size_t)used, " Largest by name: %s (%s).",
			 non_malloc->largest, BYTES(non_malloc->largest_bytes));
}

/* The largest kind of what is not malloc's. */
static enum smaps_kind largest_kind(const struct verdict_non_malloc *non_malloc,
				    uint64_t *bytes)
{
	const uint64_t of[SMAPS_KINDS] = {
		[SMAPS_ANON] = non_malloc->anon_bytes,
		[SMAPS_SHARED] = non_malloc->shared_bytes,
		[SMAPS_FILE] = non_malloc->file_bytes,
		[SMAPS_STACK] = non_malloc->stack_bytes,
	};
	enum smaps_kind best = SMAPS_ANON;

	for (unsigned kind = 0; kind < SMAPS_KINDS; kind++)
		if (of[kind] > of[best])
			best = (enum smaps_kind)kind;
	*bytes = of[best];
	return best;
}

/* The runtime whose memory the greater part is; null: none is known. */
static const struct runtime *runtime_behind(const struct verdict_non_malloc *non_malloc)
{
	uint64_t bytes;

	if (!non_malloc || !non_malloc->is_known || !non_malloc->runtime ||
	    non_malloc->runtime->kind != largest_kind(non_malloc, &bytes))
		return NULL;
	return non_malloc->runtime;
}

void judge_say_whose(const struct verdict_non_malloc *non_malloc, char *text, size_t size)
{
	static const char *const words[SMAPS_KINDS] = {
		[SMAPS_ANON] = "anonymous memory that the program maps itself",
		[SMAPS_SHARED] = "shared memory",
		[SMAPS_FILE] = "mapped files",
		[SMAPS_STACK] = "the first thread's stack",
	};
	const struct runtime *runtime = runtime_behind(non_malloc);
	enum smaps_kind kind;
	uint64_t bytes;

	*text = '\0';
	if (!non_malloc || !non_malloc->is_known)
		return;
	kind = largest_kind(non_malloc, &bytes);
	snprintf(text, size, ", %s of it %s", BYTES(bytes),
		 runtime ? runtime->memory : words[kind]);
}

bool judge_has_no_heap(const struct verdict_input *input)
{
	return input->non_malloc && input->non_malloc->is_known &&
	       input->non_malloc->no_heap;
}

const char *judge_by_malloc(const struct verdict_input *input)
{
	const struct verdict_non_malloc *non_malloc = input->non_malloc;

	if (!non_malloc || !non_malloc->is_known || !non_malloc->runtime ||
	    !non_malloc->runtime->by_malloc)
		return "";
	return non_malloc->runtime->by_malloc;
}

bool judge_say_trims(const struct verdict_input *input, char *text, size_t size)
{
	const struct verdict_non_malloc *non_malloc = input->non_malloc;

	if (!non_malloc || !non_malloc->is_known || !non_malloc->runtime ||
	    !non_malloc->runtime->trims)
		return false;
	runtime_say(non_malloc->runtime->trims, input->sample->pid, text, size);
	return true;
}

/* The runtime's own remedy, or one that helps with any. */
static const char *remedy_of(const struct verdict_input *input, bool is_cache)
{
	const struct runtime *runtime = runtime_behind(input->non_malloc);

	if (is_cache)
		return "Nothing: the kernel keeps pages of files as long as there is "
		       "room, and takes them back when memory is short. "
		       "/proc/PID/smaps lists the files.";
	return runtime ? runtime->remedy
		       : "/proc/PID/smaps lists each mapping; 'strace -f -k "
			 "-e trace=mmap -p PID' shows who maps memory.";
}

/* Whether other_bytes gives no more than a bound. */
static bool is_least(const struct verdict_input *input)
{
	return !judge_has_no_heap(input) &&
	       !figure_has(&input->sample->fig, FIG_OTHER_RESIDENT_BYTES);
}

static void say_not_malloc(const struct verdict_input *input, struct verdict *verdict,
			   bool grows, uint64_t other, uint64_t rss)
{
	const char *whose = judge_has_no_heap(input) ? "glibc malloc's" : "malloc's";
	const struct verdict_trend *trend =
		input->other.is_known ? &input->other : &input->rss;
	char contributors[128], most[128];

	judge_say_contributors(input, contributors, sizeof(contributors));
	judge_say_whose(input->non_malloc, most, sizeof(most));
	if (grows)
		SAY(headline, "memory that is not %s grows by %s a second, to %s now%s%s",
		    whose, BYTES((uint64_t)trend->per_s), BYTES(other), most,
		    contributors);
	else
		SAY(headline, "%s%s of %s resident is not %s%s",
		    is_least(input) ? "at least " : "", BYTES(other), BYTES(rss), whose,
		    most);
}

bool judge_not_malloc(const struct verdict_input *input, struct verdict *verdict)
{
	bool no_heap = judge_has_no_heap(input);
	bool grows = judge_has_grown(other_trend(input), &input->rss);
	char parts[400], remedy[400];
	uint64_t rss, other;
	bool is_cache;

	if (is_elsewhere(input) || !judge_get(input, FIG_RSS_BYTES, &rss) ||
	    !other_bytes(input, &other) || other < JUDGE_LEAST_BYTES ||
	    !(grows || is_much(other, rss)))
		return false;
	is_cache = is_page_cache(input, other, rss, grows);
	if (is_cache)
		verdict->severity = SEVERITY_NOTE;
	verdict->stake_bytes = other;
	say_not_malloc(input, verdict, grows, other, rss);
	say_non_malloc(input->non_malloc, parts, sizeof(parts));
	runtime_say(remedy_of(input, is_cache), input->sample->pid, remedy,
		    sizeof(remedy));
	SAY(evidence,
	    "%s of the resident memory is neither held through %smalloc nor kept by it: "
	    "its settings and trims do not affect it.%s",
	    SHARE(judge_share(other, rss)), no_heap ? "glibc's " : "", parts);
	SAY(remedy, "%s", remedy);
	judge_fact(verdict,
		   is_least(input) ? "other_least_bytes"
				   : figure_info[FIG_OTHER_RESIDENT_BYTES].name,
		   UNIT_BYTES, other);
	judge_fact_figure(input, verdict, FIG_RSS_BYTES);
	return true;
}
