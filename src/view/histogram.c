#include "view/histogram.h"

#include "base/clock.h"
#include "base/units.h"
#include "view/json_text.h"

#include <string.h>

enum {
	COUNT_WIDTH = 8,
	SHARE_WIDTH = 8,
	BAR_WIDTH = 40,
	COMM_CHARACTERS = 64,
};

static uint64_t sum(const struct histogram *histogram)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++)
		all += histogram->count[i];
	return all;
}

static uint64_t greatest(const struct histogram *histogram)
{
	uint64_t most = 0;

	for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++)
		if (histogram->count[i] > most)
			most = histogram->count[i];
	return most;
}

/* ---- for people ---- */

static size_t digits(uint64_t value)
{
	size_t count = 1;

	for (; value >= 10; value /= 10)
		count++;
	return count;
}

static void right(struct text *text, const char *string, size_t width)
{
	size_t from = text->length;

	text_string(text, string);
	text_align_right(text, from, width);
}

static void number(struct text *text, uint64_t value, size_t width)
{
	size_t from = text->length;

	text_u64(text, value);
	text_align_right(text, from, width);
}

/* Any calls at all show as a mark. */
static void bar(struct text *text, uint64_t count, uint64_t most)
{
	size_t marks = (size_t)((double)count * BAR_WIDTH / (double)most);

	if (!count)
		return;
	text_string(text, "  ");
	text_repeat(text, '#', marks ? marks : 1);
}

static void row(struct text *text, const struct histogram *histogram, unsigned i,
		size_t width)
{
	uint64_t count = histogram->count[i];
	size_t from;

	number(text, histogram_from(i), width);
	text_string(text, " - ");
	number(text, histogram_to(i), width);
	from = text->length;
	units_count(text, count);
	text_align_right(text, from, COUNT_WIDTH);
	from = text->length;
	text_fixed(text, 100.0 * (double)count / (double)sum(histogram), 1);
	text_char(text, '%');
	text_align_right(text, from, SHARE_WIDTH);
	bar(text, count, greatest(histogram));
	text_char(text, '\n');
}

static void rows(struct text *text, const struct histogram *histogram,
		 const char *heading)
{
	unsigned first = 0, last = HISTOGRAM_CLASSES - 1;
	size_t width, from_to;

	if (!sum(histogram))
		return;
	while (!histogram->count[first])
		first++;
	while (!histogram->count[last])
		last--;
	width = digits(histogram_to(last));
	from_to = 2 * width + strlen(" - ");
	/* The heading may need more room than the numbers. */
	if (from_to < strlen(heading)) {
		width += (strlen(heading) - from_to + 1) / 2;
		from_to = 2 * width + strlen(" - ");
	}
	right(text, heading, from_to);
	right(text, "calls", COUNT_WIDTH);
	right(text, "share", SHARE_WIDTH);
	text_char(text, '\n');
	for (unsigned i = first; i <= last; i++)
		row(text, histogram, i, width);
}

static void own_latency(struct text *text, const struct bursts *bursts)
{
	unsigned own = bursts->own_latency_class;

	text_string(text, "the probe's own ");
	text_u64(text, histogram_from(own));
	text_string(text, " to ");
	text_u64(text, histogram_to(own));
	text_string(text, "ns are part of each call's\n");
}

void histogram_text(struct text *text, const struct bursts *bursts)
{
	text_string(text, "process ");
	text_i64(text, bursts->pid);
	text_string(text, " (");
	text_printable(text, bursts->comm, COMM_CHARACTERS);
	text_string(text, "): ");
	text_u64(text, bursts->bursts);
	text_string(text, bursts->bursts == 1 ? " burst, " : " bursts, ");
	units_ns(text, bursts->watched_ns);
	text_string(text, " in all, ");
	text_u64(text, bursts->calls);
	text_string(text,
		    bursts->calls == 1 ? " call of malloc\n" : " calls of malloc\n");
	rows(text, &bursts->sizes, "request, bytes");
	if (!bursts->has_latency)
		return;
	rows(text, &bursts->latency_ns, "took, ns");
	own_latency(text, bursts);
}

/* ---- for programs ---- */

static void classes(struct text *text, const char *name,
		    const struct histogram *histogram)
{
	json_key(text, name, strlen(name));
	text_char(text, '[');
	for (unsigned i = 0; i < HISTOGRAM_CLASSES; i++) {
		if (!histogram->count[i])
			continue;
		json_element(text);
		json_member_u64(text, "from", histogram_from(i));
		json_member_u64(text, "to", histogram_to(i));
		json_member_u64(text, "count", histogram->count[i]);
		text_char(text, '}');
	}
	text_char(text, ']');
}

static void latency(struct text *text, const struct bursts *bursts)
{
	unsigned own = bursts->own_latency_class;

	classes(text, "latency_ns", &bursts->latency_ns);
	json_member_object(text, "latency_own_ns");
	json_member_u64(text, "from", histogram_from(own));
	json_member_u64(text, "to", histogram_to(own));
	text_char(text, '}');
}

void histogram_json(struct text *text, const struct bursts *bursts)
{
	text_string(text, "{\"time\":\"");
	clock_rfc3339(text, bursts->time_ns);
	text_char(text, '"');
	json_member_i64(text, "pid", bursts->pid);
	json_member_string(text, "comm", bursts->comm);
	json_member_string(text, "kind", "bursts");
	json_member_u64(text, "bursts", bursts->bursts);
	json_key(text, "seconds", strlen("seconds"));
	text_fixed(text, (double)bursts->watched_ns / 1e9, 6);
	json_member_u64(text, "calls", bursts->calls);
	classes(text, "sizes", &bursts->sizes);
	if (bursts->has_latency)
		latency(text, bursts);
	text_string(text, "}\n");
}
