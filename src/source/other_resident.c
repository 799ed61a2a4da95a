#include "source/other_resident.h"

#include <string.h>

/* The kernel's own page above all memory of programs. */
#define SCAN_END (UINT64_C(1) << 63)

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_huge(const char *name)
{
	return begins(name, "/anon_hugepage") || begins(name, "/dev/hugepages/");
}

/* Where a page that is no file's is a device's: in what is shared, and in private
 * mappings of devices, but for those that are memory. The kernel's data for programs
 * ("[vvar]") is a device's page up to Linux 6.18; a later one (seen in 7.2) has a page
 * there that counts. */
static bool is_files_only(const struct mapping *mapping)
{
	const char *name = mapping->name;

	if ((mapping->flags & MAP_IS_SHARED) || begins(name, "[vvar"))
		return true;
	return begins(name, "/dev/") && !begins(name, "/dev/zero") &&
	       !begins(name, "/dev/shm/");
}

void other_resident_begin(struct other *other)
{
	other->count = 0;
	other->overflow = other->has_huge = other->is_apart = false;
}

void other_resident_add(struct other *other, const struct mapping *mapping)
{
	struct other_range *last = other->count ? &other->range[other->count - 1] : NULL;
	bool files_only = is_files_only(mapping), huge = is_huge(mapping->name);

	other->has_huge |= huge;
	if (huge || mapping->end > SCAN_END) {
		other->is_apart = true;
		return;
	}
	if (last && last->files_only == files_only && !other->is_apart)
		last->end = mapping->end;
	else if (other->count == OTHER_RANGES)
		other->overflow = true;
	else
		other->range[other->count++] =
			(struct other_range){mapping->start, mapping->end, files_only};
	other->is_apart = false;
}

struct count {
	const struct heap *heap;
	unsigned cursor;
	uint64_t bytes;
};

static void count_run(uint64_t start, uint64_t end, void *context)
{
	struct count *count = context;

	count->bytes +=
		end - start - heap_arena_bytes(count->heap, &count->cursor, start, end);
}

int other_resident_bytes_of(const struct other *other, const struct live_memory *live,
			    const struct heap *heap, uint64_t *bytes)
{
	struct count count = {.heap = heap};
	int error = 0;

	for (unsigned i = 0; i < other->count && !error; i++) {
		const struct other_range *range = &other->range[i];

		error = live_scan(live, range->start, range->end, range->files_only,
				  count_run, &count);
	}
	*bytes = count.bytes + heap_foreign_resident_bytes(heap);
	return error;
}

/* The sum of malloc's parts of RSS; false when one is absent. */
static bool sum_parts(const struct figures *fig, uint64_t *sum)
{
	static const enum figure parts[] = {
		FIG_LIVE_RESIDENT_BYTES, FIG_FREE_RESIDENT_BYTES,
		FIG_MMAPPED_RESIDENT_BYTES, FIG_ALLOCATOR_RESIDENT_BYTES};

	*sum = 0;
	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		if (!figure_has(fig, parts[i]))
			return false;
		*sum += fig->v[parts[i]].u;
	}
	return true;
}

/* Of the mmapped chunks that were not found no more is resident than all that was. */
static void limit_mapped(struct figures *fig, double low, uint64_t most)
{
	figure_set(fig, FIG_MMAPPED_RESIDENT_BYTES,
		   (uint64_t)low + (most - (uint64_t)low) / 2);
	figure_set_range(fig, FIG_MMAPPED_RESIDENT_BYTES, low, (double)most);
}

bool other_resident_set(const struct other *other, struct figures *fig, uint64_t bytes)
{
	uint64_t rss = fig->v[FIG_RSS_BYTES].u, mapped, sum, skew;
	double low, high;

	if (!sum_parts(fig, &sum))
		return false;
	sum += bytes - fig->v[FIG_MMAPPED_RESIDENT_BYTES].u;
	if (figure_range(fig, FIG_MMAPPED_RESIDENT_BYTES, &low, &high) &&
	    low <= (double)bytes && high > (double)bytes)
		limit_mapped(fig, low, bytes);
	mapped = fig->v[FIG_MMAPPED_RESIDENT_BYTES].u;
	if (bytes < mapped)
		return true;
	figure_set(fig, FIG_OTHER_RESIDENT_BYTES, bytes - mapped);
	/* What is taken from the one is the other's. */
	if (figure_range(fig, FIG_MMAPPED_RESIDENT_BYTES, &low, &high))
		figure_set_range(fig, FIG_OTHER_RESIDENT_BYTES, (double)bytes - high,
				 (double)bytes - low);
	skew = sum > rss ? sum - rss : rss - sum;
	if (other->has_huge)
		return false;
	if (!figure_has(fig, FIG_SKEW_BYTES) || skew > fig->v[FIG_SKEW_BYTES].u)
		figure_set(fig, FIG_SKEW_BYTES, skew);
	return skew > sample_skew_limit(rss);
}

/* How far estimated parts may be off, together: what is taken from one for the other
 * leaves the sum, so that this is more than it is. */
static bool sum_reach(const struct figures *fig, double *below, double *above)
{
	static const enum figure parts[] = {FIG_LIVE_RESIDENT_BYTES,
					    FIG_FREE_RESIDENT_BYTES,
					    FIG_MMAPPED_RESIDENT_BYTES};
	bool is_estimated = false;

	*below = *above = 0;
	for (unsigned i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		double low, high, value = figure_number(fig, parts[i]);

		is_estimated |= figure_range(fig, parts[i], &low, &high);
		*below += value - low;
		*above += high - value;
	}
	return is_estimated;
}

void other_resident_set_remainder(struct figures *fig)
{
	double below, above, other;
	uint64_t sum;

	if (!sum_parts(fig, &sum) || sum > fig->v[FIG_RSS_BYTES].u)
		return;
	figure_set(fig, FIG_OTHER_RESIDENT_BYTES, fig->v[FIG_RSS_BYTES].u - sum);
	other = figure_number(fig, FIG_OTHER_RESIDENT_BYTES);
	if (sum_reach(fig, &below, &above))
		figure_set_range(fig, FIG_OTHER_RESIDENT_BYTES,
				 other > above ? other - above : 0, other + below);
}
