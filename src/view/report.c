#include "view/report_parts.h"

#include "analysis/free_sizes.h"
#include "base/alloc_touched.h"
#include "base/clock.h"
#include "base/output.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	enum figure f;
	const char *class; /* of its colour in a page */
} report_part[REPORT_PARTS] = {
	{FIG_LIVE_RESIDENT_BYTES, "live"},	{FIG_TCACHE_BYTES, "cached"},
	{FIG_MMAPPED_RESIDENT_BYTES, "mapped"}, {FIG_TRIMMABLE_BYTES, "trimmable"},
	{FIG_PINNED_BYTES, "pinned"},		{FIG_RETAINED_BYTES, "retained"},
	{FIG_ALLOCATOR_RESIDENT_BYTES, "own"},	{FIG_OTHER_RESIDENT_BYTES, "other"},
};

/* ---- writing ---- */

struct report_out *report_begin(int fd)
{
	struct report_out *out = alloc_touched(sizeof(*out));

	if (!out)
		return NULL;
	out->fd = fd;
	text_init(&out->text, out->buf, sizeof(out->buf));
	return out;
}

static void write_out(struct report_out *out)
{
	if (!out->error && out->text.overflow)
		out->error = -EOVERFLOW;
	if (!out->error)
		out->error = output_write(out->fd, out->text.buf, out->text.length);
	text_clear(&out->text);
}

void report_flush(struct report_out *out)
{
	if (out->text.length > sizeof(out->buf) / 2)
		write_out(out);
}

int report_finish(struct report_out *out)
{
	int error;

	if (!out)
		return -ENOMEM;
	write_out(out);
	error = out->error;
	free(out);
	return error;
}

void report_print(struct report_out *out, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_string(&out->text, line);
	report_flush(out);
}

/* ---- figures ---- */

unsigned report_parts(const struct figures *fig, struct report_share out[REPORT_PARTS])
{
	uint64_t cached;
	bool has_cached = verdict_cached(fig, &cached);
	unsigned count = 0;

	for (unsigned i = 0; i < REPORT_PARTS; i++) {
		enum figure f = report_part[i].f;
		struct report_share *share = &out[count];

		if (!figure_has(fig, f) || (f == FIG_TCACHE_BYTES && !has_cached))
			continue;
		*share = (struct report_share){fig->v[f].u, figure_title(f),
					       report_part[i].class};
		if (f == FIG_LIVE_RESIDENT_BYTES && has_cached)
			share->bytes -= cached;
		else if (f == FIG_LIVE_RESIDENT_BYTES)
			share->words = "live, or in thread caches";
		count++;
	}
	return count;
}

unsigned report_arenas(const struct sample *sample, unsigned *out, unsigned max)
{
	unsigned count = 0;

	for (unsigned i = 0; i < sample->arena_count; i++) {
		const struct figures *fig = &sample->arena[i].fig;
		unsigned at = count < max ? count++ : max;

		if (!figure_has(fig, FIG_FREE_RESIDENT_BYTES)) {
			count -= at < max;
			continue;
		}
		for (;
		     at &&
		     fig->v[FIG_FREE_RESIDENT_BYTES].u >
			     sample->arena[out[at - 1]].fig.v[FIG_FREE_RESIDENT_BYTES].u;
		     at--)
			if (at < max)
				out[at] = out[at - 1];
		if (at < max)
			out[at] = i;
	}
	return count;
}

struct units_text report_figure(const struct figures *fig, enum figure f)
{
	struct units_text out = {"-"};
	struct text text;

	if (!figure_has(fig, f))
		return out;
	text_init(&text, out.s, sizeof(out.s));
	switch (figure_info[f].unit) {
	case UNIT_BYTES:
		units_bytes(&text, fig->v[f].u);
		break;
	case UNIT_COUNT:
		units_count(&text, fig->v[f].u);
		break;
	case UNIT_NS:
		units_ns(&text, fig->v[f].u);
		break;
	default:
		units_ratio(&text, fig->v[f].d);
		break;
	}
	return out;
}

/* ---- words ---- */

static struct units_text amount(enum figure f, double value)
{
	uint64_t whole = (uint64_t)value;

	return figure_info[f].unit == UNIT_BYTES ? units_bytes_text(whole)
						 : units_count_text(whole);
}

/* A movement without a rate that is sure: by how much from the first to the last, if that
 * is most of it. */
