#include "sample/sample.h"

#include "base/take.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROCESS SCOPE_PROCESS
#define BOTH	SCOPE_BOTH

/* clang-format off */
const struct figure_info figure_info[FIG_COUNT] = {
[FIG_RSS_BYTES] = {"rss_bytes", "rss", UNIT_BYTES, PROCESS, 5, 1,
	"Resident memory of the process. The next seven figures are its parts: each is "
	"measured by itself, and what their sum differs by is in skew_bytes."},
[FIG_LIVE_RESIDENT_BYTES] = {"live_resident_bytes", "lvres", UNIT_BYTES, BOTH, 5, 15,
	"Resident bytes of heap chunks in use. Chunks kept in tcaches are among them: "
	"malloc itself marks those as in use."},
[FIG_TRIMMABLE_BYTES] = {"trimmable_bytes", "trim", UNIT_BYTES, BOTH, 5, 10,
	"Resident bytes of free chunks that malloc_trim(0) would give back now, by the "
	"rule that glibc itself follows."},
[FIG_PINNED_BYTES] = {"pinned_bytes", "pin", UNIT_BYTES, BOTH, 5, 11,
	"Resident bytes of free chunks on pages that a chunk in use or a header shares: "
	"no trim gives these back."},
[FIG_RETAINED_BYTES] = {"retained_bytes", "keep", UNIT_BYTES, BOTH, 5, 16,
	"Resident bytes of free chunks on whole free pages that a trim leaves all the "
	"same: tops of secondary arenas, top padding."},
[FIG_MMAPPED_RESIDENT_BYTES] = {"mmapped_resident_bytes", "mmres", UNIT_BYTES, PROCESS, 5, 13,
	"Resident bytes of chunks that have a mapping of their own."},
[FIG_ALLOCATOR_RESIDENT_BYTES] = {"allocator_resident_bytes", "alres", UNIT_BYTES, BOTH, 5, 28,
	"Resident bytes of the allocator's own: heap headers, arena structures, "
	"fenceposts and padding."},
[FIG_OTHER_RESIDENT_BYTES] = {"other_resident_bytes", "other", UNIT_BYTES, PROCESS, 5, 12,
	"Resident memory that is not malloc's: stacks, files, shared and other anonymous "
	"memory. Before Linux 6.7 it is what the other parts leave of rss_bytes."},
[FIG_PSS_BYTES] = {"pss_bytes", "pss", UNIT_BYTES, PROCESS, 5, 30,
	"Resident memory with each shared page divided by the number of its users."},
[FIG_SWAP_BYTES] = {"swap_bytes", "swap", UNIT_BYTES, PROCESS, 5, 25,
	"Memory of the process that is in swap."},
[FIG_MAPPINGS] = {"mappings", "maps", UNIT_COUNT, PROCESS, 5, 31,
	"How many mappings the process has; the kernel's limit is vm.max_map_count."},
[FIG_SYSTEM_BYTES] = {"system_bytes", "sys", UNIT_BYTES, BOTH, 5, 20,
	"What the arenas have from the kernel; chunks with a mapping of their own are not "
	"in it."},
[FIG_LIVE_BYTES] = {"live_bytes", "live", UNIT_BYTES, BOTH, 5, 2,
	"What the program holds in the arenas: system_bytes less free_bytes less "
	"tcache_bytes."},
[FIG_FREE_BYTES] = {"free_bytes", "free", UNIT_BYTES, BOTH, 5, 3,
	"Free in bins, fastbins and tops, resident or not."},
[FIG_FREE_RESIDENT_BYTES] = {"free_resident_bytes", "frres", UNIT_BYTES, BOTH, 5, 17,
	"Bytes of free chunks that lie on resident pages: trimmable, pinned and retained "
	"together."},
[FIG_FREE_CHUNKS] = {"free_chunks", "chunk", UNIT_COUNT, BOTH, 5, 4,
	"Free chunks in the small, large and unsorted bins and in fastbins. Tops and "
	"tcaches are counted apart."},
[FIG_LARGEST_FREE_BYTES] = {"largest_free_bytes", "large", UNIT_BYTES, BOTH, 5, 5,
	"The largest free chunk, tops included: the largest request that an arena serves "
	"without asking the kernel."},
[FIG_LARGEST_HOLE_BYTES] = {"largest_hole_bytes", "hole", UNIT_BYTES, BOTH, 5, 14,
	"The largest free chunk below the tops."},
[FIG_TOP_BYTES] = {"top_bytes", "top", UNIT_BYTES, BOTH, 5, 21,
	"Free at the end of the arenas, in their top chunks."},
[FIG_FAST_CHUNKS] = {"fast_chunks", "fastn", UNIT_COUNT, BOTH, 5, 35,
	"Free chunks in fastbins."},
[FIG_FAST_BYTES] = {"fast_bytes", "fast", UNIT_BYTES, BOTH, 5, 36,
	"Bytes of the free chunks in fastbins."},
[FIG_TCACHE_CHUNKS] = {"tcache_chunks", "tcn", UNIT_COUNT, BOTH, 5, 34,
	"Chunks that threads keep in their tcaches for their next requests."},
[FIG_TCACHE_BYTES] = {"tcache_bytes", "tcach", UNIT_BYTES, BOTH, 5, 27,
	"Bytes of the chunks in tcaches."},
[FIG_MMAPPED_CHUNKS] = {"mmapped_chunks", "mmapn", UNIT_COUNT, PROCESS, 5, 33,
	"Chunks that have a mapping of their own."},
[FIG_MMAPPED_BYTES] = {"mmapped_bytes", "mmap", UNIT_BYTES, PROCESS, 5, 26,
	"Bytes of the chunks that have a mapping of their own, resident or not."},
[FIG_FOREIGN_BYTES] = {"foreign_bytes", "alien", UNIT_BYTES, BOTH, 5, 37,
	"Memory inside the heap that other callers of sbrk(2) hold. glibc counts it in "
	"system_bytes."},
[FIG_ARENAS] = {"arenas", "arena", UNIT_COUNT, PROCESS, 5, 24,
	"How many arenas the process has."},
[FIG_ATTACHED_THREADS] = {"attached_threads", "thr", UNIT_COUNT, BOTH, 5, 32,
	"Threads that use the arena, or any of the arenas."},
[FIG_FRAG] = {"frag", "frag", UNIT_RATIO, BOTH, 5, 6,
	"1 - largest_free_bytes / free_bytes: 0 when the free memory is one chunk or when "
	"nothing is free, near 1 when it is in crumbs."},
[FIG_UNUSABLE] = {"unusable", "unus", UNIT_RATIO, BOTH, 5, 23,
	"The share of free_bytes in chunks too small for a request of "
	"unusable_for_bytes."},
[FIG_UNUSABLE_FOR_BYTES] = {"unusable_for_bytes", "", UNIT_BYTES, BOTH, 5, 0,
	"The request size that unusable is about; see --unusable."},
[FIG_SLACK] = {"slack", "slack", UNIT_RATIO, BOTH, 5, 22,
	"Resident heap bytes per live byte: (live_resident_bytes + free_resident_bytes) / "
	"live_bytes."},
[FIG_TRIM_THRESHOLD_BYTES] = {"trim_threshold_bytes", "trimt", UNIT_BYTES, PROCESS, 5, 38,
	"The size of the main top from which free gives it back by itself, as it is in "
	"force now; glibc raises it."},
[FIG_MMAP_THRESHOLD_BYTES] = {"mmap_threshold_bytes", "mmapt", UNIT_BYTES, PROCESS, 5, 39,
	"The request size from which malloc makes a mapping of its own, as it is in force "
	"now; glibc raises it."},
[FIG_MALLINFO2_ARENA] = {"mallinfo2.arena", "", UNIT_BYTES, PROCESS, 5, 0,
	"As the program's own mallinfo2 would say: system_bytes."},
[FIG_MALLINFO2_ORDBLKS] = {"mallinfo2.ordblks", "", UNIT_COUNT, PROCESS, 5, 0,
	"As mallinfo2: free chunks outside fastbins, with one top an arena."},
[FIG_MALLINFO2_SMBLKS] = {"mallinfo2.smblks", "", UNIT_COUNT, PROCESS, 5, 0,
	"As mallinfo2: free chunks in fastbins."},
[FIG_MALLINFO2_HBLKS] = {"mallinfo2.hblks", "", UNIT_COUNT, PROCESS, 5, 0,
	"As mallinfo2: chunks that have a mapping of their own."},
[FIG_MALLINFO2_HBLKHD] = {"mallinfo2.hblkhd", "", UNIT_BYTES, PROCESS, 5, 0,
	"As mallinfo2: bytes of the chunks that have a mapping of their own."},
[FIG_MALLINFO2_USMBLKS] = {"mallinfo2.usmblks", "", UNIT_BYTES, PROCESS, 5, 0,
	"As mallinfo2: always 0 in the glibcs that this program knows."},
[FIG_MALLINFO2_FSMBLKS] = {"mallinfo2.fsmblks", "", UNIT_BYTES, PROCESS, 5, 0,
	"As mallinfo2: bytes of free chunks in fastbins."},
[FIG_MALLINFO2_UORDBLKS] = {"mallinfo2.uordblks", "", UNIT_BYTES, PROCESS, 5, 0,
	"As mallinfo2: live_bytes and tcache_bytes together."},
[FIG_MALLINFO2_FORDBLKS] = {"mallinfo2.fordblks", "", UNIT_BYTES, PROCESS, 5, 0,
	"As mallinfo2: free_bytes."},
[FIG_MALLINFO2_KEEPCOST] = {"mallinfo2.keepcost", "", UNIT_BYTES, PROCESS, 5, 0,
	"As mallinfo2: the top of the main arena."},
[FIG_IN_DOUBT_BYTES] = {"in_doubt_bytes", "doubt", UNIT_BYTES, BOTH, 5, 0,
	"Heap bytes that could not be read as chunks because the program changed them "
	"meanwhile; the row is torn."},
[FIG_PAUSE_NS] = {"pause_ns", "pause", UNIT_NS, PROCESS, 6, 40,
	"How long the program was stopped for this reading; see --pause."},
[FIG_READ_NS] = {"read_ns", "read", UNIT_NS, PROCESS, 6, 29,
	"How long this reading took."},
[FIG_GROWTH_EVENTS] = {"growth_events", "grows", UNIT_COUNT, PROCESS, 5, 7,
	"How often malloc got memory from the kernel since the row before, mapped chunks "
	"included; see --events."},
[FIG_GROWTH_BYTES] = {"growth_bytes", "grown", UNIT_BYTES, PROCESS, 5, 8,
	"What malloc got from the kernel in those growths."},
[FIG_FAILED_ALLOCATIONS] = {"failed_allocations", "fails", UNIT_COUNT, PROCESS, 5, 9,
	"Allocations since the row before for which the kernel refused the memory; see "
	"--events."},
[FIG_SAMPLE_COST_NS] = {"sample_cost_ns", "cost", UNIT_NS, PROCESS, 6, 18,
	"How long the sampler inside the program took to ask the allocator, whose locks it "
	"held for no longer than that."},
[FIG_SAMPLE_AGE_NS] = {"sample_age_ns", "age", UNIT_NS, PROCESS, 6, 41,
	"How long before this reading the sampler took its sample: the allocator's figures "
	"are of that instant, the kernel's of the reading."},
[FIG_SAMPLE_INTERVAL_NS] = {"sample_interval_ns", "every", UNIT_NS, PROCESS, 6, 19,
	"How long the sampler waits from one sample to the next: longer than it was asked "
	"to while samples are dear."},
[FIG_MISSED_SAMPLES] = {"missed_samples", "", UNIT_COUNT, PROCESS, 5, 0,
	"Samples since the row before that were overwritten before they could be read; only "
	"where every sample is to be a row, as with run."},
[FIG_ACTIVE_BYTES] = {"active_bytes", "activ", UNIT_BYTES, BOTH, 5, 42,
	"Pages that hold at least one live object, as the allocator counts them: what they "
	"are more than live_bytes is fragmentation. jemalloc."},
[FIG_DIRTY_BYTES] = {"dirty_bytes", "dirty", UNIT_BYTES, BOTH, 5, 43,
	"Free pages that the allocator keeps, resident. jemalloc, tcmalloc."},
[FIG_MUZZY_BYTES] = {"muzzy_bytes", "muzzy", UNIT_BYTES, BOTH, 5, 44,
	"Free pages that the kernel may take when it is short of memory. jemalloc."},
[FIG_HEAP_RESIDENT_BYTES] = {"heap_resident_bytes", "heap", UNIT_BYTES, PROCESS, 5, 45,
	"What the allocator itself counts as resident, its own records included. jemalloc."},
[FIG_MAPPED_BYTES] = {"mapped_bytes", "mappd", UNIT_BYTES, PROCESS, 5, 46,
	"What the allocator has mapped for pages in use or kept. jemalloc, tcmalloc, "
	"mimalloc."},
[FIG_UNMAPPED_BYTES] = {"unmapped_bytes", "unmap", UNIT_BYTES, PROCESS, 5, 47,
	"Address space that the allocator keeps after it gave the memory back. jemalloc, "
	"tcmalloc."},
[FIG_LARGEST_EXTENT_BYTES] = {"largest_extent_bytes", "xtent", UNIT_BYTES, BOTH, 5, 48,
	"The largest run of free pages, given back or not, is no smaller: the allocator tells "
	"them by classes. jemalloc, tcmalloc."},
[FIG_SLAB_BYTES] = {"slab_bytes", "slab", UNIT_BYTES, BOTH, 5, 49,
	"Pages that are cut up into regions of one size each, for small requests. jemalloc."},
[FIG_SLAB_FREE_BYTES] = {"slab_free_bytes", "slabf", UNIT_BYTES, BOTH, 5, 50,
	"Regions of slab_bytes that are free: what small requests have broken up. jemalloc."},
[FIG_PEAK_MAPPED_BYTES] = {"peak_mapped_bytes", "peakm", UNIT_BYTES, PROCESS, 5, 51,
	"The most that mapped_bytes has been. mimalloc."},
[FIG_RESERVED_BYTES] = {"reserved_bytes", "rsrvd", UNIT_BYTES, PROCESS, 5, 52,
	"Address space that the allocator has taken, used or not, to a tenth of K, M or G. "
	"mimalloc."},
[FIG_HEAP_THREADS] = {"heap_threads", "thrds", UNIT_COUNT, PROCESS, 5, 53,
	"Threads with a heap of their own, as the allocator counts them: without the one that "
	"started it, and with the sampler's. mimalloc."},
[FIG_ANON_HUGE_BYTES] = {"anon_huge_bytes", "huge", UNIT_BYTES, PROCESS, 5, 54,
	"Of rss_bytes, anonymous memory in huge pages. A free chunk in one is resident, whether "
	"it was touched or not."},
[FIG_HUGE_PAGE_BYTES] = {"huge_page_bytes", "", UNIT_BYTES, PROCESS, 5, 0,
	"The size of the huge pages that malloc asks the kernel for, by the tunable "
	"glibc.malloc.hugetlb; 0: it asks for none."},
[FIG_SWAPPED_IN_BYTES] = {"swapped_in_bytes", "swpin", UNIT_BYTES, PROCESS, 5, 0,
	"Pages of malloc's records that this reading swapped in, as --swap-in allows."},
[FIG_SKEW_BYTES] = {"skew_bytes", "skew", UNIT_BYTES, PROCESS, 5, 0,
	"By how much the figures of this row, which are not all of one instant, do not fit "
	"together: the most of what the totals of arenas, mapped chunks and tcaches moved "
	"while the row was read, and of what parts differ from their whole. Beyond 1% of "
	"the whole, and 32K, the row is torn."},
};
/* clang-format on */

