/* save_image.c: saves the malloc memory of a process that holds still:
 *
 *   save_image PID FILE
 *
 * The resident pages of its anonymous memory, and those of its libc that hold main_arena
 * and mp_. Exits with 1 and the reason on standard error. */
#include "image.h"

#include "base/sort.h"
#include "glibc/attach.h"
#include "target/live.h"
#include "target/maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct saver {
	struct live_memory live;
	struct pages *pages;
	uint64_t page_bytes;
	struct image_region region[IMAGE_TABLE_MAX];
	uint32_t regions;
	uint64_t page[IMAGE_TABLE_MAX];
	size_t page_count;
	struct image_run run[IMAGE_TABLE_MAX];
	uint32_t runs;
	uint8_t bytes[1 << 16];
};

/* Regions are joined as the reader of live heaps joins them. */
static int take_mapping(const struct mapping *mapping, void *context)
{
	struct saver *saver = context;
	struct image_region *last = saver->region + saver->regions - 1;
	bool is_break = !mapping->inode && strcmp(mapping->name, "[heap]") == 0;

	if (!is_break && !maps_is_anonymous(mapping))
		return 0;
	if (saver->regions && last->end == mapping->start && last->is_break == is_break)
		last->end = mapping->end;
	else if (saver->regions == IMAGE_TABLE_MAX)
		return -ENOSPC;
	else
		saver->region[saver->regions++] =
			(struct image_region){mapping->start, mapping->end, is_break};
	return 0;
}

static int take_pages(struct saver *saver, uint64_t start, uint64_t end)
{
	uint64_t at = pages_next_resident(saver->pages, start, end);

	for (; at < end; at = pages_next_resident(saver->pages, at, end)) {
		if (saver->page_count == IMAGE_TABLE_MAX)
			return -ENOSPC;
		saver->page[saver->page_count++] = at;
		at += saver->page_bytes;
	}
	return 0;
}

static int take_record(struct saver *saver, uint64_t addr, uint64_t bytes)
{
	uint64_t start = addr & -saver->page_bytes;
	uint64_t end = (addr + bytes + saver->page_bytes - 1) & -saver->page_bytes;

	return take_pages(saver, start, end);
}

static void make_runs(struct saver *saver)
{
	sort_addresses(saver->page, saver->page_count);
	saver->page_count = sort_unique(saver->page, saver->page_count);
	for (size_t i = 0; i < saver->page_count; i++) {
		struct image_run *last = saver->run + saver->runs - 1;

		if (saver->runs &&
		    last->addr + last->pages * saver->page_bytes == saver->page[i])
			last->pages++;
		else
			saver->run[saver->runs++] = (struct image_run){saver->page[i], 1};
	}
}

static int collect(struct saver *saver, const struct process *process,
		   const struct attached *attached)
{
	int error = maps_scan(process, take_mapping, saver);

	for (unsigned i = 0; i < attached->count && !error; i++) {
		const struct malloc_instance *instance = &attached->instance[i];

		error = take_record(saver, instance->main_arena,
				    instance->layout->arena.size);
		if (!error)
			error = take_record(saver, instance->par,
					    instance->layout->par.size);
	}
	for (uint32_t i = 0; i < saver->regions && !error; i++)
		error = take_pages(saver, saver->region[i].start, saver->region[i].end);
	make_runs(saver);
	return error;
}

static bool put(FILE *file, const void *data, size_t bytes)
{
	return fwrite(data, 1, bytes, file) == bytes;
}

static bool put_tables(FILE *file, const struct saver *saver,
		       const struct attached *attached)
{
	const struct image_header header = {
		.magic = IMAGE_MAGIC,
		.version = IMAGE_VERSION,
		.page_shift = saver->live.memory.page_shift,
		.instances = attached->count,
		.regions = saver->regions,
		.runs = saver->runs,
	};
	bool ok = put(file, &header, sizeof(header));

	for (unsigned i = 0; i < attached->count; i++) {
		const struct malloc_instance *from = &attached->instance[i];
		struct image_instance to = {.main_arena = from->main_arena,
					    .par = from->par,
					    .minor = from->minor};

		strncpy(to.layout, from->layout->name, sizeof(to.layout) - 1);
		ok &= put(file, &to, sizeof(to));
	}
	ok &= put(file, saver->region, saver->regions * sizeof(*saver->region));
	return ok && put(file, saver->run, saver->runs * sizeof(*saver->run));
}

static int put_pages(FILE *file, struct saver *saver)
{
	for (size_t i = 0; i < saver->page_count; i++) {
		int error = memory_fetch(&saver->live.memory, saver->pages,
					 saver->page[i], saver->bytes, saver->page_bytes);

		if (error)
			return error;
		if (!put(file, saver->bytes, saver->page_bytes))
			return -EIO;
	}
	return 0;
}

static int save(struct saver *saver, const struct process *process,
		const struct attached *attached, const char *path)
{
	FILE *file;
	int error = collect(saver, process, attached);

	if (error)
		return error;
	file = fopen(path, "wbe");
	if (!file)
		return -errno;
	error = put_tables(file, saver, attached) ? put_pages(file, saver) : -EIO;
	if (fclose(file) && !error)
		error = -errno;
	return error;
}

int main(int argc, char **argv)
{
	static struct saver saver;
	struct process process;
	struct attached attached;
	struct fault fault;
	int error;

	if (argc != 3) {
		fprintf(stderr, "usage: save_image PID FILE\n");
		return EXIT_USAGE;
	}
	if (process_open(&process, atoi(argv[1]), &fault) ||
	    attach(&process, &attached, &fault)) {
		fprintf(stderr, "save_image: %s\n", fault.text);
		return EXIT_FAILED;
	}
	live_init(&saver.live, &process,
		  live_can_scan(&process) ? PAGEMAP_IOCTL : PAGEMAP_FILE);
	saver.page_bytes = UINT64_C(1) << saver.live.memory.page_shift;
	saver.pages = pages_new(&saver.live.memory, 1024);
	error = saver.pages ? save(&saver, &process, &attached, argv[2]) : -ENOMEM;
	if (error)
		fprintf(stderr, "save_image: cannot save process %s to %s: %s\n", argv[1],
			argv[2], strerror(-error));
	pages_free(saver.pages);
	process_close(&process);
	return error ? EXIT_FAILED : EXIT_DONE;
}
