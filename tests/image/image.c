#include "image.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_SHIFT_MIN = 12, PAGE_SHIFT_MAX = 16, FILE_MAX = 256 << 20 };

/* ---- the file ---- */

struct reader {
	const uint8_t *at;
	size_t left;
};

static bool take(struct reader *reader, void *to, size_t bytes)
{
	if (reader->left < bytes)
		return false;
	memcpy(to, reader->at, bytes);
	reader->at += bytes;
	reader->left -= bytes;
	return true;
}

static bool header_holds(const struct image_header *header)
{
	return memcmp(header->magic, IMAGE_MAGIC, sizeof(header->magic)) == 0 &&
	       header->version == IMAGE_VERSION && header->page_shift >= PAGE_SHIFT_MIN &&
	       header->page_shift <= PAGE_SHIFT_MAX && header->instances >= 1 &&
	       header->instances <= HEAP_INSTANCES &&
	       header->regions <= IMAGE_TABLE_MAX && header->runs >= 1 &&
	       header->runs <= IMAGE_TABLE_MAX && header->zero == 0;
}

static const struct malloc_layout *layout_named(const char name[IMAGE_LAYOUT_NAME])
{
	for (unsigned i = 0; i < layout_count; i++)
		if (strncmp(layouts[i].name, name, IMAGE_LAYOUT_NAME) == 0)
			return &layouts[i];
	return NULL;
}

static bool take_instances(struct reader *reader, struct image *image, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct image_instance saved;
		struct malloc_instance *instance = &image->instance[i];

		if (!take(reader, &saved, sizeof(saved)) || saved.zero)
			return false;
		*instance = (struct malloc_instance){layout_named(saved.layout),
						     saved.main_arena, saved.par,
						     saved.minor};
		if (!instance->layout)
			return false;
	}
	image->instance_count = count;
	return true;
}

static bool is_aligned(const struct image *image, uint64_t addr)
{
	return !(addr & ((UINT64_C(1) << image->page_shift) - 1));
}

static bool take_regions(struct reader *reader, struct image *image, unsigned count)
{
	uint64_t before = 0;

	for (unsigned i = 0; i < count; i++) {
		struct image_region saved;

		if (!take(reader, &saved, sizeof(saved)) || saved.start < before ||
		    saved.end <= saved.start || saved.end >> 47 || saved.is_break > 1 ||
		    !is_aligned(image, saved.start | saved.end))
			return false;
		image->regions.region[i] =
			(struct region){saved.start, saved.end, saved.is_break != 0};
		before = saved.end;
	}
	image->regions.count = image->regions.capacity = count;
	return true;
}

static bool take_runs(struct reader *reader, struct image *image, unsigned count)
{
	uint64_t room = reader->left >> image->page_shift, free_from = 0;

	for (unsigned i = 0; i < count; i++) {
		struct image_run *run = &image->run[i];

		if (!take(reader, run, sizeof(*run)) || !run->pages ||
		    run->pages > room - image->page_count || run->addr < free_from ||
		    run->addr >> 47 || !is_aligned(image, run->addr))
			return false;
		image->run_page[i] = image->page_count;
		image->page_count += run->pages;
		/* One page of gap: a run ends where nothing is. */
		free_from = run->addr + ((run->pages + 1) << image->page_shift);
	}
	image->run_count = count;
	return true;
}

static int take_pages(struct reader *reader, struct image *image)
{
	uint64_t bytes = image->page_count << image->page_shift;

	if (reader->left != bytes)
		return -EPROTO;
	image->bytes = malloc(bytes);
	image->flags = malloc(image->page_count);
	if (!image->bytes || !image->flags)
		return -ENOMEM;
	memset(image->flags, PAGE_RESIDENT, image->page_count);
	take(reader, image->bytes, bytes);
	return 0;
}

static int fill(struct image *image, struct reader *reader)
{
	struct image_header header;

	if (!take(reader, &header, sizeof(header)) || !header_holds(&header))
		return -EPROTO;
	image->page_shift = header.page_shift;
	image->regions.region =
		calloc(header.regions + 1, sizeof(*image->regions.region));
	image->run = calloc(header.runs, sizeof(*image->run));
	image->run_page = calloc(header.runs, sizeof(*image->run_page));
	if (!image->regions.region || !image->run || !image->run_page)
		return -ENOMEM;
	if (!take_instances(reader, image, header.instances) ||
	    !take_regions(reader, image, header.regions) ||
	    !take_runs(reader, image, header.runs))
		return -EPROTO;
	return take_pages(reader, image);
}

int image_parse(struct image **image, const void *data, size_t size)
{
	struct image *new = calloc(1, sizeof(*new));
	struct reader reader = {data, size};
	int error = new ? fill(new, &reader) : -ENOMEM;

	if (error)
		image_free(new);
	else
		*image = new;
	return error;
}