/* The sample, its rows, their bins and its classes lie in one block, in this order. */
struct sample *sample_new(unsigned arenas, bool with_bins)
{
	size_t rows = sizeof(struct sample) + arenas * sizeof(struct arena_row);
	size_t bins_end = rows + arenas * sizeof(struct arena_bins);
	size_t size = with_bins ? bins_end + sizeof(struct size_classes) : rows;
	struct sample *sample = take(size);
	struct arena_bins *bins;

	if (!sample)
		return NULL;
	if (with_bins)
		sample->classes = (struct size_classes *)((char *)sample + bins_end);
	sample->arena = (struct arena_row *)(sample + 1);
	sample->arena_capacity = arenas;
	bins = (struct arena_bins *)((char *)sample + rows);
	for (unsigned i = 0; with_bins && i < arenas; i++)
		sample->arena[i].bins = &bins[i];
	return sample;
}

int sample_grow(struct sample *sample, unsigned arenas)
{
	bool with_bins = sample->classes != NULL;
	size_t row = sizeof(struct arena_row);
	struct arena_row *rows;

	if (with_bins)
		row += sizeof(struct arena_bins);
	rows = take(arenas * row);
	if (!rows)
		return -ENOMEM;
	for (unsigned i = 0; with_bins && i < arenas; i++)
		rows[i].bins = (struct arena_bins *)(void *)(rows + arenas) + i;
	free(sample->grown);
	sample->grown = sample->arena = rows;
	sample->arena_capacity = arenas;
	return 0;
}

