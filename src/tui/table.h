/* table.h: rows of columns: which columns fit, their headings, cells aligned beneath. */
#ifndef FRAGSCOPE_TABLE_H
#define FRAGSCOPE_TABLE_H

#include "sample/sample.h"
#include "tui/canvas.h"

#include <stdbool.h>

enum { TABLE_COLUMNS = 16 };

struct table_column {
	const char *heading;
	unsigned width;
	unsigned rank; /* 1 is kept longest when there is no room for all */
	bool left;     /* aligned to the left */
};

/* A column of the values of FIGURE (FIG_COUNT: of something else), which the catalogue
 * heads. */
struct figure_column {
	enum figure figure;
	struct table_column column;
};

/* The headings of COUNT columns, into OUT. */
void table_columns(const struct figure_column *column, unsigned count,
		   struct table_column *out);

/* What the column is in words. */
const char *table_label(const struct figure_column *column);

/* Where the columns stand: AT[i] is the first column of i, WIDTH[i] is 0 when it did not
 * fit. */
struct table {
	unsigned count;
	unsigned at[TABLE_COLUMNS], width[TABLE_COLUMNS];
};

/* Places COUNT columns in COLUMNS; STRETCH (COUNT: none) gets what is left over, up to
 * STRETCH_MAX. */
struct table table_of(const struct table_column *column, unsigned count, unsigned columns,
		      unsigned stretch, unsigned stretch_max);

/* The headings in ROW of AREA; those of CHOSEN (COUNT: none) stand out. */
void table_headings(const struct area *area, unsigned row, const struct table *table,
		    const struct table_column *column, unsigned chosen);

/* STRING as cell I of ROW. */
void table_cell(const struct area *area, unsigned row, const struct table *table,
		const struct table_column *column, unsigned i, const char *string,
		enum ink ink);

#endif
