/* popup.c: boxes over all else: the help, and what a key was answered with. */
#include "tui/graph.h"
#include "tui/pane.h"

enum { NAME_COLUMNS = 8, HELP_COLUMNS = 74, MARGIN = 2 };

/* A box of this size at most, in the middle of the canvas, blank. */
static struct area box(const struct drawing *drawing, unsigned rows, unsigned columns,
		       const char *title)
{
	struct canvas *canvas = drawing->canvas;
	struct rect at = {0, 0, rows, columns};
	struct area area;

	if (at.rows > canvas->rows)
		at.rows = canvas->rows;
	if (at.columns > canvas->columns)
		at.columns = canvas->columns;
	at.row = (canvas->rows - at.rows) / 2;
	at.column = (canvas->columns - at.columns) / 2;
	area = area_of(canvas, &at);
	area_clear(&area);
	area = area_box(&area, title, INK_LABEL);
	return area_part(&area,
			 &(struct rect){0, 1, area.rect.rows,
					area.rect.columns > 2 ? area.rect.columns - 2
							      : area.rect.columns});
}

/* How many rows TEXT takes in COLUMNS: drawn where nothing can be seen of it. */
static unsigned rows_of(const struct drawing *drawing, const char *text, unsigned columns)
{
	struct area nowhere = {drawing->canvas, {0, 0, 0, columns}};

	return pane_wrap(&nowhere, 0, 0, text, INK_TEXT);
}

static unsigned widest_line(const char *text)
{
	unsigned widest = 0;

	while (*text) {
		struct line line;
		struct text *part = line_start(&line);

		for (; *text && *text != '\n'; text++)
			text_char(part, *text);
		text += *text == '\n';
		if (canvas_width(line.buf) > widest)
			widest = canvas_width(line.buf);
	}
	return widest;
}

void popup_draw(const struct drawing *drawing)
{
	const struct screen *screen = drawing->screen;
	unsigned columns = widest_line(screen->popup), most;
	struct area area;

	most = drawing->canvas->columns - 2 * MARGIN - 4;
	if (columns > most)
		columns = most;
	if (screen->popup_title && columns < canvas_width(screen->popup_title) + 4)
		columns = canvas_width(screen->popup_title) + 4;
	area = box(drawing, rows_of(drawing, screen->popup, columns) + 2, columns + 4,
		   screen->popup_title);
	pane_wrap(&area, 0, 0, screen->popup, INK_TEXT);
}

/* ---- the help ---- */

static unsigned help_rows(const struct drawing *drawing, unsigned columns)
{
	const struct actions *actions = drawing->screen->actions;
	unsigned place = screen_place(drawing->screen), rows = 0;

	for (size_t i = 0; actions && i < actions->count; i++)
		if (action_is_shown(&actions->action[i], place))
			rows += rows_of(drawing, actions->action[i].help,
					columns - NAME_COLUMNS);
	return rows;
}

/* What the letters on the axis of time mean. */
static bool has_marks(const struct drawing *drawing)
{
	return !drawing->screen->picking && drawing->screen->pane == PANE_OVERVIEW;
}

static unsigned marks(const struct area *area, unsigned row)
{
	unsigned column = NAME_COLUMNS;

	area_text(area, row, 0, "marks", INK_KEY);
	for (unsigned kind = 0; kind < MARK_KINDS; kind++) {
		struct mark_look look = mark_look(kind);

		area_put(area, row, column, look.character, look.ink);
		column = area_text(area, row, column + 2, look.label, INK_TEXT) + 2;
	}
	return row + 1;
}

void help_draw(const struct drawing *drawing)
{
	const struct actions *actions = drawing->screen->actions;
	unsigned columns = drawing->canvas->columns - 2 * MARGIN, row = 0;
	struct area area;

	if (columns > HELP_COLUMNS)
		columns = HELP_COLUMNS;
	area = box(drawing, help_rows(drawing, columns - 4) + has_marks(drawing) + 2,
		   columns,
		   drawing->screen->picking ? "Keys of the list of processes"
					    : "Keys: any key closes this");
	for (size_t i = 0; actions && i < actions->count; i++) {
		const struct action *key = &actions->action[i];

		if (!action_is_shown(key, screen_place(drawing->screen)))
			continue;
		area_text(&area, row, 0, key->name, INK_KEY);
		row = pane_wrap(&area, row, NAME_COLUMNS, key->help, INK_TEXT);
	}
	if (has_marks(drawing))
		row = marks(&area, row);
	if (row > area.rect.rows && area.rect.rows) {
		area_fill(&area, area.rect.rows - 1, 0, area.rect.columns, ' ', INK_TEXT);
		area_cut(&area, area.rect.rows - 1, 0, area.rect.columns,
			 "more in a larger window", INK_LABEL);
	}
}
