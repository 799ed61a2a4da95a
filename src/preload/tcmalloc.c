#include "preload/allocator_ops.h"
#include "preload/strings.h"

/* The interface that gperftools' tcmalloc has for C. */
int MallocExtension_GetNumericProperty(const char *name, size_t *value);
void MallocExtension_ReleaseFreeMemory(void);
void MallocExtension_GetStats(char *text, int bytes);
const char *tc_version(int *major, int *minor, const char **patch);
#pragma weak MallocExtension_GetNumericProperty
#pragma weak MallocExtension_ReleaseFreeMemory
#pragma weak MallocExtension_GetStats
#pragma weak tc_version

static struct {
	__typeof__(&MallocExtension_GetNumericProperty) property;
	__typeof__(&MallocExtension_ReleaseFreeMemory) release;
	__typeof__(&MallocExtension_GetStats) report;
	__typeof__(&tc_version) version;
} known;

/* One property, and the figure that it is or is a part of. */
static const struct {
	const char *name;
	enum ring_figure figure;
} properties[] = {
	{"generic.current_allocated_bytes", RING_LIVE_BYTES},
	{"generic.heap_size", RING_MAPPED_BYTES},
	{"tcmalloc.pageheap_unmapped_bytes", RING_UNMAPPED_BYTES},
	{"tcmalloc.pageheap_free_bytes", RING_DIRTY_BYTES},
	{"tcmalloc.current_total_thread_cache_bytes", RING_THREAD_CACHE_BYTES},
	{"tcmalloc.pageheap_free_bytes", RING_FREE_BYTES},
	{"tcmalloc.central_cache_free_bytes", RING_FREE_BYTES},
	{"tcmalloc.transfer_cache_free_bytes", RING_FREE_BYTES},
};

static void find_calls(void)
{
	known.property = (__typeof__(known.property))host_find(
		"MallocExtension_GetNumericProperty",
		(const void *)MallocExtension_GetNumericProperty);
	known.release = (__typeof__(known.release))host_find(
		"MallocExtension_ReleaseFreeMemory",
		(const void *)MallocExtension_ReleaseFreeMemory);
	known.report = (__typeof__(known.report))host_find(
		"MallocExtension_GetStats", (const void *)MallocExtension_GetStats);
	known.version = (__typeof__(known.version))host_find("tc_version",
							     (const void *)tc_version);
}

/* "gperftools 2.10" */
static void append_version(char name[RING_NAME])
{
	int major, minor;
	const char *patch, *version = known.version(&major, &minor, &patch);

	while (*version && (*version < '0' || *version > '9'))
		version++;
	host_append(name, "-");
	host_append(name, version);
}

/* A tcmalloc in the program itself answers from its constructors on, which run after
 * this: until then it says that it does not know. It is asked all the same, for a first
 * asking by the sampler's thread in the midst of them could undo what they set. */
static bool start(char name[RING_NAME])
{
	size_t ignored;

	find_calls();
	if (!known.property || !host_malloc_is_beside((const void *)known.property))
		return false;
	known.property(properties[0].name, &ignored);
	name[0] = '\0';
	host_append(name, "tcmalloc");
	if (known.version)
		append_version(name);
	return true;
}

/* Properties are asked for one after the other: of a program at work they are of instants
 * some microseconds apart. A figure of several is there when all of them are. */
static void totals(struct ring_sample *sample)
{
	uint64_t gone = 0;

	for (unsigned i = 0; i < sizeof(properties) / sizeof(properties[0]); i++) {
		enum ring_figure figure = properties[i].figure;
		bool again = sample->have >> figure & 1;
		size_t value;

		if (known.property(properties[i].name, &value))
			sample_put(sample, figure,
				   again ? sample->value[figure] + value : value);
		else
			gone |= UINT64_C(1) << figure;
	}
	sample->have &= ~gone;
}

/* ---- the report ---- */

/* Sizes and free spans are reported as text alone, into a buffer of the caller's: the
 * vector that C++ is given would be taken from the heap. From 10000 bytes on it is the
 * long one.
 */
enum { REPORT = 64 << 10, MEGABYTE = 1 << 20 };

static char text[REPORT];

