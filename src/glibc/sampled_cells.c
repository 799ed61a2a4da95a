/* sampled_cells.c: the cells that were drawn: which chunks begin in each, and where their
 * pages are. */
#include "glibc/sampled_state.h"

#include <string.h>

enum {
	COMMON = 2, /* cells: chunks no larger are met often enough as they begin */
	BEHIND = 4, /* windows that are looked into behind a dark cell */
};

/* A drawn cell, or a part of it, and the flags of its pages from PAGE on. */
struct drawn_part {
	uint64_t from, to;
	const uint8_t *flag;
	uint64_t page;
};

static uint64_t flagged_of(const struct sampler *sampler, const struct drawn_part *look,
			   uint64_t start, uint64_t end)
{
	sampler_clip(&start, &end, look->from, look->to);
	return sampler_flagged(sampler, look->flag, look->page, start, end,
			       PAGE_RESIDENT);
}

static const struct sampled_segment *segment_of(const struct sampler *sampler,
						uint64_t number)
{
	unsigned low = 0, high = sampler->segments;

	while (high - low > 1) {
		unsigned middle = low + (high - low) / 2;

		if (sampler->segment[middle].first <= number)
			low = middle;
		else
			high = middle;
	}
	return &sampler->segment[low];
}

/* Of a chunk that begins in the cell: by the flags of its pages, or by others. */
static uint64_t resident_of(struct sample_slot *slot, uint64_t start, uint64_t end)
{
	struct sampler *sampler = slot->sampler;

	if (end <= slot->page + ((uint64_t)FLAGS << sampler->page_shift))
		return sampler_flagged(sampler, slot->flag, slot->page, start, end,
				       PAGE_RESIDENT);
	return sampler_resident(sampler, start, end);
}

/* A chunk that ends in its cell, and on pages that were touched, is resident. */
static void add_pages(struct sample_slot *slot, float *sum, uint64_t at, uint64_t bytes)
{
	struct sampler *sampler = slot->sampler;
	struct free_parts parts = free_parts_of_run(sampler->page_shift, at, at + bytes);

	if (parts.from == parts.to) {
		sum[SUM_PINNED_BYTES] += (float)bytes;
		return;
	}
	sum[SUM_TRIMMABLE_BYTES] += (float)resident_of(slot, parts.from, parts.to);
	sum[SUM_PINNED_BYTES] += (float)(resident_of(slot, at, parts.from) +
					 resident_of(slot, parts.to, at + bytes));
}

static void count_size(struct sample_slot *slot, uint64_t bytes)
{
	struct heap *heap = slot->sampler->heap;
	struct bin_total *bin;
	uint64_t count = (uint64_t)(slot->weight + 0.5);

	if (!heap->options.sizes)
		return;
	bin = &heap->work[slot->arena].totals.bins[layout_bin_index(bytes) - 1];
	bin_total_add(bin, bytes);
	bin->count += count - 1;
	bin->total_bytes += (count - 1) * bytes;
}

static void found(void *context, uint64_t at, uint64_t bytes)
{
	struct sample_slot *slot = context;
	struct sampler *sampler = slot->sampler;
	float *sum = sampler->draw.cell[slot->cell].sum;

	if (at < slot->window.from ||
	    known_holds(&sampler->arena[slot->arena].known, bytes) ||
	    known_has(&sampler->known, at))
		return;
	sum[SUM_CHUNKS]++;
	sum[SUM_BYTES] += (float)bytes;
	if (bytes < sampler->heap->options.unusable_for_bytes)
		sum[SUM_UNUSABLE_BYTES] += (float)bytes;
	add_pages(slot, sum, at, bytes);
	count_size(slot, bytes);
}

/* A known chunk of which not all pages were looked at is by where they lie; what of
 * another is absent counts for no cell. */
