/* pane_advice.c: what ails the process's memory, with the evidence and what helps. */
#include "analysis/verdict.h"
#include "tui/pane.h"

enum { TAG_COLUMNS = 10 };

static unsigned verdict_draw(const struct area *area, unsigned row,
			     const struct verdict *verdict)
{
	static const struct {
		const char *tag;
		enum ink ink;
	} looks[] = {
		[SEVERITY_NOTE] = {"note", INK_LABEL},
		[SEVERITY_WARNING] = {"warning", INK_WARNING},
		[SEVERITY_CRITICAL] = {"CRITICAL", INK_ERROR},
	};

	area_text(area, row, 0, looks[verdict->severity].tag,
		  looks[verdict->severity].ink);
	row = pane_wrap(area, row, TAG_COLUMNS, verdict->headline, INK_VALUE);
	row = pane_wrap(area, row, TAG_COLUMNS, verdict->evidence, INK_TEXT);
	if (*verdict->remedy)
		area_put(area, row, TAG_COLUMNS - 2, 0x2192, INK_GOOD);
	return pane_wrap(area, row, TAG_COLUMNS, verdict->remedy, INK_GOOD) + 1;
}

void advice_draw(const struct drawing *drawing)
{
	const struct screen *screen = drawing->screen;
	struct area area = area_of(drawing->canvas, &drawing->layout.main);
	unsigned row = 0, i = screen->verdict_selected;

	if (!pane_has_sample(&area, screen))
		return;
	if (!screen->verdict) {
		pane_nothing(&area, "no verdict yet",
			     "some readings are needed before one can be passed");
		return;
	}
	if (!screen->verdict_count) {
		pane_nothing(&area, "no verdict", screen->answer);
		return;
	}
	for (; i < screen->verdict_count && row < area.rect.rows; i++)
		row = verdict_draw(&area, row, &screen->verdict[i]);
	if (i < screen->verdict_count || row > area.rect.rows)
		area_right(&area, area.rect.rows - 1, area.rect.columns, " more below ",
			   INK_KEY_LABEL);
}
