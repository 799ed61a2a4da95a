#include "glibc/layout.h"

#include <stddef.h>

/* Sources: malloc/malloc.c and malloc/arena.c of each version; checked against the debug
 * information of Debian's 2.31, 2.36, 2.41, 2.43 and 2.44. */

#define ARENA_2_27                                                         \
	{                                                                  \
		.fastbins = 16, .top = 96, .bins = 112, .next = 2160,      \
		.attached_threads = 2176, .system_mem = 2184, .size = 2200 \
	}

#define ARENA_2_43                                                            \
	{                                                                     \
		.top = 8, .bins = 24, .next = 2072, .attached_threads = 2088, \
		.system_mem = 2096, .size = 2112                              \
	}

#define PAR_2_27                                                                         \
	{                                                                                \
		.n_mmaps = 40, .n_mmaps_max = 44, .mmapped_mem = 56, .sbrk_base = 72,    \
		.tcache_bins = 80, .tcache_max_bytes = 88, .tcache_count = 96,           \
		.size = 112, .initial_tcache_max_bytes = 1032, .initial_tcache_count = 7 \
	}

#define PAR_2_35                                                                         \
	{                                                                                \
		.thp_pagesize = 40, .hp_pagesize = 48, .n_mmaps = 60, .n_mmaps_max = 64, \
		.mmapped_mem = 80, .sbrk_base = 96, .tcache_bins = 104,                  \
		.tcache_max_bytes = 112, .tcache_count = 120, .size = 136,               \
		.initial_tcache_max_bytes = 1032, .initial_tcache_count = 7              \
	}

#define PAR_2_43(bytes)                                                                  \
	{                                                                                \
		.thp_pagesize = 48, .hp_pagesize = 56, .n_mmaps = 68, .n_mmaps_max = 72, \
		.mmapped_mem = 88, .sbrk_base = 104, .tcache_bins = 112,                 \
		.tcache_max_bytes = 120, .tcache_count = 128, .size = (bytes),           \
		.initial_tcache_max_bytes = 1041, .initial_tcache_count = 16             \
	}

#define TCACHE_2_27                                                            \
	{                                                                      \
		.count_bytes = 1, .bins = 64, .small_bins = 64, .entries = 64, \
		.chunk_bytes = 0x250                                           \
	}

#define TCACHE_2_30                                                             \
	{                                                                       \
		.count_bytes = 2, .bins = 64, .small_bins = 64, .entries = 128, \
		.chunk_bytes = 0x290                                            \
	}

#define TCACHE_2_42                                                             \
	{                                                                       \
		.count_bytes = 2, .bins = 76, .small_bins = 64, .entries = 152, \
		.chunk_bytes = 0x300, .counts_down = true                       \
	}

/* Messages of malloc_printerr that came or went with a version. */
#define SAYS_2_30 "malloc(): largebin double linked list corrupted (bk)"
#define SAYS_2_32 "malloc(): unaligned tcache chunk detected"
#define SAYS_2_42 "malloc(): chunk size mismatch in fastbin"

const struct malloc_layout layouts[] = {
	{"2.27-2.29", 27, 29, ARENA_2_27, PAR_2_27, TCACHE_2_27, 32, false, false, NULL,
	 SAYS_2_30},
	{"2.30-2.31", 30, 31, ARENA_2_27, PAR_2_27, TCACHE_2_30, 32, false, false,
	 SAYS_2_30, SAYS_2_32},
	{"2.32-2.34", 32, 34, ARENA_2_27, PAR_2_27, TCACHE_2_30, 32, true, false,
	 SAYS_2_32, NULL},
	{"2.35-2.41", 35, 41, ARENA_2_27, PAR_2_35, TCACHE_2_30, 48, true, false, NULL,
	 SAYS_2_42},
	{"2.42", 42, 42, ARENA_2_27, PAR_2_35, TCACHE_2_42, 48, true, false, SAYS_2_42,
	 NULL},
	{"2.43", 43, 43, ARENA_2_43, PAR_2_43(144), TCACHE_2_42, 48, true, true, NULL,
	 NULL},
	{"2.44", 44, 44, ARENA_2_43, PAR_2_43(136), TCACHE_2_42, 48, true, true, NULL,
	 NULL},
};

const unsigned layout_count = sizeof(layouts) / sizeof(*layouts);

unsigned layout_bin_index(uint64_t bytes)
{
	if (bytes < 1024)
		return bytes >> 4;
	if (bytes >> 6 <= 48)
		return 48 + (bytes >> 6);
	if (bytes >> 9 <= 20)
		return 91 + (bytes >> 9);
	if (bytes >> 12 <= 10)
		return 110 + (bytes >> 12);
	if (bytes >> 15 <= 4)
		return 119 + (bytes >> 15);
	if (bytes >> 18 <= 2)
		return 124 + (bytes >> 18);
	return 126;
}
