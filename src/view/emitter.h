/* emitter.h: between view.c and the formats: a row, and what a format must do with it. */
#ifndef FRAGSCOPE_EMITTER_H
#define FRAGSCOPE_EMITTER_H

#include "base/text.h"
#include "view/view.h"

/* The longest row: 60 figures and 137 bins in JSON, each number at its 20 digits, and a
 * name of escapes only, take less than 24 KB. */
enum { VIEW_ROW_BYTES = 32768 };

/* One row: of the process, or of ARENA when that is not null. */
struct row {
	const struct sample *sample;
	const struct arena_row *arena;
	const struct figures *fig;
	enum sample_status status;
};

struct view {
	struct view_options options;
	const struct emitter *emitter;
	int fd;
	struct text text;
	bool chosen[FIG_COUNT]; /* text: the figures that fit */
	bool headed;		/* text: CHOSEN is settled, headings are out */
	unsigned rows;		/* text: since the headings */
	char buf[VIEW_ROW_BYTES];
};

/* A format appends to view->text; view.c writes it out. */
struct emitter {
	void (*header)(struct view *view);
	void (*row)(struct view *view, const struct row *row);
};

extern const struct emitter emitter_text;
extern const struct emitter emitter_csv;
extern const struct emitter emitter_json;

/* ---- row.c ---- */

/* Whether ROW has figure F, as a number that can be written. */
bool row_has(const struct row *row, enum figure f);

/* Figure F of ROW for machines: unscaled, ratios with four decimals. */
void row_number(struct text *text, const struct row *row, enum figure f);

/* The ends of its interval, if ROW has figure F and it is an estimate: in the same form,
 * whole numbers rounded outwards. */
bool row_range(const struct row *row, enum figure f, double *low, double *high);
void row_bound(struct text *text, enum figure f, double bound);

#endif