static void add_known(const struct sampler *sampler, const struct drawn_part *look,
		      float *sum)
{
	const struct known *known = &sampler->known;

	for (uint32_t i = known_find(known, look->from);
	     i < known->count && known->chunk[i].at < look->to; i++) {
		const struct known_chunk *chunk = &known->chunk[i];
		uint64_t start = chunk->at, end = chunk->at + chunk->bytes;
		struct free_parts parts =
			free_parts_of_run(sampler->page_shift, start, end);
		uint64_t trimmable = flagged_of(sampler, look, parts.from, parts.to);
		uint64_t resident = flagged_of(sampler, look, start, end);
		bool has_pages = parts.from != parts.to;

		if (chunk->bytes >= LARGE)
			continue;
		sampler_clip(&start, &end, look->from, look->to);
		if (sampler->knows_pages || !has_pages) {
			sum[SUM_RESIDENT_BYTES] -=
				(float)(has_pages ? resident : end - start);
			sum[SUM_ABSENT_BYTES] -=
				(float)(has_pages ? end - start - resident : 0);
			continue;
		}
		sum[SUM_TRIMMABLE_BYTES] += (float)trimmable;
		sum[SUM_PINNED_BYTES] += (float)(resident - trimmable);
	}
}

static bool is_fast(const struct sampled_fast *fast, const uint64_t header[2])
{
	return (header[1] & ~(uint64_t)CHUNK_FLAGS) == fast->bytes &&
	       !(header[1] & (CHUNK_MMAPPED | 8));
}

/* Looks at where the links of what may be fastbin chunks lead. */
static void settle_fast(struct sampler *sampler)
{
	uint64_t header[MEMORY_SPANS][2];
	struct span span[MEMORY_SPANS];
	bool ok[MEMORY_SPANS];

	for (unsigned from = 0; from < sampler->fasts; from += MEMORY_SPANS) {
		unsigned count = sampler->fasts - from;
		int error;

		count = count < MEMORY_SPANS ? count : MEMORY_SPANS;
		for (unsigned i = 0; i < count; i++)
			span[i] = (struct span){sampler->fast[from + i].to, header[i],
						sizeof(header[i])};
		error = memory_fetch_many(sampler->memory, sampler->pages, span, count,
					  ok);
		if (error)
			sampler->error = error;
		for (unsigned i = 0; !error && i < count; i++) {
			const struct sampled_fast *fast = &sampler->fast[from + i];
			float *sum = sampler->draw.cell[fast->cell].sum;

			if (!ok[i] || !is_fast(fast, header[i]))
				continue;
			sum[SUM_FAST_CHUNKS]++;
			sum[SUM_LOOSE_CHUNKS] += fast->is_loose;
			sum[SUM_FAST_BYTES] += (float)fast->bytes;
			sum[SUM_PINNED_BYTES] += (float)fast->bytes;
			if (fast->bytes < sampler->heap->options.unusable_for_bytes)
				sum[SUM_UNUSABLE_BYTES] += (float)fast->bytes;
		}
	}
	sampler->fasts = 0;
}

static void found_fast(void *context, uint64_t at, uint64_t bytes, uint64_t to)
{
	struct sample_slot *slot = context;
	struct sampler *sampler = slot->sampler;

	if (at < slot->window.from)
		return;
	if (sampler->fasts == FAST)
		settle_fast(sampler);
	sampler->fast[sampler->fasts++] = (struct sampled_fast){
		to, (uint32_t)bytes, slot->cell, slot->arena, !slot->window.chained};
}

/* The runs of resident pages of what SLOT's window wants of memory; the rest is zero. */
static unsigned wanted_runs(struct sample_slot *slot, struct span span[FLAGS])
{
	const struct sampler *sampler = slot->sampler;
	uint64_t size = UINT64_C(1) << sampler->page_shift, at = slot->window.base;
	unsigned count = 0;

	for (uint64_t next; at < slot->end; at = next) {
		uint8_t *to = slot->buffer + (at - slot->window.base);

		next = (at & -size) + size < slot->end ? (at & -size) + size : slot->end;
		if (!(slot->flag[(at - slot->page) >> sampler->page_shift] &
		      PAGE_RESIDENT))
			memset(to, 0, next - at);
		else if (count && span[count - 1].addr + span[count - 1].len == at)
			span[count - 1].len += (uint32_t)(next - at);
		else
			span[count++] = (struct span){at, to, (uint32_t)(next - at)};
	}
	return count;
}

