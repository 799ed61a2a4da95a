/* sampled_cells.c: the cells that were drawn: which chunks begin in each, and where their
 * pages are. */
#include "glibc/sampled_state.h"

#include <string.h>

static uint64_t flagged_of(const struct sample_slot *slot, uint64_t start, uint64_t end)
{
	sampler_clip(&start, &end, slot->window.from, slot->window.to);
	return sampler_flagged(slot->sampler, slot->flag, slot->page, start, end,
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
	return pages_resident_bytes(sampler->pages, start, end);
}

/* A chunk that ends in its cell, and on pages that were touched, is resident. */
static void add_pages(struct sample_slot *slot, float *sum, uint64_t at, uint64_t bytes)
{
	struct sampler *sampler = slot->sampler;
	struct free_parts parts = walk_run_parts(sampler->page_shift, at, at + bytes);
	uint64_t trimmable, resident;

	if (parts.from == parts.to) {
		sum[SUM_PINNED_BYTES] += (float)bytes;
		return;
	}
	trimmable = resident_of(slot, parts.from, parts.to);
	resident = resident_of(slot, at, at + bytes);
	sum[SUM_TRIMMABLE_BYTES] += (float)trimmable;
	sum[SUM_PINNED_BYTES] += (float)(resident - trimmable);
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
static void add_known(struct sample_slot *slot)
{
	const struct sampler *sampler = slot->sampler;
	const struct known *known = &sampler->known;
	float *sum = sampler->draw.cell[slot->cell].sum;

	for (uint32_t i = known_find(known, slot->window.from);
	     i < known->count && known->chunk[i].at < slot->window.to; i++) {
		const struct known_chunk *chunk = &known->chunk[i];
		uint64_t start = chunk->at, end = chunk->at + chunk->bytes;
		struct free_parts parts = walk_run_parts(sampler->page_shift, start, end);
		uint64_t trimmable = flagged_of(slot, parts.from, parts.to);
		uint64_t resident = flagged_of(slot, start, end);

		if (chunk->bytes >= LARGE || parts.from == parts.to)
			continue;
		sampler_clip(&start, &end, slot->window.from, slot->window.to);
		if (sampler->knows_pages) {
			sum[SUM_ABSENT_BYTES] -= (float)(end - start - resident);
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

/* Reads the resident pages of what WINDOW wants of memory; the rest is zero. */
static void fill(struct sample_slot *slot, uint64_t end)
{
	struct sampler *sampler = slot->sampler;
	uint64_t size = UINT64_C(1) << sampler->page_shift, at = slot->window.base;
	struct span span[FLAGS];
	unsigned count = 0;
	int got;

	memset(slot->buffer, 0, LEAD + SAMPLED_CELL + TAIL);
	for (uint64_t next; at < end; at = next) {
		next = (at & -size) + size < end ? (at & -size) + size : end;
		if (!(slot->flag[(at - slot->page) >> sampler->page_shift] &
		      PAGE_RESIDENT))
			continue;
		if (count && span[count - 1].addr + span[count - 1].len == at)
			span[count - 1].len += (uint32_t)(next - at);
		else
			span[count++] =
				(struct span){at, slot->buffer + (at - slot->window.base),
					      (uint32_t)(next - at)};
	}
	if (!count)
		return;
	got = sampler->memory->read(sampler->memory, span, count);
	if (got < 0)
		sampler->error = got;
}

/* Sets SLOT up for the drawn cell I. */
static void prepare(struct sample_slot *slot, uint32_t i, double weight)
{
	struct sampler *sampler = slot->sampler;
	uint64_t number = sampler->number[i];
	const struct sampled_segment *segment = segment_of(sampler, number);
	struct sampled_arena *arena = &sampler->arena[segment->arena];
	uint64_t block = segment->start / SAMPLED_CELL + (number - segment->first);
	uint64_t from = block * SAMPLED_CELL, to = from + SAMPLED_CELL, base, end;
	float *sum = sampler->draw.cell[i].sum;

	sampler_clip(&from, &to, segment->start, segment->end);
	end = segment->stop - to < TAIL ? segment->stop : to + TAIL;
	slot->cell = i;
	slot->arena = segment->arena;
	slot->weight = weight;
	base = arena->known.fast_open && from - segment->start > LEAD ? from - LEAD
								      : from;
	slot->page = base & -(UINT64_C(1) << sampler->page_shift);
	if (sampler->memory->pages(sampler->memory, slot->page, FLAGS, slot->flag) < 0)
		memset(slot->flag, 0, sizeof(slot->flag));
	slot->window = (struct window){
		.arena = &sampler->window_arena[segment->arena],
		.from = from,
		.to = to,
		.stop = segment->stop,
		.base = base,
		.bytes = (uint32_t)(end - base),
		.buffer = slot->buffer,
		.found = found,
		.found_fast = arena->known.fast_open ? found_fast : NULL,
		.context = slot,
	};
	arena->swapped +=
		sampler_flagged(sampler, slot->flag, slot->page, from, to, PAGE_SWAPPED);
	sum[SUM_ABSENT_BYTES] = (float)(to - from - flagged_of(slot, from, to));
	fill(slot, end);
	window_begin(&slot->window);
	add_known(slot);
}

/* A cell in which no chunk begins lies in a large one: a live one, unless there are free
 * ones of any size that no list told of. */
static void end_cell(struct sample_slot *slot)
{
	struct sampled_arena *arena = &slot->sampler->arena[slot->arena];
	const struct window *window = &slot->window;

	arena->spoilt += window->gave_up;
	if (!arena->known.has_unsorted && !window->found_any &&
	    !window_is_lit(window, slot->sampler->memory, slot->sampler->pages))
		slot->sampler->draw.cell[slot->cell].sum[SUM_DARK_BYTES] =
			(float)(window->to - window->from);
}

/* Goes on with COUNT cells side by side, so that one call reads for all of them. */
static void look_into(struct sampler *sampler, unsigned count)
{
	struct span span[WINDOWS * WINDOW_SPANS];
	bool ok[WINDOWS * WINDOW_SPANS];
	unsigned wants[WINDOWS], wanted;

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
		end_cell(&sampler->slot[i]);
}

/* Looks into the drawn cells of the first STRATA strata. */
void sampler_read_cells(struct sampler *sampler, uint32_t strata)
{
	const struct estimate_draw *draw = &sampler->draw;
	unsigned count = 0;

	for (uint32_t i = 0; i < strata && !sampler->error; i++) {
		const struct estimate_stratum *stratum = &draw->stratum[i];
		double weight = (double)stratum->cells / stratum->drawn;

		for (uint32_t k = 0; k < stratum->drawn && !sampler->error; k++) {
			prepare(&sampler->slot[count++], stratum->first + k, weight);
			if (count < WINDOWS)
				continue;
			look_into(sampler, count);
			count = 0;
		}
	}
	if (count && !sampler->error)
		look_into(sampler, count);
	settle_fast(sampler);
}
