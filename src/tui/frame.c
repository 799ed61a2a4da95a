#include "tui/frame.h"

#include "base/clock.h"
#include "base/units.h"
#include "tui/panes.h"

#include <string.h>

enum {
	COMM_CHARACTERS = 32,
	PIECE_GAP = 2,	   /* columns between what the header says */
	TABS_COLUMNS = 67, /* of all tabs with their words */
	NS_PER_S = 1000000000,
};

/* ---- the header ---- */

/* What the header can say, in this order, as far as there is room. */
enum status_piece {
	PIECE_PROGRAM,
	PIECE_PROCESS,
	PIECE_ALLOCATOR,
	PIECE_SOURCE,
	PIECE_STATUS,
	PIECE_DOUBT,
	PIECES
};

static void process_piece(struct text *text, const struct screen *screen)
{
	const struct sample *sample = screen->sample;
	const struct screen_target *target = NULL;

	if (screen->target_shown < screen->target_count)
		target = &screen->target[screen->target_shown];
	if (!sample && !target)
		return;
	text_printable(text, sample ? sample->comm : target->comm, COMM_CHARACTERS);
	text_char(text, '[');
	text_i64(text, sample ? sample->pid : target->pid);
	text_char(text, ']');
}

/* How far the sample can be trusted. */
static void doubt_piece(struct text *text, const struct sample *sample)
{
	if (sample->status == STATUS_TORN &&
	    figure_has(&sample->fig, FIG_IN_DOUBT_BYTES)) {
		units_bytes(text, sample->fig.v[FIG_IN_DOUBT_BYTES].u);
		text_string(text, " in doubt");
	} else if (sample->status == STATUS_PARTIAL) {
		text_printable(text, sample->missing, SAMPLE_TEXT);
	}
}

static void piece_text(struct text *text, const struct screen *screen,
		       enum status_piece piece)
{
	const struct sample *sample = screen->sample;

	if (piece == PIECE_PROGRAM)
		text_string(text, "fragscope");
	if (screen->picking)
		return;
	if (piece == PIECE_PROCESS)
		process_piece(text, screen);
	if (!sample)
		return;
	if (piece == PIECE_ALLOCATOR)
		text_printable(text, sample->allocator, COMM_CHARACTERS);
	if (piece == PIECE_SOURCE) {
		text_string(text, "source ");
		text_string(text, sample_source_name(sample->source));
	}
	if (piece == PIECE_STATUS)
		text_string(text, sample_status_name(sample->status));
	if (piece == PIECE_DOUBT)
		doubt_piece(text, sample);
}

/* The pieces that fit into COLUMNS, the most telling ones first. */
static void choose_pieces(const struct screen *screen, unsigned columns,
			  bool chosen[PIECES])
{
	static const enum status_piece by_worth[PIECES] = {
		PIECE_PROCESS,	 PIECE_STATUS, PIECE_PROGRAM,
		PIECE_ALLOCATOR, PIECE_SOURCE, PIECE_DOUBT,
	};
	unsigned used = 0;

	for (unsigned i = 0; i < PIECES; i++) {
		struct line line;
		unsigned width;

		piece_text(line_start(&line), screen, by_worth[i]);
		width = canvas_width(line.buf);
		chosen[by_worth[i]] = width && used + width <= columns;
		if (chosen[by_worth[i]])
			used += width + PIECE_GAP;
	}
}

static enum ink piece_ink(const struct screen *screen, enum status_piece piece)
{
	bool bad = screen->sample && screen->sample->status != STATUS_COMPLETE;

	return bad && piece >= PIECE_STATUS ? INK_BANNER : INK_HEADER;
}

static void pieces(const struct screen *screen, const struct area *area, unsigned columns)
{
	bool chosen[PIECES];
	unsigned column = 1;

	choose_pieces(screen, columns - column, chosen);
	for (unsigned piece = 0; piece < PIECES; piece++) {
		struct line line;

		if (!chosen[piece])
			continue;
		piece_text(line_start(&line), screen, piece);
		column = area_text(area, 0, column, line.buf, piece_ink(screen, piece)) +
			 PIECE_GAP;
	}
	if (chosen[PIECE_PROGRAM])
		area_style(area, 0, 1, (unsigned)strlen("fragscope"), STYLE_BOLD);
}

/* "PAUSED 14:03:12, 35s ago" in place of the time. */
static enum ink instant(struct text *text, const struct screen *screen)
{
	int64_t shown = screen->paused_ns ? screen->paused_ns : screen->now_ns;
	int64_t ago_s = (screen->now_ns - shown) / NS_PER_S;

