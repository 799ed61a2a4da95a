#include "preload/allocator_ops.h"
#include "preload/strings.h"

/* mimalloc reports the bytes that it has committed as numbers; the rest of its statistics
 * is a text in rounded units. Of that, what it counts for the whole process is taken:
 * what it counts by thread (segments, pages, blocks) is there only of threads that have
 * ended. */
typedef void mi_output(const char *text, void *context);
void mi_process_info(size_t *elapsed_ms, size_t *user_ms, size_t *system_ms, size_t *rss,
		     size_t *peak_rss, size_t *commit, size_t *peak_commit,
		     size_t *faults);
void mi_stats_print_out(mi_output *output, void *context);
int mi_version(void);
#pragma weak mi_process_info
#pragma weak mi_stats_print_out
#pragma weak mi_version

static struct {
	__typeof__(&mi_process_info) process_info;
	__typeof__(&mi_stats_print_out) report; /* null: not there, or not known */
	int version;				/* 209 is 2.0.9; 0: not known */
} known;

static void find_calls(void)
{
	__typeof__(&mi_version) version =
		(__typeof__(version))host_find("mi_version", (const void *)mi_version);

	known.version = version ? version() : 0;
	/* Of version 2 it is known that the report takes no lock and no memory but a
	 * heap for the thread that asks, once. */
	if (known.version / 100 == 2)
		known.report = (__typeof__(known.report))host_find(
			"mi_stats_print_out", (const void *)mi_stats_print_out);
}

/* Three digits; a number of another form is not guessed at. */
static void append_version(char name[RING_NAME])
{
	char text[] = "-?.?.?";

	if (known.version < 100 || known.version > 999)
		return;
	text[1] = (char)('0' + known.version / 100);
	text[3] = (char)('0' + known.version / 10 % 10);
	text[5] = (char)('0' + known.version % 10);
	host_append(name, text);
}

static bool start(char name[RING_NAME])
{
	known.process_info = (__typeof__(known.process_info))host_find(
		"mi_process_info", (const void *)mi_process_info);
	if (!known.process_info ||
	    !host_malloc_is_beside((const void *)known.process_info))
		return false;
	find_calls();
	name[0] = '\0';
	host_append(name, "mimalloc");
	append_version(name);
	return true;
}

static void totals(struct ring_sample *sample)
{
	size_t ignored, commit, peak_commit;

	known.process_info(&ignored, &ignored, &ignored, &ignored, &ignored, &commit,
			   &peak_commit, &ignored);
	sample_put(sample, RING_MAPPED_BYTES, commit);
	sample_put(sample, RING_PEAK_MAPPED_BYTES, peak_commit);
}

/* ---- the report ---- */

/* What is read line by line: CURRENT is the column of that name, from 0. */
struct mimalloc_stats {
	struct ring_sample *sample;
	bool has_columns;
	unsigned current;
};

static const char *skip(const char *at, bool blanks)
{
	while (*at && (*at == ' ' || *at == '\n') == blanks)
		at++;
	return at;
}

/* "heap stats:    peak      total      freed    current       unit      count": not every
 * version has all of them. */
static void heading(struct mimalloc_stats *report, const char *at)
{
	unsigned column = 0;

	for (at = skip(at, true); *at; at = skip(skip(at, false), true), column++)
		if (words_after(at, "current") == skip(at, false)) {
			report->has_columns = true;
			report->current = column;
			return;
		}
}

/* "32.0 MiB", "2.0 Ki", "512 B", "7": moves *AT behind it. Less than nothing, as sums
 * over threads can be, is no number. */
static bool amount(const char **at, uint64_t *value)
{
	static const char magnitudes[] = "KMG";
	uint64_t tenths = 0, unit = 1;

	if (!words_number(at, value))
		return false;
	if (**at == '.') {
		++*at;
		if (!words_number(at, &tenths))
			return false;
	}
	*at = skip(*at, true);
	for (unsigned i = 0; i < sizeof(magnitudes) - 1; i++)
		if (**at == magnitudes[i])
			unit = UINT64_C(1) << 10 * (i + 1);
	if ((**at >= 'A' && **at <= 'Z') || **at == 'i')
		*at = skip(*at, false);
	*value = *value * unit + tenths * unit / 10;
	return true;
}

static const struct {
	const char *word;
	enum ring_figure figure;
} lines[] = {
	{"reserved:", RING_RESERVED_BYTES},
	{"threads:", RING_HEAP_THREADS},
};

static void take_current(struct mimalloc_stats *report, enum ring_figure figure,
			 const char *at)
{
	uint64_t value;

	for (unsigned column = 0; column <= report->current; column++)
		if (!amount(&at, &value))
			return;
	sample_put(report->sample, figure, value);
}

/* A line at a time, as mimalloc's own buffer cuts them. */
static void take_line(const char *line, void *context)
{
	struct mimalloc_stats *report = context;
	const char *at = words_after(line, "heap stats:");

	if (at)
		heading(report, at);
	for (unsigned i = 0; report->has_columns && i < sizeof(lines) / sizeof(*lines);
	     i++)
		if ((at = words_after(line, lines[i].word)))
			take_current(report, lines[i].figure, at);
}

static bool detail(struct ring_sample *sample)
{
	struct mimalloc_stats report = {.sample = sample};

	if (!known.report)
		return false;
	known.report(take_line, &report);
	return report.has_columns;
}

const struct allocator_ops allocator_ops_mimalloc = {
	.kind = RING_MIMALLOC,
	.start = start,
	.totals = totals,
	.detail = detail,
};
