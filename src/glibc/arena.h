/* arena.h: malloc's own records, read from outside: mp_, the ring of arenas, and the
 * heaps of the secondary ones. Each is checked by its structure as it is read. */
#ifndef FRAGSCOPE_ARENA_H
#define FRAGSCOPE_ARENA_H

#include "glibc/layout.h"
#include "glibc/walk.h"
#include "target/memory.h"

#include <stdbool.h>
#include <stdint.h>

/* One glibc in the target: dlmopen can load several. */
struct malloc_instance {
	const struct malloc_layout *layout;
	uint64_t main_arena;
	uint64_t par;
	unsigned minor; /* glibc 2.MINOR, or 0 when only the layout is known */
};

/* What mp_ holds. */
struct malloc_par {
	uint64_t trim_threshold_bytes;
	uint64_t mmap_threshold_bytes;
	uint64_t thp_page_bytes;  /* 0: none */
	uint64_t huge_page_bytes; /* 0: none */
	uint64_t n_mmaps;
	uint64_t mmapped_bytes;
	uint64_t sbrk_base;
	uint64_t tcache_count;
	uint64_t tcache_bins;
};

/* One struct malloc_state as it was read. */
struct arena {
	uint64_t addr;
	const struct malloc_layout *layout;
	unsigned instance;
	bool is_main;
	bool used; /* it has got memory */
	uint8_t raw[GLIBC_ARENA_MAX_SIZE];
};

/* 0, -ENODATA when it is swapped out, -EFAULT when it is not there at all, -EUCLEAN when
 * it is not mp_, or -errno. */
int arena_read_par(struct memory *memory, struct pages *pages,
		   const struct malloc_instance *instance, struct malloc_par *par);

/* Reads the ring of INSTANCE's arenas into ARENA, of which *COUNT are used and CAPACITY
 * exist; main_arena comes first. 0; -ENOSPC when there are more; -EUCLEAN when the ring
 * does not close or what is in it is no arena; -ENODATA and -EFAULT as above; -errno. */
int arena_read_ring(struct memory *memory, struct pages *pages,
		    const struct malloc_instance *instance, unsigned number,
		    struct arena *arena, unsigned capacity, unsigned *count);

/* Reads ARENA's malloc_state again. 0 or -errno; then ARENA is as it was. */
int arena_refresh(struct memory *memory, struct pages *pages, struct arena *arena);

uint64_t arena_top(const struct arena *arena);
uint64_t arena_system_bytes(const struct arena *arena);
uint64_t arena_attached_threads(const struct arena *arena);
bool arena_is_locked(const struct arena *arena);
bool arena_is_contiguous(const struct arena *arena);

/* The head of fastbin I (a chunk, or 0). */
uint64_t arena_fastbin(const struct arena *arena, unsigned i);

/* The forward and backward pointers of bin I + 1 (chunks); the bin is empty when they
 * equal arena_bin_self. */
uint64_t arena_bin_forward(const struct arena *arena, unsigned i);
uint64_t arena_bin_backward(const struct arena *arena, unsigned i);
uint64_t arena_bin_self(const struct arena *arena, unsigned i);

/* What a heap of a non-main arena is aligned to, and can grow to. */
uint64_t arena_heap_max_bytes(const struct malloc_layout *layout,
			      const struct malloc_par *par);

/* Called for each heap of a non-main arena with the heap's address. */
typedef int arena_heap_fn(uint64_t heap, const struct walk_segment *segment,
			  void *context);

/* Lists the heaps of the secondary ARENA, the one with the top first. 0, what FN
 * returned, -EUCLEAN when they do not hold together, -ENODATA, -errno. */
int arena_each_heap(struct memory *memory, struct pages *pages, const struct arena *arena,
		    const struct malloc_par *par, arena_heap_fn *fn, void *context);

#endif