void sample_free(struct sample *sample)
{
	if (sample)
		free(sample->grown);
	free(sample);
}

void sample_clear(struct sample *sample)
{
	struct sample empty = {
		.arena = sample->arena,
		.arena_capacity = sample->arena_capacity,
		.classes = sample->classes,
		.grown = sample->grown,
	};

	if (sample->classes)
		sample->classes->count = 0;
	for (unsigned i = 0; i < sample->arena_count; i++) {
		struct arena_row *row = &sample->arena[i];

		*row = (struct arena_row){.bins = row->bins};
		if (row->bins)
			memset(row->bins, 0, sizeof(*row->bins));
	}
	*sample = empty;
}

static int copy_row(struct arena_row *into, const struct arena_row *from)
{
	struct arena_bins *bins = into->bins;

	if (from->bins && !bins)
		return -ENOSPC;
	*into = *from;
	into->bins = bins;
	if (from->bins)
		*bins = *from->bins;
	else if (bins)
		memset(bins, 0, sizeof(*bins));
	return 0;
}

int sample_copy(struct sample *into, const struct sample *from)
{
	struct arena_row *arena = into->arena;
	struct size_classes *classes = into->classes;
	unsigned capacity = into->arena_capacity;
	void *grown = into->grown;
	int error = from->arena_count > capacity ? -ENOSPC : 0;

	if (from->classes && from->classes->count && !classes)
		error = -ENOSPC;
	sample_clear(into);
	for (unsigned i = 0; !error && i < from->arena_count; i++) {
		error = copy_row(&arena[i], &from->arena[i]);
		into->arena_count = i + 1;
	}
	if (error) {
		sample_clear(into);
		return error;
	}
	*into = *from;
	into->arena = arena;
	into->arena_capacity = capacity;
	into->classes = classes;
	into->grown = grown;
	if (classes && from->classes)
		*classes = *from->classes;
	return 0;
}

