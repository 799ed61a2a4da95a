/* layout.h: where glibc's malloc keeps what, version by version: data only. A layout is
 * chosen by the structure of the libc file, never by its name; an unknown one is refused.
 */
#ifndef FRAGSCOPE_LAYOUT_H
#define FRAGSCOPE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

enum {
	GLIBC_BINS = 127, /* bins[0] is bin 1, the unsorted list */
	GLIBC_FASTBINS = 10,
	GLIBC_TCACHE_BINS = 76,
	GLIBC_MIN_CHUNK = 0x20,
	GLIBC_ALIGN = 16,
	GLIBC_ARENA_MAX_SIZE = 2208, /* the largest sizeof(struct malloc_state) */
	GLIBC_PAR_MAX_SIZE = 160,    /* the largest sizeof(struct malloc_par) */
};

/* The low bits of a chunk's size (malloc.c, "size field is or'ed with"). */
enum {
	CHUNK_PREV_INUSE = 1,
	CHUNK_MMAPPED = 2,
	CHUNK_NON_MAIN = 4,
	CHUNK_FLAGS = 7,
};

/* Offsets in struct malloc_state. */
struct arena_layout {
	uint16_t fastbins; /* 0: this version has none */
	uint16_t top;
	uint16_t bins;
	uint16_t next;
	uint16_t attached_threads;
	uint16_t system_mem;
	uint16_t size;
};

/* Offsets in struct malloc_par; trim_threshold, top_pad, mmap_threshold and arena_test
 * lie at 0, 8, 16 and 24 in every version. */
struct par_layout {
	uint16_t thp_pagesize; /* 0: this version has none */
	uint16_t hp_pagesize;  /* 0: this version has none */
	uint16_t n_mmaps;
	uint16_t n_mmaps_max;
	uint16_t mmapped_mem;
	uint16_t sbrk_base;
	uint16_t tcache_bins;
	uint16_t tcache_max_bytes;
	uint16_t tcache_count;
	uint16_t size;
	uint16_t initial_tcache_max_bytes; /* as the file has it before start */
	uint16_t initial_tcache_count;
};

/* struct tcache_perthread_struct. */
struct tcache_layout {
	uint16_t count_bytes; /* width of one count: 1 or 2 */
	uint16_t bins;
	uint16_t small_bins; /* bins of one size each; those above hold mixed sizes */
	uint16_t entries;    /* offset of the list heads */
	uint16_t
		chunk_bytes; /* the chunk that holds the structure; 16 more is seen too */
	bool counts_down;    /* the count is what is left of tcache_count */
};

struct malloc_layout {
	const char *name;
	unsigned first_minor; /* glibc 2.FIRST_MINOR to 2.LAST_MINOR */
	unsigned last_minor;
	struct arena_layout arena;
	struct par_layout par;
	struct tcache_layout tcache;
	uint16_t heap_info_bytes;
	bool safe_linking;	  /* list links are stored ^ (their address >> 12) */
	bool mmapped_has_trailer; /* an mmapped chunk's mapping has 16 bytes behind it */
	/* A message that the file holds, and one that it does not: they tell apart the
	 * layouts of static programs, which do not state their version. Null: any. */
	const char *says;
	const char *never_says;
};

extern const struct malloc_layout layouts[];
extern const unsigned layout_count;

/* The bin index of a free chunk of BYTES: 2 to 126 (glibc's bin_index, LP64). */
unsigned layout_bin_index(uint64_t bytes);

/* The size of the chunks in fastbin I, from 0 on (malloc.c, fastbin_index). */
static inline uint64_t layout_fastbin_bytes(unsigned i)
{
	return GLIBC_MIN_CHUNK + (uint64_t)i * GLIBC_ALIGN;
}

#endif