/* Reads what the windows of the first COUNT slots want, in one call. What went away since
 * its pages were looked at is zero, too. */
static void fill(struct sampler *sampler, unsigned count)
{
	struct span span[WINDOWS * FLAGS];
	bool ok[WINDOWS * FLAGS];
	unsigned spans = 0;

	for (unsigned i = 0; i < count; i++)
		spans += wanted_runs(&sampler->slot[i], span + spans);
	if (spans) {
		int error = memory_read_many(sampler->memory, span, spans, ok);

		if (error)
			sampler->error = error;
		for (unsigned i = 0; i < spans; i++)
			if (error || !ok[i])
				memset(span[i].to, 0, span[i].len);
	}
	for (unsigned i = 0; i < count; i++)
		window_begin(&sampler->slot[i].window);
}

/* What pages alone tell of LOOK's part of the drawn cell I, of ARENA. */
static void add_flags(struct sampler *sampler, uint32_t i, uint32_t arena,
		      const struct drawn_part *look)
{
	float *sum = sampler->draw.cell[i].sum;
	uint64_t resident = flagged_of(sampler, look, look->from, look->to);

	sampler->arena[arena].swapped += sampler_flagged(
		sampler, look->flag, look->page, look->from, look->to, PAGE_SWAPPED);
	sum[SUM_ABSENT_BYTES] += (float)(look->to - look->from - resident);
	sum[SUM_RESIDENT_BYTES] += (float)resident;
	add_known(sampler, look, sum);
}

/* Sets SLOT up for [FROM, TO) of its cell, SAMPLED_CELL bytes at most. */
static void prepare(struct sample_slot *slot, const struct sampled_segment *segment,
		    uint64_t from, uint64_t to)
{
	struct sampler *sampler = slot->sampler;
	bool is_fast = sampler->arena[segment->arena].known.fast_open;
	uint64_t base = is_fast && from - segment->start > LEAD ? from - LEAD : from;
	uint64_t end = segment->stop - to < TAIL ? segment->stop : to + TAIL;

	slot->arena = segment->arena;
	slot->end = end;
	slot->page = base & -(UINT64_C(1) << sampler->page_shift);
	pages_copy(sampler->pages, slot->page, FLAGS, slot->flag);
	slot->window = (struct window){
		.arena = &sampler->window_arena[segment->arena],
		.from = from,
		.to = to,
		.stop = segment->stop,
		.common = (uint64_t)(COMMON * SAMPLED_CELL) << segment->shift,
		.base = base,
		.bytes = (uint32_t)(end - base),
		.buffer = slot->buffer,
		.found = found,
		.found_fast = is_fast ? found_fast : NULL,
		.context = slot,
	};
}

/* A cell in which no chunk begins lies in a large one: a live one, unless there are free
 * ones of any size that no list told of. */
static void end_window(struct sample_slot *slot)
{
	struct sampler *sampler = slot->sampler;
	const struct window *window = &slot->window;
	float *dark = &sampler->draw.cell[slot->cell].sum[SUM_DARK_BYTES];

	sampler->arena[slot->arena].spoilt += window->gave_up;
	if (*dark > 0 &&
	    (window->found_any || window_is_lit(window, sampler->memory, sampler->pages)))
		*dark = 0;
}

/* Looks into the COUNT windows that were set up, side by side, so that one call reads for
 * all of them. */