	text_char(text, ' ');
	if (screen->ended)
		text_string(text, "ENDED ");
	if (screen->paused_ns)
		text_string(text, "PAUSED ");
	if (shown)
		clock_local(text, shown);
	if (screen->paused_ns && ago_s > 0) {
		text_string(text, ", ");
		text_i64(text, ago_s);
		text_string(text, "s ago");
	}
	text_char(text, ' ');
	return screen->ended || screen->paused_ns ? INK_BANNER : INK_HEADER;
}

static void header(const struct drawing *drawing)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.header);
	unsigned end = area.rect.columns;
	struct line line;
	enum ink ink;

	area_fill(&area, 0, 0, end, ' ', INK_HEADER);
	ink = instant(line_start(&line), drawing->screen);
	if (line.text.length < end / 2) {
		end -= (unsigned)line.text.length;
		area_text(&area, 0, end, line.buf, ink);
	}
	pieces(drawing->screen, &area, end);
}

/* ---- the tabs ---- */

static unsigned tab(const struct drawing *drawing, const struct area *area,
		    unsigned column, enum pane pane)
{
	bool chosen = pane == drawing->screen->pane;
	bool worded = chosen || area->rect.columns >= TABS_COLUMNS;
	enum ink ink = chosen ? INK_TAB_CHOSEN : INK_TAB;
	struct line line;
	struct text *text = line_start(&line);
	unsigned end;

	text_char(text, ' ');
	text_u64(text, (uint64_t)pane + 1);
	if (worded) {
		text_char(text, ' ');
		text_string(text, panes[pane].name);
	}
	text_char(text, ' ');
	end = area_text(area, 0, column, line.buf, ink);
	area_spot(area, 0, column, end - column, SPOT_TAB, pane);
	return end;
}

static void target_number(const struct drawing *drawing, const struct area *area,
			  unsigned column)
{
	const struct screen *screen = drawing->screen;
	unsigned end = area->rect.columns;
	struct line line;
	struct text *text = line_start(&line);

	if (screen->target_count < 2)
		return;
	text_string(text, "process ");
	text_u64(text, (uint64_t)screen->target_shown + 1);
	text_char(text, '/');
	text_u64(text, screen->target_count);
	if (column + line.text.length + 1 > end)
		return;
	area_right(area, 0, end, line.buf, INK_LABEL);
	area_spot(area, 0, end - (unsigned)line.text.length, (unsigned)line.text.length,
		  SPOT_TARGET, (screen->target_shown + 1) % screen->target_count);
}

static void tabs(const struct drawing *drawing)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.tabs);
	unsigned column = 0;

	if (drawing->screen->picking) {
		area_text(&area, 0, 0, " Processes ", INK_TAB_CHOSEN);
		return;
	}
	for (unsigned pane = 0; pane < PANE_COUNT; pane++)
		column = tab(drawing, &area, column, pane);
	target_number(drawing, &area, column);
}

/* ---- the lines at the bottom ---- */

/* What watching costs: never left out in favour of anything else. */
static void cost(struct text *text, const struct screen *screen)
{
	const struct screen_facts *facts = &screen->facts;
	const struct sample *sample = screen->sample;

	if (facts->replay) {
		text_string(text, "replay at ");
		text_fixed(text, facts->speed, facts->speed < 1 ? 2 : 0);
		text_string(text, "x  ");
	} else if (sample && figure_has(&sample->fig, FIG_READ_NS)) {
		text_string(text, "read in ");
		units_ns(text, sample->fig.v[FIG_READ_NS].u);
		if (facts->interval_ns > 0) {
			text_string(text, " every ");
			units_ns(text, (uint64_t)facts->interval_ns);
		}
		if (facts->slowed_by) {
			text_string(text, ", slowed by --max-cost ");
			text_u64(text, facts->slowed_by);
		}
		text_string(text, "  ");
	}
	if (facts->has_own_cpu) {
		text_string(text, "own CPU ");
		text_fixed(text, 100 * facts->own_cpu, 1);
		text_char(text, '%');
	}
}

