/* sampled_regions.c: how large cells are in each part of the heap. Where a program has
 * touched little of what it allocated, a cell of the usual size would hardly ever meet
 * the beginning of a chunk. */
#include "glibc/sampled_state.h"

enum {
	REGION_LEAST = 32 << 20, /* bytes; and of smaller heaps cells are not sized */
	LOOKS = 32,		 /* at each region: few pages, in many places */
	LOOK_PAGES = 32,
	LOOK_NS = 1000,
	SHARE_OF_LOOKS = 32, /* of the budget, a part */
	RESIDENT_LEAST = 2,  /* a part of a cell of the usual size that one is to have */
	KEPT = 16,	     /* readings, where all cells are of the usual size */
};

uint64_t sampler_segment_bytes(const struct owned_segment *owned)
{
	const struct walk_segment *segment = &owned->segment;

	return segment->stop > segment->start ? segment->stop - segment->start : 0;
}

/* What the looks at one region found, in pages. */
struct region_looks {
	unsigned looked, resident;
	bool is_dense; /* in one place at least */
};

static void look(struct sampler *sampler, uint64_t at, uint64_t stop,
		 struct region_looks *looks)
{
	uint64_t page = at & -(UINT64_C(1) << sampler->page_shift);
	uint64_t pages = ((stop - page - 1) >> sampler->page_shift) + 1;
	unsigned count = pages < LOOK_PAGES ? (unsigned)pages : LOOK_PAGES;
	unsigned resident = 0;
	uint8_t flag[LOOK_PAGES];

	if (sampler->memory->pages(sampler->memory, page, count, flag) < 0)
		return;
	for (unsigned i = 0; i < count; i++)
		resident += (flag[i] & PAGE_RESIDENT) != 0;
	looks->looked += count;
	looks->resident += resident;
	looks->is_dense |= 2 * resident >= count;
}

/* So large that enough of each is resident. Where a part of the region is dense that part
 * would lie in a few large cells, which few samples meet: there they are small. */
static unsigned shift_of(const struct region_looks *looks)
{
	unsigned shift = 0;

	while (!looks->is_dense && (uint64_t)(looks->resident + 1) * RESIDENT_LEAST
						   << (shift + 1) <=
					   looks->looked)
		shift++;
	return shift;
}

/* The segment up to which the looks have led. */
struct region_cursor {
	unsigned segment;
	uint64_t before; /* bytes of the segments before it */
};

/* The shift that cells of region R are to have, by looks at places of it in ascending
 * order. */
static unsigned look_at_region(struct sampler *sampler, unsigned r,
			       struct region_cursor *cursor)
{
	const struct heap *heap = sampler->heap;
	uint64_t step = sampler->region_bytes / LOOKS;
	struct region_looks looks = {.looked = 0};

	for (unsigned k = 0; k < LOOKS; k++) {
		uint64_t at = r * sampler->region_bytes + k * step +
			      estimate_below(&sampler->random, step);
		const struct owned_segment *segment;

		while (cursor->segment < heap->segment_count) {
			uint64_t bytes =
				sampler_segment_bytes(&heap->segment[cursor->segment]);

			if (at - cursor->before < bytes)
				break;
			cursor->before += bytes;
			cursor->segment++;
		}
		if (cursor->segment == heap->segment_count)
			break;
		segment = &heap->segment[cursor->segment];
		look(sampler, segment->segment.start + at - cursor->before,
		     segment->segment.stop, &looks);
	}
	return shift_of(&looks);
}

/* One region in EVERY; whether cells are of the usual size in all of these. */
static bool look_at_regions(struct sampler *sampler, unsigned every)
{
	struct region_cursor cursor = {0, 0};
	bool is_dense = true;

	for (unsigned r = 0; r < sampler->regions; r++) {
		sampler->region_shift[r] = 0;
		if ((r + sampler->region_readings) % every)
			continue;
		sampler->region_shift[r] = (uint8_t)look_at_region(sampler, r, &cursor);
		is_dense &= sampler->region_shift[r] == 0;
	}
	return is_dense;
}

/* As long as cells are of the usual size everywhere only some of the looks are renewed
 * each time: where little is resident by now, such cells say little, but at no more cost.
 * A large one whose pages were all touched meanwhile would be read whole. */
void sampler_size_cells(struct sampler *sampler, int64_t budget_ns)
{
	const struct heap *heap = sampler->heap;
	uint64_t total = 0, regions, most;
	bool is_kept;

	for (unsigned i = 0; i < heap->segment_count; i++)
		total += sampler_segment_bytes(&heap->segment[i]);
	regions = total / REGION_LEAST;
	most = (uint64_t)budget_ns / SHARE_OF_LOOKS / (LOOKS * LOOK_NS) + 1;
	most = most < REGIONS ? most : REGIONS;
	sampler->regions = (unsigned)(regions < most ? regions : most);
	if (!sampler->regions)
		return;
	sampler->region_bytes =
		(total / sampler->regions / SAMPLED_CELL + 1) * SAMPLED_CELL;
	sampler->region_readings++;
	is_kept = total <= sampler->dense_total + sampler->dense_total / KEPT;
	if (is_kept && look_at_regions(sampler, KEPT))
		return;
	sampler->dense_total = look_at_regions(sampler, 1) ? total : 0;
}

unsigned sampler_cell_shift(const struct sampler *sampler, uint64_t offset,
			    uint64_t *bytes)
{
	uint64_t region = sampler->regions ? offset / sampler->region_bytes : 0, last;

	*bytes = UINT64_MAX;
	if (region >= sampler->regions)
		return 0;
	for (last = region;
	     last + 1 < sampler->regions &&
	     sampler->region_shift[last + 1] == sampler->region_shift[region];
	     last++)
		;
	if (last + 1 < sampler->regions)
		*bytes = (last + 1) * sampler->region_bytes - offset;
	return sampler->region_shift[region];
}
