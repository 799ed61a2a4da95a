/* sample.h: THE type that flows from the sources to the views: one target at one
 * instant, its figures, one row an arena, and how far they can be trusted.
 * Every figure is defined in the catalogue (figures.def); nothing else names them. */
#ifndef FRAGSCOPE_SAMPLE_H
#define FRAGSCOPE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* FIG_RSS_BYTES and so on: a figure for each row of the catalogue. */
enum figure {
#define FIGURE(id, ...) FIG_##id,
#include "sample/figures.def"
#undef FIGURE
	FIG_COUNT
};

enum figure_unit {
	UNIT_BYTES,
	UNIT_COUNT,
	UNIT_RATIO, /* the value is the double */
	UNIT_NS,
};

/* Where a figure can stand: in the row of the whole process, of one arena, or both. */
enum figure_scope {
	SCOPE_PROCESS = 1,
	SCOPE_ARENA = 2,
	SCOPE_BOTH = 3,
};

/* Which movement of a figure is a bad sign by itself. */
enum figure_worse {
	WORSE_NEITHER,
	WORSE_UP,
	WORSE_DOWN,
};

struct figures;

/* One figure of the catalogue. The words are the same wherever people see the figure:
 * each view takes the longest for which it has room. */
struct figure_info {
	const char *name;    /* CSV header and JSON key; "mallinfo2.arena" is a key of a
				JSON object */
	const char *heading; /* of a column of figure_width(); null: in no text rows */
	const char *label;   /* FIGURE_LABEL_COLUMNS at most; null: the name */
	const char *title;   /* FIGURE_TITLE_COLUMNS at most; null: the label */
	const char *metric; /* what export calls it, behind "fragscope_", with the unit at
			       the end; null: not exported. Of several processes it is
			       their sum, so what is no sum has none */
	enum figure_unit unit;
	enum figure_scope scope;
	unsigned rank; /* 1 is shown first where columns are few, 0 never */
	enum figure_worse worse;
	bool is_share; /* from 0 to 1 */
	bool is_since; /* what was counted since the row before */
	/* A ratio that follows from other figures: its formula. False when it is not
	 * known. Null: measured. */
	bool (*derive)(const struct figures *fig, double *ratio);
	const char *meaning; /* sentences */
};

enum { FIGURE_LABEL_COLUMNS = 10, FIGURE_TITLE_COLUMNS = 32 };

extern const struct figure_info figure_info[FIG_COUNT];

union figure_value {
	uint64_t u;
	double d;
};

enum { FIGURE_RANGES = 18 }; /* figures that a random sample of the heap can estimate */

/* How far below and above the estimate the 95% interval reaches. */
struct figure_reach {
	float below;
	float above;
};

/* A set of figures. A figure whose bit in HAVE is clear could not be had: it is absent,
 * and its value must not be read. One whose bit in ESTIMATED is set (by its place among
 * those that can be) has a REACH. */
struct figures {
	uint64_t have[(FIG_COUNT + 63) / 64];
	uint32_t estimated;
	struct figure_reach reach[FIGURE_RANGES];
	union figure_value v[FIG_COUNT];
};

enum sample_source {
	SOURCE_HEAP,
	SOURCE_PROC,
	SOURCE_PRELOAD,
};

enum sample_status {
	STATUS_COMPLETE,  /* every check held */
	STATUS_TORN,	  /* the target changed under the reader: FIG_IN_DOUBT_BYTES,
			   * FIG_SKEW_BYTES */
	STATUS_PARTIAL,	  /* MISSING says what */
	STATUS_ESTIMATED, /* of a random sample: some figures have an interval */
};

/* One bin of an arena, as malloc_info reports it; bytes are chunk sizes. */
struct bin_total {
	uint64_t from_bytes;
	uint64_t to_bytes;
	uint64_t total_bytes;
	uint64_t count;
};

enum {
	SAMPLE_FASTBINS = 10,
	SAMPLE_BINS =
		127, /* bins[0] is the unsorted list, bins[i] is glibc's bin i + 1 */
	SAMPLE_TEXT = 128,
};

/* The bins of one arena; only filled when they were asked for. SPLIT is false when the
 * unsorted list could not be told from the sorted bins: then they must not be shown as
 * bins. SIZED: each chunk is in the bin of its size at least, unsorted or not. */
struct arena_bins {
	bool split, sized;
	struct bin_total fast[SAMPLE_FASTBINS];
	struct bin_total bins[SAMPLE_BINS];
};

/* The regions of one size that an allocator of size classes holds. */
struct region_class {
	uint64_t region_bytes;
	uint64_t free; /* regions; those in thread caches are free of tcmalloc, else used
			*/
	uint64_t used;
	uint64_t slabs;
};

enum { SAMPLE_CLASSES = 128 };

/* The size classes of a process; only filled when bins were asked for. */
struct size_classes {
	unsigned count;
	bool has_slabs; /* USED and SLABS are told, not FREE alone */
	struct region_class class[SAMPLE_CLASSES];
};

/* One arena. INDEX 0 is the main one; ADDR is where its malloc_state lies, or 0: the
 * source does not know. */
struct arena_row {
	unsigned index;
	uint64_t addr;
	enum sample_status status;
	struct figures fig;
	struct arena_bins *bins; /* null unless asked for */
};

/* Which process this is, beyond its PID: where it runs, and since when. */
struct origin {
	char host[SAMPLE_TEXT]; /* empty: not known */
	int64_t started_ns;	/* CLOCK_REALTIME; 0: not known */
};

/* One reading of one target. ARENA has room for ARENA_CAPACITY rows, taken when the
 * sample was made; ARENA_COUNT are filled. No string is ever null. */