/* What is read line by line. */
struct tcmalloc_stats {
	struct ring_sample *sample;
	uint64_t page_bytes;
	uint64_t largest_bytes;
	bool has_pages; /* the part on free spans has begun */
};

/* "MALLOC:           8192              Tcmalloc page size" */
static void page_line(struct tcmalloc_stats *report, const char *line)
{
	const char *at = words_after(line, "MALLOC:");

	if (at)
		words_number(&at, &report->page_bytes);
}

/* "class   1 [        8 bytes ] :     1023 objs; ...": of the central and transfer
 * caches, and those of the threads. */
static void class_line(struct tcmalloc_stats *report, const char *at)
{
	struct ring_sample *sample = report->sample;
	struct ring_class class = {0};
	uint64_t number;

	if (!words_number(&at, &number) || !(at = words_after(at, "[")) ||
	    !words_number(&at, &class.region_bytes) || !(at = words_after(at, "] :")) ||
	    !words_number(&at, &class.free) || sample->classes_filled == RING_CLASSES)
		return;
	sample->class[sample->classes_filled++] = class;
}

static void found(struct tcmalloc_stats *report, uint64_t bytes)
{
	if (bytes > report->largest_bytes)
		report->largest_bytes = bytes;
}

/* "PageHeap: 43 sizes; ..." */
static void heap_line(struct tcmalloc_stats *report, const char *at)
{
	uint64_t sizes;

	report->has_pages = words_number(&at, &sizes);
}

/* "  46 pages *      1 spans ~ ..." */
static void spans_line(struct tcmalloc_stats *report, const char *line)
{
	uint64_t pages;

	if (words_number(&line, &pages))
		found(report, pages * report->page_bytes);
}

/* ">128   large *      1 spans ~   30.0 MiB; ...": spans of more pages than that. Their
 * mean is no more than the largest, less what the sum may have been rounded up by. */
static void large_line(struct tcmalloc_stats *report, const char *line)
{
	uint64_t pages, spans, whole, tenths = 0;
	const char *at = words_after(line, ">");

	if (!at || !words_number(&at, &pages) || !(at = words_after(at, "*")) ||
	    !words_number(&at, &spans) || !(at = words_after(at, "~")) || !spans ||
	    !words_number(&at, &whole))
		return;
	if (*at++ == '.')
		words_number(&at, &tenths);
	found(report, (pages + 1) * report->page_bytes);
	if (whole * 20 + tenths * 2)
		found(report, (whole * 20 + tenths * 2 - 1) * MEGABYTE / 20 / spans);
}

/* A line is known by a word in it; TAKE gets what is behind it, or all of the line. */
static const struct {
	const char *word;
	bool behind;
	void (*take)(struct tcmalloc_stats *report, const char *at);
} lines[] = {
	{"class ", true, class_line},	 {" pages *", false, spans_line},
	{" large *", false, large_line}, {"PageHeap: ", true, heap_line},
	{"page size", false, page_line},
};

static void take_line(struct tcmalloc_stats *report, const char *line)
{
	for (unsigned i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *at = words_after(line, lines[i].word);

		if (!at)
			continue;
		lines[i].take(report, lines[i].behind ? at : line);
		return;
	}
}
/* The report is cut off where it does not fit, and not after its last line then. */
static bool detail(struct ring_sample *sample)
{
	struct tcmalloc_stats report = {.sample = sample};
	char *line = text;

	if (!known.report)
		return false;
	text[0] = '\0';
	known.report(text, REPORT);
	for (unsigned i = 0; i < REPORT && text[i]; i++) {
		if (text[i] != '\n')
			continue;
		text[i] = '\0';
		take_line(&report, line);
		line = &text[i + 1];
	}
	if (report.has_pages && report.page_bytes)
		sample_put(sample, RING_LARGEST_EXTENT_BYTES, report.largest_bytes);
	return report.has_pages;
}

static void trim(void)
{
	if (known.release)
		known.release();
}

const struct allocator_ops allocator_ops_tcmalloc = {
	.kind = RING_TCMALLOC,
	.start = start,
	.totals = totals,
	.detail = detail,
	.trim = trim,
};