/* What is being typed, or said, or where the figures come from. */
static enum ink said(struct text *text, const struct screen *screen)
{
	if (screen->prompt) {
		text_string(text, screen->prompt);
		if (screen->typed)
			text_printable(text, screen->typed, 100);
		return INK_MESSAGE;
	}
	if (screen->message) {
		text_string(text, screen->message);
		return screen->message_bad ? INK_ERROR : INK_MESSAGE;
	}
	if (screen->ended) {
		text_string(text, screen->ended);
		return INK_WARNING;
	}
	if (screen->facts.source && !screen->picking)
		text_string(text, screen->facts.source);
	return INK_LABEL;
}

/* The source's line begins with what the header has: of too long a one the end is told.
 */
static const char *end_of_source(const char *line, unsigned columns)
{
	const char *comma;

	while (canvas_width(line) > columns && (comma = strstr(line, ", ")))
		line = comma + 2;
	/* The last of its parts says nothing by itself. */
	return canvas_width(line) > columns || strstr(line, ", ") ? line : "";
}

static void say(const struct screen *screen, const struct area *area, unsigned columns)
{
	struct line line;
	enum ink ink = said(line_start(&line), screen);

	area_cut(area, 0, 0, columns,
		 ink == INK_LABEL ? end_of_source(line.buf, columns) : line.buf, ink);
	if (screen->prompt)
		area_put(area, 0, canvas_width(line.buf), ' ', INK_CURSOR);
}

/* What is said comes before the cost; the source's line, which does not change, after. */
static void status(const struct drawing *drawing)
{
	struct area area = area_of(drawing->canvas, &drawing->layout.status);
	unsigned columns = area.rect.columns, wanted;
	struct line line;
	enum ink ink = said(line_start(&line), drawing->screen);

	wanted = ink == INK_LABEL ? 10 : canvas_width(line.buf);
	cost(line_start(&line), drawing->screen);
	if (line.text.length && wanted + 2 + line.text.length <= columns) {
		area_right(&area, 0, columns, line.buf, INK_LABEL);
		columns -= (unsigned)line.text.length + 2;
	}
	say(drawing->screen, &area, columns);
}

static void keys(const struct drawing *drawing, const struct area *area)
{
	const struct actions *actions = drawing->screen->actions;
	unsigned place = screen_place(drawing->screen), column = 0;

	for (size_t i = 0; actions && i < actions->count; i++) {
		const struct action *key = &actions->action[i];
		unsigned end, width;

		if (!key->label || !(key->places & place))
			continue;
		width = canvas_width(key->name) + 1 + canvas_width(key->label);
		if (column + width > area->rect.columns)
			return;
		end = area_text(area, 0, column, key->name, INK_KEY);
		area_put(area, 0, end, ' ', INK_KEY_LABEL);
		end = area_text(area, 0, end + 1, key->label, INK_KEY_LABEL);
		area_spot(area, 0, column, end - column, SPOT_KEY, (uint32_t)i);
		column = end + 1;
	}
}

/* On a low screen what is said takes the place of the keys. */
static void footer(const struct drawing *drawing)
{
	const struct screen *screen = drawing->screen;
	struct area area = area_of(drawing->canvas, &drawing->layout.footer);

	if (!drawing->layout.status.rows &&
	    (screen->prompt || screen->message || screen->ended))
		say(screen, &area, area.rect.columns);
	else
		keys(drawing, &area);
}

/* ---- all of it ---- */

static void too_small(const struct area *all)
{
	struct line line;
	struct text *text = line_start(&line);

	text_string(text, "needs ");
	text_u64(text, LAYOUT_MIN_COLUMNS);
	text_char(text, 'x');
	text_u64(text, LAYOUT_MIN_ROWS);
	text_string(text, ", has ");
	text_u64(text, all->rect.columns);
	text_char(text, 'x');
	text_u64(text, all->rect.rows);
	area_cut(all, 0, 0, all->rect.columns, line.buf, INK_WARNING);
}

void screen_draw(struct canvas *canvas, const struct screen *screen)
{
	struct area all =
		area_of(canvas, &(struct rect){0, 0, canvas->rows, canvas->columns});
	struct drawing drawing = {.canvas = canvas, .screen = screen};

	area_clear(&all);
	layout_of(canvas->rows, canvas->columns, screen->pane, &drawing.layout);
	if (drawing.layout.too_small) {
		too_small(&all);
		return;
	}
	header(&drawing);
	tabs(&drawing);
	if (screen->picking)
		picker_draw(&drawing);
	else
		panes[screen->pane].draw(&drawing);
	status(&drawing);
	footer(&drawing);
	if (screen->help)
		help_draw(&drawing);
	else if (screen->popup)
		popup_draw(&drawing);
}
