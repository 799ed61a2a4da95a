/* sampled_large.c: large free chunks and tops, which are known for sure, and the pages of
 * these and of other known chunks. */
#include "glibc/sampled_state.h"

#include <string.h>

enum {
	/* What a call for flags costs, and the flags of 2 MB. */
	LOOK_NS = 1500,
	BLOCK_NS = 12000,
	BLOCKS_OF_CHUNK = 16, /* of 1 MB, that are looked at of one in a cell */
};

/* ---- pages ---- */

/* Of [START, END), what lies on pages with FLAG; the flags are those from PAGE on. */
uint64_t sampler_flagged(const struct sampler *sampler, const uint8_t *flag,
			 uint64_t page, uint64_t start, uint64_t end, uint8_t wanted)
{
	uint64_t bytes = 0, size = UINT64_C(1) << sampler->page_shift;

	for (uint64_t at = start; at < end;) {
		uint64_t next = (at & -size) + size;

		next = next < end ? next : end;
		if (flag[(at - page) >> sampler->page_shift] & wanted)
			bytes += next - at;
		at = next;
	}
	return bytes;
}

/* The overlap of [START, END) and [FROM, TO), as a range that may be empty. */
void sampler_clip(uint64_t *start, uint64_t *end, uint64_t from, uint64_t to)
{
	*start = *start > from ? *start : from;
	*end = *end < to ? *end : to;
	if (*start > *end)
		*end = *start;
}

void sampler_add_large(struct sampler *sampler, uint64_t start, uint64_t end,
		       const struct owned_segment *owned, bool is_top)
{
	const struct walk_arena *arena = &sampler->heap->work[owned->arena].walk;
	struct sampled_large *large = &sampler->large[sampler->larges];

	if (sampler->larges == LARGES) {
		sampler->arena[owned->arena].lacks = true;
		return;
	}
	sampler->larges++;
	*large = (struct sampled_large){.start = start,
					.from = start,
					.end = end,
					.arena = owned->arena,
					.is_top = is_top};
	large->parts = is_top ? free_parts_of_top(sampler->page_shift,
						  end < owned->segment.end
							  ? 0
							  : arena->trim_unit_bytes,
						  start, end)
			      : free_parts_of_run(sampler->page_shift, start, end);
}

/* ---- pages of large free chunks ---- */

/* What of [START, END) of LARGE is given back, pinned or retained, if resident. */
static void sort_pages(const struct sampler *sampler, const struct sampled_large *large,
		       const uint8_t *flag, uint64_t start, uint64_t end,
		       float sum[ESTIMATE_SUMS])
{
	const struct {
		uint64_t from, to;
		enum estimate_sum sum;
	} part[] = {
		{large->start, large->parts.shared, SUM_PINNED_BYTES},
		{large->parts.shared, large->parts.from,
		 large->is_top ? SUM_RETAINED_BYTES : SUM_PINNED_BYTES},
		{large->parts.from, large->parts.to, SUM_TRIMMABLE_BYTES},
		{large->parts.to, large->end,
		 large->is_top ? SUM_RETAINED_BYTES : SUM_PINNED_BYTES},
	};
	uint64_t page = start & -(UINT64_C(1) << sampler->page_shift);

	for (unsigned i = 0; i < sizeof(part) / sizeof(*part); i++) {
		uint64_t from = part[i].from, to = part[i].to;

		sampler_clip(&from, &to, start, end);
		sum[part[i].sum] += (float)sampler_flagged(sampler, flag, page, from, to,
							   PAGE_RESIDENT);
	}
}

/* Looks at the pages of [START, END), PAGES_BLOCK - 1 of them at most. */
static void look_at(struct sampler *sampler, const struct sampled_large *large,
		    uint64_t start, uint64_t end, float sum[ESTIMATE_SUMS])
{
	uint64_t size = UINT64_C(1) << sampler->page_shift, page = start & -size;
	uint8_t flag[PAGES_BLOCK];
	unsigned count = (unsigned)((end - page + size - 1) >> sampler->page_shift);

	pages_copy(sampler->pages, page, count, flag);
	sampler->arena[large->arena].swapped +=
		sampler_flagged(sampler, flag, page, start, end, PAGE_SWAPPED);
	sort_pages(sampler, large, flag, start, end, sum);
	sum[SUM_RESIDENT_BYTES] +=
		(float)sampler_flagged(sampler, flag, page, start, end, PAGE_RESIDENT);
	sum[SUM_ABSENT_BYTES] +=
		(float)(end - start -
			sampler_flagged(sampler, flag, page, start, end, PAGE_RESIDENT));
}

