/* recording.h: between replay.c and the two formats of recordings: one row as it is read,
 * before it is known which sample it belongs to. For the files of this directory only. */
#ifndef FRAGSCOPE_RECORDING_H
#define FRAGSCOPE_RECORDING_H

#include "base/fault.h"
#include "base/text.h"
#include "sample/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	RECORDING_LINE = 65536,	  /* the longest row; view.c writes half of it at most */
	RECORDING_COLUMNS = 1024, /* of CSV */
	RECORDING_NAME = 64,	  /* the longest name of a column or key */
};

/* What names a row; the figures follow, from FIELD_FIGURES. */
enum field {
	FIELD_TIME,
	FIELD_PID,
	FIELD_COMM,
	FIELD_ALLOCATOR,
	FIELD_SOURCE,
	FIELD_STATUS,
	FIELD_MISSING,
	FIELD_ARENA,
	FIELD_ARENA_ADDR,
	FIELD_HOST,
	FIELD_STARTED,
	FIELD_FIGURES,
	FIELD_LOWS = FIELD_FIGURES + FIG_COUNT, /* of intervals */
	FIELD_HIGHS = FIELD_LOWS + FIG_COUNT,
	FIELD_COUNT = FIELD_HIGHS + FIG_COUNT,
	FIELD_UNKNOWN = FIELD_COUNT,
};

/* One row. SEEN are the FIELDs below FIELD_FIGURES that it has. */
struct recorded {
	uint64_t line;
	unsigned seen;
	int64_t time_ns;
	int pid;
	char comm[SAMPLE_TEXT];
	char allocator[SAMPLE_TEXT];
	struct origin origin;
	enum sample_source source;
	enum sample_status status;
	char missing[SAMPLE_TEXT];
	unsigned arena;
	uint64_t arena_addr;
	struct figures fig;
	bool has_bins;
	struct arena_bins bins;
	struct size_classes classes; /* of the process; most rows have none */
};

/* Where something is wrong, and who wants to know. */
struct recording_place {
	const char *file;
	uint64_t line;
	struct fault *fault;
};

/* What of a recording is not known here: names, each once, as far as they fit. */
struct passed_over {
	unsigned count;
	char buf[256];
	struct text names;
};

void passed_over_init(struct passed_over *passed);
void passed_over_add(struct passed_over *passed, const char *name);

/* Fills PLACE's fault: "recording 'rows.csv', line 7: ...". Returns -EPROTO. */
__attribute__((format(printf, 2, 3))) int place_fault(const struct recording_place *place,
						      const char *format, ...);

/* The field called NAME, or FIELD_UNKNOWN. HINT is where it is looked for first. */
unsigned field_find(const char *name, unsigned hint);
const char *field_name(unsigned field);

/* The field of the low or HIGH end of the interval of the figure that is called NAME for
 * LENGTH bytes, or FIELD_UNKNOWN. */
unsigned field_of_range(const char *name, size_t length, bool high);

/* Whether JSON writes FIELD as a string, not as a number. */
bool field_is_string(unsigned field);

/* Sets FIELD of ROW from its text; 0, or -EPROTO and PLACE's fault. A field that ROW has
 * already is a fault. */
int field_set(struct recorded *row, unsigned field, const char *value,
	      const struct recording_place *place);

/* 0, or -EPROTO and PLACE's fault when ROW lacks what every row has. */
int row_check(const struct recorded *row, const struct recording_place *place);

/* ---- CSV ---- */

/* The columns of a recording: column I is field FIELD[I]. */
struct csv_columns {
	unsigned count;
	unsigned field[RECORDING_COLUMNS];
};

/* Whether LINE, which it changes, is the header of a recording: 0, or -EPROTO and PLACE's
 * fault. */
int csv_read_header(char *line, struct csv_columns *columns, struct passed_over *passed,
		    const struct recording_place *place);

/* Of a file without a header, whose first row is LINE: the columns that this version
 * writes, if there are as many; else -EPROTO and PLACE's fault. */
int csv_take_columns(const char *line, struct csv_columns *columns,
		     const struct recording_place *place);

/* LINE, which it changes, as a row. ROW is empty before. */
int csv_read_row(char *line, const struct csv_columns *columns, struct recorded *row,
		 const struct recording_place *place);

/* ---- JSON ---- */

int json_read_row(const char *line, struct recorded *row, struct passed_over *passed,
		  const struct recording_place *place);

#endif
