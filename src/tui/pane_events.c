/* pane_events.c: what happened to the heap, the latest first, and what is known of it. */
#include "base/clock.h"
#include "tui/graph.h"
#include "tui/pane.h"

#include <string.h>

enum { TIME_COLUMNS = 13, KIND_COLUMNS = 8, NS_PER_MS = 1000000, HEAD_LINES = 2 };

static void row_draw(const struct area *area, unsigned row,
		     const struct screen_event *event, unsigned i, bool selected)
{
	struct mark_look look = mark_look(event->kind);
	unsigned columns = area->rect.columns;
	struct line line;
	struct text *text = line_start(&line);
	unsigned column;

	clock_local(text, event->time_ns);
	text_char(text, '.');
	text_digits(text, (uint64_t)event->time_ns / NS_PER_MS % 1000, 3);
	area_text(area, row, 0, line.buf, INK_LABEL);
	area_put(area, row, TIME_COLUMNS, look.character, look.ink);
	area_text(area, row, TIME_COLUMNS + 2, look.label, look.ink);
	column = TIME_COLUMNS + 2 + KIND_COLUMNS;
	if (column < columns)
		area_cut(area, row, column, columns - column, event->line, INK_TEXT);
	if (selected)
		area_ink(area, row, 0, columns, INK_SELECTED);
	area_spot(area, row, 0, columns, SPOT_ROW, i);
}

static void summary(const struct drawing *drawing)
{
	const struct screen_events *events = &drawing->screen->events;
	struct area area = area_of(drawing->canvas, &drawing->layout.summary);
	struct line line;
	struct text *text = line_start(&line);

	text_u64(text, events->count);
	text_string(text, events->count == 1 ? " event" : " events");
	if (events->filter && *events->filter) {
		text_string(text, " match \"");
		text_printable(text, events->filter, 20);
		text_char(text, '"');
	}
	text_string(text, ", the latest first");
	if (events->missing) {
		text_string(text, "; no more can be read: ");
		text_string(text, events->missing);
	}
	area_cut(&area, 0, 0, area.rect.columns, line.buf, INK_LABEL);
}

static unsigned lines_of(const char *detail)
{
	unsigned lines = 0;

	for (; *detail; lines++) {
		detail += strcspn(detail, "\n");
		detail += *detail == '\n';
	}
	return lines;
}

/* The line at AT, cut to the width: a stack that is wrapped cannot be read. Returns where
 * the next one begins. */
static const char *detail_line(const struct area *area, unsigned row, const char *at)
{
	size_t length = strcspn(at, "\n");
	struct line line;
	struct text *text = line_start(&line);

	text_bytes(text, at, length < sizeof(line.buf) ? length : sizeof(line.buf) - 1);
	area_cut(area, row, 0, area->rect.columns, line.buf, INK_TEXT);
	return at + length + (at[length] == '\n');
}

/* Where not all lines fit, those in the middle are left out: what is known of the heap
 * stands first, and who called malloc last. */
static void detail_lines(const struct area *area, unsigned row, const char *at)
{
	unsigned room = row < area->rect.rows ? area->rect.rows - row : 0;
	unsigned lines = lines_of(at), left_out = lines > room ? lines - room + 1 : 0;

	for (unsigned i = 0; i < lines && row < area->rect.rows; i++) {
		struct line line;
		struct text *text = line_start(&line);

		if (i != HEAD_LINES || !left_out) {
			at = detail_line(area, row++, at);
			continue;
		}
		text_string(text, "... ");
		text_u64(text, left_out);
		text_string(text, " lines ...");
		area_text(area, row++, 0, line.buf, INK_LABEL);
		for (unsigned skipped = 0; skipped < left_out; skipped++)
			at += strcspn(at, "\n") + 1;
		i += left_out - 1;
	}
}

static void detail(const struct drawing *drawing, const struct screen_event *event)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.detail);
	struct area box = area_box(&area, "what is known of it", INK_FAINT);
	unsigned row = pane_wrap(&box, 0, 0, event->line, INK_VALUE);

	if (event->detail && *event->detail)
		detail_lines(&box, row, event->detail);
	else
		area_text(&box, row, 0, "nothing more", INK_LABEL);
}

static void nothing(const struct drawing *drawing)
{
	const struct screen_events *events = &drawing->screen->events;
	struct area body = area_of(drawing->canvas, &drawing->layout.body);

	if (events->missing)
		pane_nothing(&body, "no events can be read", events->missing);
	else if (events->filter && *events->filter)
		pane_nothing(&body, "no event matches the filter", NULL);
	else
		pane_nothing(&body, "no event yet",
			     "the probes wait for the heap to grow and for allocations "
			     "to fail");
}

void events_draw(const struct drawing *drawing)
{
	const struct screen_events *events = &drawing->screen->events;
	struct area area = area_of(drawing->canvas, &drawing->layout.main);
	unsigned first = pane_first(events->count, events->selected, area.rect.rows);

	if (!events->count) {
		nothing(drawing);
		return;
	}
	summary(drawing);
	for (unsigned row = 0; row < area.rect.rows && first + row < events->count; row++)
		row_draw(&area, row, &events->event[first + row], first + row,
			 first + row == events->selected);
	if (events->selected < events->count && drawing->layout.detail.rows)
		detail(drawing, &events->event[events->selected]);
}