struct sample {
	int64_t time_ns; /* CLOCK_REALTIME, when the reading began */
	int pid;
	char comm[SAMPLE_TEXT];
	struct origin origin;
	char allocator[SAMPLE_TEXT]; /* "glibc-2.36", or empty when not known */
	enum sample_source source;
	enum sample_status status;
	char missing[SAMPLE_TEXT]; /* empty unless STATUS_PARTIAL */
	struct figures fig;
	unsigned arena_count;
	unsigned arena_capacity;
	struct arena_row *arena;
	struct size_classes *classes; /* null unless asked for */
	void *grown;		      /* where sample_grow put the rows, or null */
};

/* Makes a sample with room for ARENAS rows, and their bins if WITH_BINS; all of its
 * memory is touched here, and none is taken later. Null when there is no memory. */
struct sample *sample_new(unsigned arenas, bool with_bins);

/* Makes room for ARENAS rows in an empty SAMPLE of sample_new: memory is taken now. 0, or
 * -ENOMEM: then it is as it was. */
int sample_grow(struct sample *sample, unsigned arenas);
void sample_free(struct sample *sample);

/* Empties SAMPLE for the next reading; its memory and capacity stay. */
void sample_clear(struct sample *sample);

/* Makes INTO say what FROM says; its own memory and capacity stay. 0, or -ENOSPC when
 * FROM has more arenas, or bins or classes for which INTO has no room: INTO is empty
 * then. A row of FROM without bins has none in INTO. */
int sample_copy(struct sample *into, const struct sample *from);

/* A copy of FROM with its rows, and their bins if WITH_BINS, without classes, in MEMORY
 * of sample_packed_bytes, aligned for any type; it has no room for more rows. It is valid
 * as long as MEMORY stays where it is; it is not for sample_free. */
size_t sample_packed_bytes(const struct sample *from, bool with_bins);
struct sample *sample_pack(void *memory, const struct sample *from, bool with_bins);

/* Makes PACKED sound again after its memory was moved. */
void sample_moved(struct sample *packed);

static inline bool figure_has(const struct figures *fig, enum figure f)
{
	return fig->have[f / 64] >> f % 64 & 1;
}

static inline void figure_set(struct figures *fig, enum figure f, uint64_t value)
{
	fig->v[f].u = value;
	fig->have[f / 64] |= UINT64_C(1) << f % 64;
}

static inline void figure_set_ratio(struct figures *fig, enum figure f, double value)
{
	fig->v[f].d = value;
	fig->have[f / 64] |= UINT64_C(1) << f % 64;
}

static inline void figures_clear(struct figures *fig)
{
	for (unsigned i = 0; i < sizeof(fig->have) / sizeof(fig->have[0]); i++)
		fig->have[i] = 0;
	fig->estimated = 0;
}

static inline void figure_drop(struct figures *fig, enum figure f)
{
	fig->have[f / 64] &= ~(UINT64_C(1) << f % 64);
}

/* Whether figure F can be estimated. */
bool figure_can_be_estimated(enum figure f);

/* Says of F, which FIG has and which can be estimated, that it is, and that the truth is
 * from LOW to HIGH with 95% confidence. */
void figure_set_range(struct figures *fig, enum figure f, double low, double high);

/* The value of F, which FIG has; and where it can be: from LOW to HIGH, which are the
 * value itself unless it was estimated. Whether it was. The ends are as recordings have
 * them, so that a recording is judged as its samples were: whole bytes and counts, never
 * below 0. */
double figure_number(const struct figures *fig, enum figure f);
bool figure_range(const struct figures *fig, enum figure f, double *low, double *high);
bool figure_is_estimated(const struct figures *fig, enum figure f);

/* Sets the figures that have a formula from those that FIG has. */
void figures_derive(struct figures *fig);

/* The columns that a value of F takes for people, at most. */
static inline unsigned figure_width(enum figure f)
{
	return figure_info[f].unit == UNIT_NS ? 6 : 5;
}

static inline const char *figure_label(enum figure f)
{
	return figure_info[f].label ? figure_info[f].label : figure_info[f].name;
}

static inline const char *figure_title(enum figure f)
{
	return figure_info[f].title ? figure_info[f].title : figure_label(f);
}

/* The figure that WORD names: by its name, with or without _bytes or _ns, or by its
 * label. FIG_COUNT: none. */
enum figure figure_named(const char *word);

/* Offers NEAR the names of all figures of SCOPE. */
struct near;
void figures_near(enum figure_scope scope, struct near *near);

/* The label, or where COLUMNS are too few for it, the heading. */
const char *figure_heading(enum figure f, size_t columns);

/* Counts one chunk of BYTES into BIN. */
static inline void bin_total_add(struct bin_total *bin, uint64_t bytes)
{
	if (!bin->count || bytes < bin->from_bytes)
		bin->from_bytes = bytes;
	if (bytes > bin->to_bytes)
		bin->to_bytes = bytes;
	bin->total_bytes += bytes;
	bin->count++;
}

/* What figures of WHOLE_BYTES may be of another instant before a row is torn: a
 * hundredth, or 32 KB. */
uint64_t sample_skew_limit(uint64_t whole_bytes);

/* Whether the heap's figures of SAMPLE fit together well enough to be judged by: it is
 * not torn, or by no more than the limit. */
bool sample_is_consistent(const struct sample *sample);

/* Whether SAMPLE has figure F, and it may be judged by: if the sample does not hold, only
 * what was read in one go may. */
bool sample_may_judge(const struct sample *sample, enum figure f);

const char *sample_source_name(enum sample_source source);
const char *sample_status_name(enum sample_status status);

#endif