/* Looks at all pages of LARGE before TO, which are no piece's then. */
static void look_at_all(struct sampler *sampler, struct sampled_large *large, uint64_t to)
{
	struct sampled_arena *arena = &sampler->arena[large->arena];
	uint64_t step = (uint64_t)(PAGES_BLOCK / 2) << sampler->page_shift;

	for (; large->from < to; large->from += step) {
		uint64_t at = large->from, end = to - at < step ? to : at + step;
		float sum[ESTIMATE_SUMS] = {0};

		look_at(sampler, large, at, end, sum);
		arena->trimmable += (uint64_t)sum[SUM_TRIMMABLE_BYTES];
		arena->pinned += (uint64_t)sum[SUM_PINNED_BYTES];
		arena->retained += (uint64_t)sum[SUM_RETAINED_BYTES];
	}
	large->from = to;
}

/* What a trim leaves of a top often is one page at its front, which no piece or one that
 * stands for many would have: it is looked at where that costs no more than BLOCKS; that
 * of which the chunk before has a part always. */
static void look_at_fronts(struct sampler *sampler, uint64_t blocks)
{
	for (unsigned i = 0; i < sampler->larges; i++) {
		struct sampled_large *large = &sampler->large[i];
		uint64_t cost = 1 + ((large->parts.from - large->start) >> 21);

		if (!large->is_top)
			continue;
		if (cost > blocks) {
			look_at_all(sampler, large, large->parts.shared);
			continue;
		}
		blocks -= cost;
		look_at_all(sampler, large, large->parts.from);
	}
}

/* ---- pages of other known chunks ---- */

static bool has_pages(const struct sampler *sampler, const struct known_chunk *chunk)
{
	struct free_parts parts = free_parts_of_run(sampler->page_shift, chunk->at,
						    chunk->at + chunk->bytes);

	return parts.from < parts.to;
}

/* All pages of a chunk without whole pages of its own have been touched. */
static void take_known(struct sampler *sampler, const struct known_chunk *chunk)
{
	struct sampled_arena *arena = &sampler->arena[chunk->arena];
	uint64_t end = chunk->at + chunk->bytes;
	struct sampled_large large = {
		.start = chunk->at, .end = end, .arena = chunk->arena};
	float sum[ESTIMATE_SUMS] = {0};

	/* One that its list leads to, but that lies in none of its segments. */
	if (chunk->bytes > arena->cell_bytes) {
		arena->lacks = true;
		return;
	}
	arena->cell_bytes -= chunk->bytes;
	large.parts = free_parts_of_run(sampler->page_shift, chunk->at, end);
	if (large.parts.from == large.parts.to) {
		arena->pinned += chunk->bytes;
		return;
	}
	look_at(sampler, &large, chunk->at, end, sum);
	arena->trimmable += (uint64_t)sum[SUM_TRIMMABLE_BYTES];
	arena->pinned += (uint64_t)sum[SUM_PINNED_BYTES];
}

void sampler_take_known(struct sampler *sampler, int64_t budget_ns)
{
	const struct known *known = &sampler->known;
	uint64_t looks = 0;

	for (uint32_t i = 0; i < known->count; i++)
		looks += known->chunk[i].bytes < LARGE &&
			 has_pages(sampler, &known->chunk[i]);
	sampler->knows_pages = looks <= (uint64_t)budget_ns / 8 / LOOK_NS;
	for (uint32_t i = 0; i < known->count; i++) {
		const struct known_chunk *chunk = &known->chunk[i];

		if (chunk->bytes >= LARGE)
			continue;
		if (sampler->knows_pages || !has_pages(sampler, chunk))
			take_known(sampler, chunk);
		else
			sampler->arena[chunk->arena].pages = true;
	}
}

/* What was not looked at of the large chunks [AT, END) of one arena, in a row. */
struct piece_row {
	unsigned at, end;
	uint64_t bytes;
	uint64_t before; /* bytes of the chunks before AT */
};

static uint64_t left_of(const struct sampled_large *large)
{
	return large->end - large->from;
}

/* Looks at the piece of ROW that is number NUMBER, which is CELL of the draw; those
 * before it were looked at. */
static void look_at_piece(struct sampler *sampler, struct piece_row *row, uint64_t number,
			  struct estimate_cell *cell)
{
	uint64_t from = number * SAMPLED_PIECE, to = from + SAMPLED_PIECE;
	uint64_t before = row->before;

	for (unsigned k = row->at; k < row->end && before < to; k++) {
		const struct sampled_large *large = &sampler->large[k];
		uint64_t start = from, end = to;

		sampler_clip(&start, &end, before, before + left_of(large));
		if (start < end)
			look_at(sampler, large, large->from + (start - before),
				large->from + (end - before), cell->sum);
		before += left_of(large);
		if (before <= from) {
			row->at = k + 1;
			row->before = before;
		}
	}
}

/* Looks at so much at the front of ROW that what is left is pieces of one size. A shorter
 * one would be met by few samples, and the others, which may all be alike, would not say
 * that it is there. */
