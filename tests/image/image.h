/* image.h: the memory that glibc's malloc has in a process, saved to a file, standing in
 * for the process: the same bytes, pages and regions whenever it is read. Its pages can
 * be changed, so that a reader can be shown heaps that no program would leave behind. */
#ifndef FRAGSCOPE_TEST_IMAGE_H
#define FRAGSCOPE_TEST_IMAGE_H

#include "glibc/arena.h"
#include "glibc/heap.h"
#include "glibc/regions.h"
#include "target/memory.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* The file: a header, the instances, the regions, the runs, then the bytes of all pages.
 * Numbers are those of the machine; all parts are multiples of 8 bytes. */
#define IMAGE_MAGIC "fragimg"

enum {
	IMAGE_VERSION = 1,
	IMAGE_TABLE_MAX = 1 << 16, /* regions, and runs */
	IMAGE_LAYOUT_NAME = 32,
};

struct image_header {
	char magic[8];
	uint32_t version;
	uint32_t page_shift;
	uint32_t instances;
	uint32_t regions;
	uint32_t runs;
	uint32_t zero;
};

struct image_instance {
	char layout[IMAGE_LAYOUT_NAME];
	uint64_t main_arena;
	uint64_t par;
	uint32_t minor;
	uint32_t zero;
};

struct image_region {
	uint64_t start;
	uint64_t end;
	uint64_t is_break;
};

/* Pages that were resident, side by side; between two runs at least one was not. */
struct image_run {
	uint64_t addr;
	uint64_t pages;
};

struct image {
	unsigned page_shift;
	unsigned instance_count;
	struct malloc_instance instance[HEAP_INSTANCES];
	struct regions regions;
	unsigned run_count;
	struct image_run *run;
	uint64_t *run_page; /* the index of each run's first page */
	uint64_t page_count;
	uint8_t *flags; /* one a page: PAGE_RESIDENT, PAGE_SWAPPED or 0 */
	uint8_t *bytes; /* of all pages, in order of address */
};

/* Loads the image in the file at PATH, or of SIZE bytes at DATA, which are copied. 0 and
 * *IMAGE, the caller's to free; -EPROTO when it is no image, is cut or contradicts
 * itself; -ENOMEM; -errno of reading the file. */
int image_load(struct image **image, const char *path);
int image_parse(struct image **image, const void *data, size_t size);
void image_free(struct image *image);

/* The LEN bytes at ADDR, resident or not, to read and to change; null unless all of them
 * are in the image. */
uint8_t *image_at(const struct image *image, uint64_t addr, uint64_t len);

/* The index of the page that holds ADDR, or page_count. */
uint64_t image_page(const struct image *image, uint64_t addr);

/* An image as a target's memory. It counts what is asked for; several threads may. */
struct image_memory {
	struct memory memory; /* first: a struct memory is what the callbacks get */
	const struct image *image;
	_Atomic uint64_t reads;	  /* spans */
	_Atomic uint64_t looks;	  /* calls for the flags of pages */
	_Atomic uint64_t outside; /* spans that touch a page that is not resident */
	/* Of reads and looks together; 0: none. Behind it all reads fail with -ETIMEDOUT,
	 * and all pages seem resident, so that a search for one ends; behind twice the
	 * limit EXHAUSTED is called, which need not return. */
	uint64_t limit;
	void (*exhausted)(void *context);
	void *context;
};

/* Sets MEMORY up over IMAGE, which must outlive it; no limit. */
void image_memory_init(struct image_memory *memory, const struct image *image);

#endif