static unsigned rows_with_bins(const struct sample *sample)
{
	unsigned rows = 0;

	for (unsigned i = 0; i < sample->arena_count; i++)
		rows += sample->arena[i].bins != NULL;
	return rows;
}

size_t sample_packed_bytes(const struct sample *from, bool with_bins)
{
	size_t bytes = sizeof(*from) + from->arena_count * sizeof(*from->arena);

	return bytes + (with_bins ? rows_with_bins(from) * sizeof(struct arena_bins) : 0);
}

/* As sample_new lays it out. */
struct sample *sample_pack(void *memory, const struct sample *from, bool with_bins)
{
	struct sample *packed = memory;
	struct arena_bins *bins;

	*packed = *from;
	packed->arena = (struct arena_row *)(packed + 1);
	packed->arena_capacity = from->arena_count;
	packed->classes = NULL;
	packed->grown = NULL;
	bins = (struct arena_bins *)(void *)(packed->arena + from->arena_count);
	for (unsigned i = 0; i < from->arena_count; i++) {
		struct arena_row *row = &packed->arena[i];

		*row = from->arena[i];
		row->bins = NULL;
		if (!with_bins || !from->arena[i].bins)
			continue;
		row->bins = bins++;
		*row->bins = *from->arena[i].bins;
	}
	return packed;
}