static void unsteady(const struct report_series *series, char *text, size_t size)
{
	const struct verdict_trend *trend = &series->trend;
	const char *about = series->is_estimated ? "~" : "";
	double low = trend->first, high = trend->first;
	struct units_text from, to;

	for (size_t i = 0; i < series->points; i++) {
		low = fmin(low, series->point[i].min);
		high = fmax(high, series->point[i].max);
	}
	from = amount(series->f, low);
	to = amount(series->f, high);
	if (low == high)
		snprintf(text, size, "still");
	else if (!strcmp(from.s, to.s))
		snprintf(text, size, "hardly moves");
	else if (2 * fabs(trend->last - trend->first) >= high - low)
		snprintf(text, size, "%s by %s%s, but not steadily",
			 trend->last > trend->first ? "up" : "down", about,
			 amount(series->f, fabs(trend->last - trend->first)).s);
	else
		snprintf(text, size, "between %s%s and %s%s, no trend", about, from.s,
			 about, to.s);
}

bool report_goes_as_it_ended(const struct verdict_trend *trend)
{
	return (trend->is_rising && trend->last > trend->first) ||
	       (trend->is_falling && trend->last < trend->first);
}

void report_trend(const struct report_series *series, char *text, size_t size)
{
	const struct verdict_trend *trend = &series->trend;

	if (!trend->is_known)
		snprintf(text, size, "too few readings");
	else if (!report_goes_as_it_ended(trend))
		unsteady(series, text, size);
	else
		snprintf(text, size, "%s %s%s a second",
			 trend->is_rising ? "rising" : "falling",
			 series->is_estimated ? "~" : "",
			 amount(series->f, fabs(trend->per_s)).s);
}

bool report_cgroup_cache(const struct report *report, char *text, size_t size)
{
	const struct bounds *bounds = report->bounds;
	const struct cgroup_limit *limit = &bounds->cgroup.max;

	if (!(bounds->has & BOUNDS_HAS_CGROUP) || !limit->is_set ||
	    limit->used_bytes < limit->limit_bytes / 10 * 9 ||
	    limit->cache_bytes < limit->limit_bytes / 4)
		return false;
	snprintf(text, size,
		 "The kernel counts %s of the cgroup's %s as used; %s of that is file "
		 "cache, which it takes back first and reads again where it is needed.",
		 BYTES(limit->used_bytes), BYTES(limit->limit_bytes),
		 BYTES(limit->cache_bytes));
	return true;
}

void report_when(const struct headroom_reach *reach, char *text, size_t size)
{
	static const char *const words[] = {
		[HEADROOM_WHEN_UNKNOWN] = "-",
		[HEADROOM_WHEN_NEVER] = "not at this rate",
		[HEADROOM_WHEN_REACHED] = "reached",
	};

	if (!reach || reach->when != HEADROOM_WHEN_IN)
		snprintf(text, size, "%s", words[reach ? reach->when : 0]);
	else if (isinf(reach->latest_s))
		snprintf(text, size, "in %s (or later)", SPAN(reach->in_s));
	else
		snprintf(text, size, "in %s (%s to %s)", SPAN(reach->in_s),
			 SPAN(reach->earliest_s), SPAN(reach->latest_s));
}

enum { USUAL_REQUESTS = 3 };

/* Those that are always looked at and ASKED, in order, into REQUEST; how many. */
static unsigned requests_with(uint64_t asked, uint64_t request[USUAL_REQUESTS + 1])
{
	static const uint64_t usual[USUAL_REQUESTS] = {
		UINT64_C(1) << 10, UINT64_C(16) << 10, UINT64_C(256) << 10};
	unsigned count = 0, below = 0;

	while (below < USUAL_REQUESTS && usual[below] < asked)
		request[count++] = usual[below++];
	request[count++] = asked;
	for (unsigned i = below; i < USUAL_REQUESTS; i++)
		if (usual[i] != asked)
			request[count++] = usual[i];
	return count;
}

/* The share of SAMPLE's free memory that is useless for REQUEST lies between *LOW and
 * *HIGH; false: that is not known, or hardly. */
static bool unusable_for(const struct sample *sample, uint64_t request, double *low,
			 double *high)
{
	const struct figures *fig = &sample->fig;

	if (request == fig->v[FIG_UNUSABLE_FOR_BYTES].u) {
		*low = *high = fig->v[FIG_UNUSABLE].d;
		return true;
	}
	return free_sizes_unusable(sample, FREE_SIZES_ALL, request, low, high) &&
	       *high - *low < 0.9;
}

