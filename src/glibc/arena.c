#include "glibc/arena.h"

#include "base/bytes.h"

#include <errno.h>
#include <string.h>

enum {
	HEAPS_MAX = 1 << 20, /* of one arena: 64 TB */
	ARENA_FLAGS_KNOWN =
		7, /* the fastbin flag of old, NONCONTIGUOUS, ARENA_CORRUPTION */
	FLAG_NONCONTIGUOUS = 2,
};

static uint64_t optional_at(const uint8_t *raw, unsigned offset)
{
	return offset ? bytes_u64(raw + offset) : 0;
}

/* What is neither in memory nor in swap was never used, or is being taken away. */
static int fetch(struct memory *memory, struct pages *pages, uint64_t addr, void *to,
		 uint32_t bytes)
{
	int error = memory_fetch(memory, pages, addr, to, bytes);

	if (error == -ENODATA && !pages_swapped_bytes(pages, addr, addr + bytes))
		return -EFAULT;
	return error;
}

int arena_read_par(struct memory *memory, struct pages *pages,
		   const struct malloc_instance *instance, struct malloc_par *par)
{
	const struct par_layout *layout = &instance->layout->par;
	uint8_t raw[GLIBC_PAR_MAX_SIZE];
	int error = fetch(memory, pages, instance->par, raw, layout->size);

	if (error)
		return error;
	*par = (struct malloc_par){
		.trim_threshold_bytes = bytes_u64(raw),
		.mmap_threshold_bytes = bytes_u64(raw + 16),
		.thp_page_bytes = optional_at(raw, layout->thp_pagesize),
		.huge_page_bytes = optional_at(raw, layout->hp_pagesize),
		.n_mmaps = bytes_u32(raw + layout->n_mmaps),
		.mmapped_bytes = bytes_u64(raw + layout->mmapped_mem),
		.sbrk_base = bytes_u64(raw + layout->sbrk_base),
		.tcache_count = bytes_u64(raw + layout->tcache_count),
		.tcache_bins = bytes_u64(raw + layout->tcache_bins),
	};
	if (par->tcache_bins > GLIBC_TCACHE_BINS || par->tcache_count > UINT16_MAX ||
	    par->n_mmaps > INT32_MAX ||
	    (par->thp_page_bytes & (par->thp_page_bytes - 1)) ||
	    (par->huge_page_bytes & (par->huge_page_bytes - 1)))
		return -EUCLEAN;
	return 0;
}

uint64_t arena_top(const struct arena *arena)
{
	return bytes_u64(arena->raw + arena->layout->arena.top);
}

uint64_t arena_system_bytes(const struct arena *arena)
{
	return bytes_u64(arena->raw + arena->layout->arena.system_mem);
}

uint64_t arena_attached_threads(const struct arena *arena)
{
	return bytes_u64(arena->raw + arena->layout->arena.attached_threads);
}

bool arena_is_locked(const struct arena *arena)
{
	return bytes_u32(arena->raw) != 0;
}

bool arena_is_contiguous(const struct arena *arena)
{
	return !(bytes_u32(arena->raw + 4) & FLAG_NONCONTIGUOUS);
}

uint64_t arena_fastbin(const struct arena *arena, unsigned i)
{
	unsigned offset = arena->layout->arena.fastbins;

	return offset ? bytes_u64(arena->raw + offset + 8 * i) : 0;
}

uint64_t arena_bin_forward(const struct arena *arena, unsigned i)
{
	return bytes_u64(arena->raw + arena->layout->arena.bins + 16 * i);
}

uint64_t arena_bin_backward(const struct arena *arena, unsigned i)
{
	return bytes_u64(arena->raw + arena->layout->arena.bins + 16 * i + 8);
}

uint64_t arena_bin_self(const struct arena *arena, unsigned i)
{
	return arena->addr + arena->layout->arena.bins + 16 * i - 16;
}

/* Before its first use an arena is all zeroes; then each bin is a list, and top a chunk
 * or the unsorted bin's own address (malloc.c, initial_top). */
static bool is_sane(struct arena *arena)
{
	const struct arena_layout *layout = &arena->layout->arena;
	uint64_t top = arena_top(arena), system = arena_system_bytes(arena);

	if (bytes_u32(arena->raw + 4) & ~ARENA_FLAGS_KNOWN ||
	    bytes_u64(arena->raw + layout->system_mem + 8) < system)
		return false;
	arena->used = system != 0;
	if (!top)
		return !arena->used;
	if (top & (GLIBC_ALIGN - 1) && top != arena_bin_self(arena, 0))
		return false;
	for (unsigned i = 0; i < GLIBC_BINS; i++) {
		uint64_t forward = arena_bin_forward(arena, i);
		uint64_t backward = arena_bin_backward(arena, i);

		if ((forward & 7) || (backward & 7) || !forward || !backward)
			return false;
	}
	return true;
}