void sample_moved(struct sample *packed)
{
	struct arena_bins *bins;

	packed->arena = (struct arena_row *)(packed + 1);
	bins = (struct arena_bins *)(void *)(packed->arena + packed->arena_count);
	for (unsigned i = 0; i < packed->arena_count; i++)
		if (packed->arena[i].bins)
			packed->arena[i].bins = bins++;
}

enum {
	SKEW_PART = 100, /* of the whole */
	SKEW_LEAST = 32 << 10,
};

uint64_t sample_skew_limit(uint64_t whole_bytes)
{
	uint64_t part = whole_bytes / SKEW_PART;

	return part > SKEW_LEAST ? part : SKEW_LEAST;
}

static uint64_t value_of(const struct figures *fig, enum figure f)
{
	return figure_has(fig, f) ? fig->v[f].u : 0;
}

bool sample_holds(const struct sample *sample)
{
	const struct figures *fig = &sample->fig;
	uint64_t limit = sample_skew_limit(value_of(fig, FIG_SYSTEM_BYTES) +
					   value_of(fig, FIG_MMAPPED_BYTES));

	return sample->status != STATUS_TORN ||
	       (value_of(fig, FIG_IN_DOUBT_BYTES) <= limit &&
		value_of(fig, FIG_SKEW_BYTES) <= limit);
}