/* ", all of it in tops" or " in 101k chunks". */
static void say_pieces(const struct figures *fig, struct text *text)
{
	uint64_t chunks = fig->v[FIG_FREE_CHUNKS].u;

	if (!chunks && fig->v[FIG_FREE_BYTES].u) {
		text_string(text, ", all of it in tops");
		return;
	}
	text_string(text, " in ");
	text_string(text, COUNTED(chunks, "chunk"));
}

void report_free(const struct sample *sample, char *text, size_t size)
{
	const struct figures *fig = &sample->fig;
	struct text to;

	text_init(&to, text, size);
	if (!figure_has(fig, FIG_FREE_BYTES))
		return;
	text_string(&to, report_figure(fig, FIG_FREE_BYTES).s);
	text_string(&to, " free");
	if (!figure_has(fig, FIG_FREE_CHUNKS))
		return;
	say_pieces(fig, &to);
	text_string(&to, "; the largest ");
	text_string(&to, report_figure(fig, FIG_LARGEST_FREE_BYTES).s);
	text_string(&to, ", below the tops ");
	text_string(&to, report_figure(fig, FIG_LARGEST_HOLE_BYTES).s);
	text_string(&to, "; frag ");
	text_string(&to, report_figure(fig, FIG_FRAG).s);
}

void report_skipped(const struct report_growth *of, char *text, size_t size)
{
	*text = '\0';
	if (of->skipped)
		snprintf(text, size,
			 "The kernel left out %s, of this process or others: growths may "
			 "be missing.",
			 COUNTED(of->skipped, "probe call"));
}

/* By the figure for the size that was asked for; by the bins, where the reading has them,
 * for some more. */
void report_unusable(const struct sample *sample, char *text, size_t size)
{
	static const char *const before[] = {"For a request of ", "; for one of ",
					     "; of "};
	const struct figures *fig = &sample->fig;
	uint64_t request[USUAL_REQUESTS + 1];
	unsigned count, said = 0;
	struct text to;

	text_init(&to, text, size);
	if (!figure_has(fig, FIG_UNUSABLE) || !figure_has(fig, FIG_UNUSABLE_FOR_BYTES) ||
	    !figure_has(fig, FIG_FREE_BYTES) || !fig->v[FIG_FREE_BYTES].u)
		return;
	count = requests_with(fig->v[FIG_UNUSABLE_FOR_BYTES].u, request);
	for (unsigned i = 0; i < count; i++) {
		double low, high;

		if (!unusable_for(sample, request[i], &low, &high))
			continue;
		text_string(&to, before[said < 2 ? said : 2]);
		text_string(&to, BYTES(request[i]));
		text_string(&to, ", ");
		text_string(&to, SHARE(low));
		if (high > low + 0.005) {
			text_string(&to, " to ");
			text_string(&to, SHARE(high));
		}
		if (!said++)
			text_string(&to, " of the free memory is useless");
	}
	text_char(&to, '.');
}

void report_identity(const struct sample *sample, char *line, size_t size)
{
	const struct origin *origin = &sample->origin;
	struct text text;

	text_init(&text, line, size);
	text_printable(&text, sample->comm, SIZE_MAX);
	text_char(&text, '[');
	text_i64(&text, sample->pid);
	text_char(&text, ']');
	if (*origin->host) {
		text_string(&text, " on ");
		text_printable(&text, origin->host, SIZE_MAX);
	}
	text_string(&text, ", ");
	clock_local_date(&text, sample->time_ns);
	if (!origin->started_ns)
		return;
	text_string(&text, ", started ");
	clock_local_date(&text, origin->started_ns);
}

void report_cost(const struct report *report, char *text, size_t size)
{
	const struct report_cost *cost = &report->cost;
	int used;

	if (report->is_recorded) {
		snprintf(text, size,
			 "What this cost the process: nothing; it was read "
			 "from a recording.");
		return;
	}
	used = snprintf(
		text, size,
		"What this cost: %s (%s, %s at most) and closer looks (%s); %s of "
		"processor time, none of it the process's. It was never stopped.",
		COUNTED(report->readings, "reading"), units_ns_text(cost->read_ns).s,
		units_ns_text(cost->longest_ns).s, units_ns_text(cost->survey_ns).s,
		units_ns_text(cost->cpu_ns).s);
	if (!report->growth.missing && cost->events && used > 0 && (size_t)used < size)
		snprintf(text + used, size - (size_t)used,
			 " The probes cost it 5 to 15us for each of %s.",
			 COUNTED(cost->events, "event"));
}

const char *report_nothing(const struct report *report)
{
	if (report->sample->missing[0])
		return "Not known: some figures are missing.";
	return "Nothing: no known problem was found.";
}