static void even_out(struct sampler *sampler, struct piece_row *row)
{
	uint64_t odd = row->bytes % SAMPLED_PIECE;

	row->bytes -= odd;
	for (unsigned k = row->at; odd; k++) {
		struct sampled_large *large = &sampler->large[k];
		uint64_t some = odd < left_of(large) ? odd : left_of(large);

		look_at_all(sampler, large, large->from + some);
		odd -= some;
	}
}

/* What a trim would leave of LARGE and was not looked at. */
static uint64_t retained_of(const struct sampled_large *large)
{
	return large->is_top && large->parts.from > large->from
		       ? large->parts.from - large->from
		       : 0;
}

/* Draws about WANTED pieces of ROW, which is of ARENA, and looks at them. */
static void draw_row(struct sampler *sampler, struct piece_row *row, uint32_t arena,
		     uint64_t wanted)
{
	const struct estimate_draw *draw = &sampler->draw;
	uint32_t cell = draw->cells;

	sampler->arena[arena].pieces = true;
	sampler->arena[arena].cell_bytes += row->bytes;
	for (unsigned k = row->at; k < row->end; k++)
		sampler->arena[arena].top_piece_bytes += retained_of(&sampler->large[k]);
	sampler_draw_of(sampler, 0, row->bytes / SAMPLED_PIECE, wanted,
			sampler_group_of(sampler, arena));
	for (; cell < draw->cells; cell++)
		look_at_piece(sampler, row, sampler->number[cell], &draw->cell[cell]);
}

/* By pieces: of each arena's as many as it has of the bytes, and a few. */
static void draw_rows(struct sampler *sampler, uint64_t wanted)
{
	double all = 0;

	for (unsigned i = 0; i < sampler->larges; i++)
		all += (double)left_of(&sampler->large[i]);
	for (unsigned i = 0, n; i < sampler->larges; i = n) {
		uint32_t arena = sampler->large[i].arena;
		struct piece_row row = {.at = i};

		for (n = i; n < sampler->larges && sampler->large[n].arena == arena; n++)
			row.bytes += left_of(&sampler->large[n]);
		row.end = n;
		even_out(sampler, &row);
		if (row.bytes)
			draw_row(sampler, &row, arena,
				 (uint64_t)((double)wanted * (double)row.bytes / all) +
					 CENSUS);
	}
}

/* Large free chunks are looked at whole where that costs little, or by pieces. */
void sampler_draw_large(struct sampler *sampler, int64_t budget_ns)
{
	uint64_t bytes = 0, blocks = (uint64_t)budget_ns / 8 / BLOCK_NS;
	uint64_t wanted = (uint64_t)budget_ns / 8 / (4 * LOOK_NS);

	for (unsigned i = 0; i < sampler->larges; i++)
		bytes += sampler->large[i].end - sampler->large[i].start;
	if (bytes >> 21 <= blocks &&
	    sampler->larges <= (uint64_t)budget_ns / 8 / LOOK_NS) {
		for (unsigned i = 0; i < sampler->larges; i++)
			look_at_all(sampler, &sampler->large[i], sampler->large[i].end);
		return;
	}
	look_at_fronts(sampler, blocks);
	draw_rows(sampler, wanted);
}

/* Of [START, END), PAGES_BLOCK - 1 pages at most. */
static uint64_t block_resident(struct sampler *sampler, uint64_t start, uint64_t end)
{
	uint64_t size = UINT64_C(1) << sampler->page_shift, page = start & -size;
	uint8_t flag[PAGES_BLOCK];
	unsigned count = (unsigned)((end - page + size - 1) >> sampler->page_shift);

	if (start >= end ||
	    sampler->memory->pages(sampler->memory, page, count, flag) < 0)
		return 0;
	return sampler_flagged(sampler, flag, page, start, end, PAGE_RESIDENT);
}

uint64_t sampler_resident(struct sampler *sampler, uint64_t start, uint64_t end)
{
	uint64_t step = (uint64_t)(PAGES_BLOCK / 2) << sampler->page_shift;
	uint64_t blocks = (end - start + step - 1) / step;
	unsigned looks = blocks < BLOCKS_OF_CHUNK ? (unsigned)blocks : BLOCKS_OF_CHUNK;
	double bytes = 0;

	for (unsigned i = 0; i < looks; i++) {
		uint64_t first = blocks * i / looks, after = blocks * (i + 1) / looks;
		uint64_t from = start + step * first, to = start + step * after;
		uint64_t at =
			from + step * estimate_below(&sampler->random, after - first);
		uint64_t stop = end - at < step ? end : at + step;

		/* The last block may be a short one: it says as much of the others. */
		to = to < end ? to : end;
		bytes += (double)(to - from) * (double)block_resident(sampler, at, stop) /
			 (double)(stop - at);
	}
	return (uint64_t)(bytes + 0.5);
}