static void look_into(struct sampler *sampler, unsigned count)
{
	struct span span[WINDOWS * WINDOW_SPANS];
	bool ok[WINDOWS * WINDOW_SPANS];
	unsigned wants[WINDOWS], wanted;

	fill(sampler, count);
	do {
		const bool *answer = ok;
		int error;

		wanted = 0;
		for (unsigned i = 0; i < count; i++) {
			wants[i] = window_wants(&sampler->slot[i].window, span + wanted);
			wanted += wants[i];
		}
		error = wanted ? memory_fetch_many(sampler->memory, sampler->pages, span,
						   wanted, ok)
			       : 0;
		if (error) {
			sampler->error = error;
			return;
		}
		for (unsigned i = 0; i < count; answer += wants[i++])
			if (wants[i])
				window_feed(&sampler->slot[i].window, answer);
	} while (wanted);
	for (unsigned i = 0; i < count; i++)
		end_window(&sampler->slot[i]);
}

/* The next slot, for a window of the drawn cell I; looks into all when they are taken. */
static struct sample_slot *take_slot(struct sampler *sampler, uint32_t i, double weight)
{
	struct sample_slot *slot;

	if (sampler->slots == WINDOWS) {
		look_into(sampler, WINDOWS);
		sampler->slots = 0;
	}
	slot = &sampler->slot[sampler->slots++];
	slot->cell = i;
	slot->weight = weight;
	return slot;
}

/* Of a large cell what is resident only. */
static void read_resident(struct sampler *sampler, uint32_t i, double weight,
			  const struct sampled_segment *segment,
			  const struct drawn_part *look)
{
	unsigned shift = sampler->page_shift;
	uint64_t size = UINT64_C(1) << shift;

	for (uint64_t at = look->from, end, next; at < look->to; at = end) {
		uint64_t stop =
			at + SAMPLED_CELL < look->to ? at + SAMPLED_CELL : look->to;

		next = end = (at & -size) + size;
		if (!(look->flag[(at - look->page) >> shift] & PAGE_RESIDENT))
			continue;
		for (; next < stop; next += size)
			if (look->flag[(next - look->page) >> shift] & PAGE_RESIDENT)
				end = next + size;
		end = end < stop ? end : stop;
		prepare(take_slot(sampler, i, weight), segment, at, end);
	}
}

/* Goes over [FROM, TO), of a large cell, by the flags of as many pages as are asked for
 * at once. */
static void read_large_cell(struct sampler *sampler, uint32_t i, double weight,
			    const struct sampled_segment *segment, uint64_t from,
			    uint64_t to)
{
	uint64_t bytes = (uint64_t)PAGES_BLOCK << sampler->page_shift;
	uint8_t flag[PAGES_BLOCK];

	for (uint64_t next; from < to && !sampler->error; from = next) {
		struct drawn_part look = {.flag = flag, .from = from};

		look.page = from & -(UINT64_C(1) << sampler->page_shift);
		next = look.page + bytes < to ? look.page + bytes : to;
		look.to = next;
		if (sampler->memory->pages(
			    sampler->memory, look.page,
			    (unsigned)((next - look.page - 1) >> sampler->page_shift) + 1,
			    flag) < 0)
			memset(flag, 0, sizeof(flag));
		add_flags(sampler, i, segment->arena, &look);
		read_resident(sampler, i, weight, segment, &look);
	}
}

/* The first address of [AT, END) on a resident page, or END. */
static uint64_t next_resident(struct sampler *sampler, uint64_t at, uint64_t end)
{
	unsigned shift = sampler->page_shift;
	uint8_t flag[PAGES_BLOCK];

	while (at < end) {
		uint64_t page = at >> shift << shift;
		uint64_t pages = ((end - page - 1) >> shift) + 1;
		unsigned count = pages < PAGES_BLOCK ? (unsigned)pages : PAGES_BLOCK;

		if (sampler->memory->pages(sampler->memory, page, count, flag) < 0)
			return end;
		for (unsigned i = 0; i < count; i++, page += UINT64_C(1) << shift)
			if (flag[i] & PAGE_RESIDENT)
				return page > at ? page : at;
		at = page;
	}
	return end;
}

