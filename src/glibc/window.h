/* window.h: finds the free chunks that begin in one cell of a heap, without knowing where
 * any chunk begins.
 *
 * A binned chunk is told by itself: its size stands behind it too, the chunk behind says
 * that it is free, and its neighbours on its list point back to it. glibc makes the last
 * untrue the moment a chunk leaves its list (malloc.c, unlink_chunk), so that what was a
 * free chunk once and lies inside another now is not taken for one. From one such chunk
 * on the chain of headers is certain, and of the chunks on it no neighbour is asked.
 * Where the chain breaks, because the target ran on, chunks are told by themselves again:
 * no cell is dropped.
 *
 * A fastbin chunk looks in use. One is told by a link, as it is stored, that leads to a
 * chunk of the same size; the caller looks at that. */
#ifndef FRAGSCOPE_WINDOW_H
#define FRAGSCOPE_WINDOW_H

#include "target/memory.h"

#include <stdbool.h>
#include <stdint.h>

enum { WINDOW_SPANS = 2 };

struct window;

/* Called with each binned chunk that begins in the buffer before the cell's end; and with
 * what may be a fastbin chunk, whose link leads to the chunk TO. WINDOW->chained: what is
 * at AT is a chunk for sure. */
typedef void window_found_fn(void *context, uint64_t at, uint64_t bytes);
typedef void window_fast_fn(void *context, uint64_t at, uint64_t bytes, uint64_t to);

/* What is the same for all cells of an arena. */
struct window_arena {
	bool non_main;
	bool safe_linking;
	uint32_t fast_sizes; /* bit N: chunks of 16 N bytes may be in a fastbin */
	uint64_t low, high;  /* where its chunks lie */
};

struct window {
	const struct window_arena *arena;
	uint64_t from, to; /* the cell */
	uint64_t stop;	   /* no chunk reaches over this */
	uint64_t common;   /* bytes: cells meet the beginnings of chunks up to this */
	uint64_t base;	   /* of BUFFER; FROM or below */
	uint32_t bytes;
	const uint8_t *buffer; /* what is not resident is zero */
	window_found_fn *found;
	window_fast_fn *found_fast;
	void *context;

	uint64_t at;
	uint64_t size; /* of the chunk at AT that is looked into */
	bool chained;  /* AT is a chunk for sure */
	bool asks;     /* for HEADER, BACK or both */
	uint64_t header[2];
	uint64_t back;
	bool has_header, has_back; /* from BUFFER, or read */
	uint64_t asked;		   /* reads, in all */
	bool found_any;		   /* binned chunk that begins before the cell's end */
	bool gave_up;		   /* too many: the cell is not known whole */
};

/* Sets out to go over the cell. */
void window_begin(struct window *window);

/* What must be read to go on, or 0: the cell is done. */
unsigned window_wants(struct window *window, struct span span[WINDOW_SPANS]);

/* WINDOW lies behind a cell in which nothing is known to begin, and which begins at CELL:
 * whether the chunk that reaches over the cell is one in use, or no larger than COMMON,
 * by what stands before the first chunk that window_is_lit would find. */
bool window_is_lit_behind(const struct window *window, uint64_t cell,
			  struct memory *memory, struct pages *pages);

/* Of a cell in which no binned chunk was found: whether chunks begin in it all the same,
 * by a chain of headers that leads to a binned chunk behind it. What was left in the
 * inside of a large free chunk leads to that chunk's end, where it breaks: then whether
 * that one is no larger than COMMON. Reads on behind the buffer. */
bool window_is_lit(const struct window *window, struct memory *memory,
		   struct pages *pages);

/* Goes on with what was asked for; OK as memory_fetch_many tells it. */
void window_feed(struct window *window, const bool *ok);

#endif