/* What is read one after the other, and told as the sum or the rest of that. */
static bool is_composed(enum figure f)
{
	static const enum figure composed[] = {
		FIG_LIVE_RESIDENT_BYTES,
		FIG_TRIMMABLE_BYTES,
		FIG_PINNED_BYTES,
		FIG_RETAINED_BYTES,
		FIG_OTHER_RESIDENT_BYTES,
		FIG_LIVE_BYTES,
		FIG_FREE_BYTES,
		FIG_FREE_RESIDENT_BYTES,
		FIG_FREE_CHUNKS,
		FIG_LARGEST_FREE_BYTES,
		FIG_LARGEST_HOLE_BYTES,
		FIG_TOP_BYTES,
		FIG_TCACHE_CHUNKS,
		FIG_TCACHE_BYTES,
		FIG_FRAG,
		FIG_UNUSABLE,
		FIG_SLACK,
		FIG_MMAPPED_RESIDENT_BYTES,
		FIG_ALLOCATOR_RESIDENT_BYTES,
	};

	for (size_t i = 0; i < sizeof(composed) / sizeof(*composed); i++)
		if (composed[i] == f)
			return true;
	return false;
}

bool sample_tells(const struct sample *sample, enum figure f)
{
	return figure_has(&sample->fig, f) && (!is_composed(f) || sample_holds(sample));
}

const char *sample_source_name(enum sample_source source)
{
	static const char *const names[] = {
		[SOURCE_HEAP] = "heap",
		[SOURCE_PROC] = "proc",
		[SOURCE_PRELOAD] = "preload",
	};

	return names[source];
}

const char *sample_status_name(enum sample_status status)
{
	static const char *const names[] = {
		[STATUS_COMPLETE] = "complete",
		[STATUS_TORN] = "torn",
		[STATUS_PARTIAL] = "partial",
	};

	return names[status];
}