static int read_whole(FILE *file, uint8_t **data, size_t *size)
{
	long end;

	if (fseek(file, 0, SEEK_END) || (end = ftell(file)) < 0 ||
	    fseek(file, 0, SEEK_SET))
		return -errno;
	if (end > FILE_MAX)
		return -EPROTO;
	*size = end;
	*data = malloc(*size + 1);
	if (!*data)
		return -ENOMEM;
	return fread(*data, 1, *size, file) == *size ? 0 : -EIO;
}

int image_load(struct image **image, const char *path)
{
	FILE *file = fopen(path, "rbe");
	uint8_t *data = NULL;
	size_t size = 0;
	int error;

	if (!file)
		return -errno;
	error = read_whole(file, &data, &size);
	fclose(file);
	if (!error)
		error = image_parse(image, data, size);
	free(data);
	return error;
}

void image_free(struct image *image)
{
	if (!image)
		return;
	free(image->regions.region);
	free(image->run);
	free(image->run_page);
	free(image->flags);
	free(image->bytes);
	free(image);
}

/* ---- looking things up ---- */

static uint64_t run_end(const struct image *image, unsigned run)
{
	return image->run[run].addr + (image->run[run].pages << image->page_shift);
}

/* The first run that ends behind ADDR, or run_count. */
static unsigned find_run(const struct image *image, uint64_t addr)
{
	unsigned low = 0, high = image->run_count;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (run_end(image, middle) <= addr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t image_page(const struct image *image, uint64_t addr)
{
	unsigned run = find_run(image, addr);

	if (run == image->run_count || addr < image->run[run].addr)
		return image->page_count;
	return image->run_page[run] +
	       ((addr - image->run[run].addr) >> image->page_shift);
}

uint8_t *image_at(const struct image *image, uint64_t addr, uint64_t len)
{
	unsigned run = find_run(image, addr);

	if (run == image->run_count || addr < image->run[run].addr ||
	    len > run_end(image, run) - addr)
		return NULL;
	return image->bytes + (image->run_page[run] << image->page_shift) +
	       (addr - image->run[run].addr);
}

/* ---- as a target's memory ---- */

static struct image_memory *memory_of(struct memory *memory)
{
	return (struct image_memory *)memory;
}

/* Counts one call; how often the limit has been reached by now. */
static uint64_t count(struct image_memory *memory, _Atomic uint64_t *counter)
{
	atomic_fetch_add(counter, 1);
	return memory->limit ? (memory->reads + memory->looks) / memory->limit : 0;
}

static bool is_resident(const struct image *image, const struct span *span)
{
	uint64_t page = image_page(image, span->addr);
	uint64_t last = image_page(image, span->addr + span->len - 1);

	for (; page <= last; page++)
		if (page == image->page_count || !(image->flags[page] & PAGE_RESIDENT))
			return false;
	return true;
}

static int image_read(struct memory *memory, const struct span *spans, unsigned wanted)
{
	struct image_memory *own = memory_of(memory);

	for (unsigned i = 0; i < wanted; i++) {
		const uint8_t *from = image_at(own->image, spans[i].addr, spans[i].len);

		if (count(own, &own->reads))
			return -ETIMEDOUT;
		if (!from || !is_resident(own->image, &spans[i])) {
			atomic_fetch_add(&own->outside, 1);
			return i;
		}
		memcpy(spans[i].to, from, spans[i].len);
	}
	return wanted;
}

static int image_pages(struct memory *memory, uint64_t start, unsigned wanted,
		       uint8_t *flags)
{
	struct image_memory *own = memory_of(memory);
	const struct image *image = own->image;
	uint64_t end = start + ((uint64_t)wanted << image->page_shift), past;

	past = count(own, &own->looks);
	if (past > 1 && own->exhausted)
		own->exhausted(own->context);
	memset(flags, past ? PAGE_RESIDENT : 0, wanted);
	if (past)
		return 0;
	for (unsigned run = find_run(image, start);
	     run < image->run_count && image->run[run].addr < end; run++) {
		uint64_t from = image->run[run].addr, to = run_end(image, run);

		from = from > start ? from : start;
		to = to < end ? to : end;
		memcpy(flags + ((from - start) >> image->page_shift),
		       image->flags + image_page(image, from),
		       (to - from) >> image->page_shift);
	}
	return 0;
}

void image_memory_init(struct image_memory *memory, const struct image *image)
{
	*memory = (struct image_memory){
		.memory = {.read = image_read,
			   .pages = image_pages,
			   .page_shift = image->page_shift},
		.image = image,
	};
}