int arena_refresh(struct memory *memory, struct pages *pages, struct arena *arena)
{
	uint8_t raw[GLIBC_ARENA_MAX_SIZE];
	int error =
		memory_fetch(memory, pages, arena->addr, raw, arena->layout->arena.size);

	if (!error)
		memcpy(arena->raw, raw, arena->layout->arena.size);
	return error;
}

/* Whether one of COUNT arenas lies at ADDR: a ring that comes by there again has no end.
 */
static bool was_met(const struct arena *arena, unsigned count, uint64_t addr)
{
	for (unsigned i = 0; i < count; i++)
		if (arena[i].addr == addr)
			return true;
	return false;
}

int arena_read_ring(struct memory *memory, struct pages *pages,
		    const struct malloc_instance *instance, unsigned number,
		    struct arena *arena, unsigned capacity, unsigned *count)
{
	const struct arena_layout *layout = &instance->layout->arena;
	uint64_t addr = instance->main_arena;

	do {
		struct arena *next = &arena[*count];
		int error;

		if (*count == capacity)
			return was_met(arena, capacity, addr) ? -EUCLEAN : -ENOSPC;
		error = fetch(memory, pages, addr, next->raw, layout->size);
		if (error)
			return error;
		next->addr = addr;
		next->layout = instance->layout;
		next->instance = number;
		next->is_main = addr == instance->main_arena;
		if (!is_sane(next))
			return -EUCLEAN;
		++*count;
		addr = bytes_u64(next->raw + layout->next);
	} while (addr != instance->main_arena);
	return 0;
}

struct heap_info {
	uint64_t arena;
	uint64_t previous;
	uint64_t bytes;
	uint64_t mprotect_bytes;
};

/* arena.c, heap_max_size: the versions that know huge pages took four of them until 2.41.
 */
uint64_t arena_heap_max_bytes(const struct malloc_layout *layout,
			      const struct malloc_par *par)
{
	if (par->huge_page_bytes && layout->par.hp_pagesize && layout->last_minor <= 41)
		return par->huge_page_bytes * 4;
	return 64 << 20;
}

/* The heap that holds the arena itself has its chunks behind the malloc_state. */
static uint64_t first_chunk(const struct arena *arena, uint64_t heap)
{
	uint64_t start = heap + arena->layout->heap_info_bytes;

	if (start != arena->addr)
		return start;
	start += arena->layout->arena.size;
	return (start + GLIBC_ALIGN - 1) & -(uint64_t)GLIBC_ALIGN;
}

static bool describes(const struct arena *arena, uint64_t heap,
		      const struct heap_info *info, uint64_t max_bytes)
{
	return info->arena == arena->addr && info->bytes <= max_bytes &&
	       first_chunk(arena, heap) < heap + info->bytes &&
	       !(info->previous & (max_bytes - 1));
}

int arena_each_heap(struct memory *memory, struct pages *pages, const struct arena *arena,
		    const struct malloc_par *par, arena_heap_fn *fn, void *context)
{
	uint64_t max_bytes = arena_heap_max_bytes(arena->layout, par),
		 top = arena_top(arena);
	uint64_t heap = top & -max_bytes, mark = 0;

	for (unsigned i = 0; heap; i++) {
		struct walk_segment segment = {.ends = i == 0 ? SEGMENT_TOP
							      : SEGMENT_FENCE,
					       .top = i == 0 ? top : 0};
		struct heap_info info;
		int error = memory_fetch(memory, pages, heap, &info, sizeof(info));

		if (error)
			return error;
		/* A list that runs in a circle comes by one of the marks again. */
		if (heap == mark)
			return -EUCLEAN;
		if (!(i & (i - 1)))
			mark = heap;
		if (i == HEAPS_MAX || !describes(arena, heap, &info, max_bytes))
			return -EUCLEAN;
		segment.start = first_chunk(arena, heap);
		segment.end = heap + info.bytes;
		segment.stop = i == 0 ? top : segment.end;
		if (segment.stop < segment.start || segment.stop > segment.end)
			return -EUCLEAN;
		error = fn(heap, &segment, context);
		if (error)
			return error;
		heap = info.previous;
	}
	return 0;
}
