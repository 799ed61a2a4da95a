/* sampled_state.h: what the parts of a reading at a bounded cost share: how the arenas'
 * memory is parted, what was drawn of it, and the cells that are being looked into. For
 * sampled*.c only. */
#ifndef FRAGSCOPE_GLIBC_SAMPLED_STATE_H
#define FRAGSCOPE_GLIBC_SAMPLED_STATE_H

#include "glibc/caches.h"
#include "glibc/free_parts.h"
#include "glibc/sampled.h"
#include "glibc/window.h"

enum {
	KNOWN_CHUNKS = 3 << 10,
	LARGES = KNOWN_CHUNKS + (1 << 10), /* free chunks, and tops */
	REGIONS = 64,
	CENSUS = 6,	   /* an arena of so few cells is read whole */
	LARGE = 128 << 10, /* a known chunk from this size on is no cell's */
	LEAD = 8 << 10,	   /* before a cell, where a chain may begin */
	TAIL = 1 << 10,	   /* read behind a cell, for what begins in it */
	WINDOWS = 2,	   /* cells that are looked into side by side */
	CELL_PAGES = SAMPLED_CELL >> 12,
	FLAGS = CELL_PAGES + 4,
	FAST = 512, /* chunks that may be in a fastbin, before they are looked at */
};

/* A part of an arena's memory of which cells are drawn; FIRST is its first cell. */
struct sampled_segment {
	uint64_t start, end;
	uint64_t stop; /* where its segment's chunks end */
	uint64_t first;
	uint32_t arena;
	uint32_t shift; /* its cells are of SAMPLED_CELL << SHIFT bytes */
};

/* A large free chunk, or a top. */
struct sampled_large {
	uint64_t start, end;
	uint64_t from; /* what lies before was looked at */
	struct free_parts parts;
	uint32_t arena;
	bool is_top;
};

/* What may be a chunk of a fastbin. */
struct sampled_fast {
	uint64_t to;
	uint32_t bytes;
	uint32_t cell;
	uint32_t arena;
	bool is_loose; /* nothing says that it is a chunk at all */
};

/* One cell that is being looked into. */
struct sample_slot {
	struct window window;
	struct sampler *sampler;
	uint32_t cell; /* in the draw */
	uint32_t arena;
	double weight;
	uint64_t page; /* of the first of FLAG */
	uint8_t flag[FLAGS];
	uint64_t end;	 /* of what BUFFER is to have */
	uint8_t *buffer; /* LEAD + SAMPLED_CELL + TAIL */
};

struct sampler {
	struct heap *heap; /* during a reading */
	struct memory *memory;
	struct pages *pages;
	struct known known;
	struct sampled_arena *arena;
	struct window_arena *window_arena;
	struct known_habit *habit; /* of each arena's lists */
	unsigned arena_capacity;
	struct sampled_segment *segment;
	unsigned segments, segment_capacity;
	struct sampled_large *large;
	unsigned larges;
	uint64_t cells;
	uint64_t wide; /* bytes of the cells, were all of them whole */
	uint8_t region_shift[REGIONS];
	unsigned regions;
	uint64_t region_bytes;
	uint64_t dense_total; /* bytes of all segments, where no cells were larger */
	unsigned region_readings;
	uint64_t owned_offset; /* in all segments, of the one that is parted */
	bool by_arena;
	bool overflowed;  /* there was no room for all draws */
	bool knows_pages; /* of all known chunks that may have whole pages */
	uint64_t *number; /* of the cells that were drawn */
	struct estimate_draw draw;
	struct sample_slot slot[WINDOWS];
	unsigned slots; /* set up, and not looked into yet */
	struct sampled_fast *fast;
	unsigned fasts;
	struct caches caches;
	uint64_t random;
	int64_t cell_ns;
	int64_t walk_mb_ns;
	double ease; /* the part of a budget that is used */
	int64_t begun_ns;
	uint64_t sleeps; /* of this thread when the reading began */
	double waits_allowed;
	double lists_waits_allowed; /* before cells are drawn */
	unsigned page_shift;
	int error;
};

/* ---- sampled_regions.c ---- */

/* Of OWNED without a top. */
uint64_t sampler_segment_bytes(const struct owned_segment *owned);

/* Looks at some pages of each part of the heap for how large cells are to be there. */
void sampler_size_cells(struct sampler *sampler, int64_t budget_ns);

/* The shift of cells at OFFSET of all segments, in a row, and of how many BYTES it is. */
unsigned sampler_cell_shift(const struct sampler *sampler, uint64_t offset,
			    uint64_t *bytes);

/* ---- sampled_draw.c ---- */

/* Draws about WANTED of the CELLS from FROM on, for GROUP. */
void sampler_draw_of(struct sampler *sampler, uint64_t from, uint64_t cells,
		     uint64_t wanted, uint32_t group);
uint32_t sampler_group_of(const struct sampler *sampler, uint32_t arena);

/* Draws about WANTED cells of all arenas; apart where that leaves some for each. */
void sampler_draw_cells(struct sampler *sampler, uint64_t wanted);

/* ---- sampled_large.c ---- */

/* Of [START, END), what lies on pages that are WANTED; FLAG has those from PAGE on. */
uint64_t sampler_flagged(const struct sampler *sampler, const uint8_t *flag,
			 uint64_t page, uint64_t start, uint64_t end, uint8_t wanted);

/* The overlap of [START, END) and [FROM, TO), as a range that may be empty. */
void sampler_clip(uint64_t *start, uint64_t *end, uint64_t from, uint64_t to);

/* Notes the large free chunk, or top, of OWNED. */
void sampler_add_large(struct sampler *sampler, uint64_t start, uint64_t end,
		       const struct owned_segment *owned, bool is_top);

/* Looks at the pages of known chunks, where they are few, and of large ones: at all, or
 * at pieces that are drawn for it. */
void sampler_take_known(struct sampler *sampler, int64_t budget_ns);
void sampler_draw_large(struct sampler *sampler, int64_t budget_ns);

/* The resident bytes of [START, END): where that is long, of some parts by chance, for
 * all of them. */
uint64_t sampler_resident(struct sampler *sampler, uint64_t start, uint64_t end);

/* ---- sampled_cells.c ---- */

/* Looks into the drawn cells of the first STRATA strata. */
void sampler_read_cells(struct sampler *sampler, uint32_t strata);

#endif