/* Whether what reaches over the dark cell [FROM, TO) is known by what lies behind it.
 * Before a free chunk no other free one ends. */
static bool is_lit_behind(struct sampler *sampler, const struct sampled_segment *segment,
			  uint64_t from, uint64_t to)
{
	const struct known *known = &sampler->known;
	uint64_t reach = (uint64_t)COMMON * SAMPLED_CELL << segment->shift;
	uint64_t end = segment->stop - to < reach ? segment->stop : to + reach;
	bool is_known = false;
	uint32_t next = known_find(known, to);

	if (next < known->count && known->chunk[next].at >= to &&
	    known->chunk[next].at <= end) {
		end = known->chunk[next].at;
		is_known = true;
	}
	for (unsigned i = 0; i < BEHIND; i++) {
		struct sample_slot *slot = &sampler->slot[0];
		uint64_t at = next_resident(sampler, to, end);

		if (at == end)
			return is_known;
		to = end - at < SAMPLED_CELL ? end : at + SAMPLED_CELL;
		prepare(slot, segment, at, to);
		fill(sampler, 1);
		if (window_is_lit_behind(&slot->window, from, sampler->memory,
					 sampler->pages))
			return true;
	}
	return false;
}

/* Where the drawn cell I lies. */
static const struct sampled_segment *place_of(const struct sampler *sampler, uint32_t i,
					      uint64_t *from, uint64_t *to)
{
	uint64_t number = sampler->number[i];
	const struct sampled_segment *segment = segment_of(sampler, number);
	uint64_t bytes = (uint64_t)SAMPLED_CELL << segment->shift;

	*from = (segment->start / bytes + (number - segment->first)) * bytes;
	*to = *from + bytes;
	sampler_clip(from, to, segment->start, segment->end);
	return segment;
}

/* Sets slots up for the drawn cell I. */
static void read_cell(struct sampler *sampler, uint32_t i, double weight)
{
	uint64_t from, to;
	const struct sampled_segment *segment = place_of(sampler, i, &from, &to);
	struct sample_slot *slot;

	if (!sampler->arena[segment->arena].known.has_unsorted)
		sampler->draw.cell[i].sum[SUM_DARK_BYTES] = (float)(to - from);
	if (segment->shift) {
		read_large_cell(sampler, i, weight, segment, from, to);
		return;
	}
	slot = take_slot(sampler, i, weight);
	prepare(slot, segment, from, to);
	add_flags(sampler, i, segment->arena,
		  &(struct drawn_part){from, to, slot->flag, slot->page});
}

/* Looks behind the first CELLS drawn cells of which nothing is known. */
static void settle_dark(struct sampler *sampler, uint32_t cells)
{
	for (uint32_t i = 0; i < cells; i++) {
		float *sum = sampler->draw.cell[i].sum, *dark = &sum[SUM_DARK_BYTES];
		const struct sampled_segment *segment;
		uint64_t from, to;

		if (*dark <= 0)
			continue;
		segment = place_of(sampler, i, &from, &to);
		if (is_lit_behind(sampler, segment, from, to))
			*dark = 0;
		else
			sum[SUM_DARK_RESIDENT_BYTES] = sum[SUM_RESIDENT_BYTES];
	}
}

/* Looks into the drawn cells of the first STRATA strata. */
void sampler_read_cells(struct sampler *sampler, uint32_t strata)
{
	const struct estimate_draw *draw = &sampler->draw;
	uint32_t cells = 0;

	sampler->slots = 0;
	for (uint32_t i = 0; i < strata && !sampler->error; i++) {
		const struct estimate_stratum *stratum = &draw->stratum[i];
		double weight = (double)stratum->cells / stratum->drawn;

		for (uint32_t k = 0; k < stratum->drawn && !sampler->error; k++)
			read_cell(sampler, stratum->first + k, weight);
		cells = stratum->first + stratum->drawn;
	}
	if (!sampler->error)
		look_into(sampler, sampler->slots);
	settle_dark(sampler, cells);
	settle_fast(sampler);
}
