#include "glibc/locate.h"

#include "base/bytes.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENTS = 16, WINDOW_BYTES = 256 << 10 };

struct elf_segment {
	uint64_t vaddr;
	const uint8_t *data;
	uint64_t bytes; /* in the file */
	bool writable;
};

struct elf_image {
	int fd;
	char *window;
	const uint8_t *file;
	uint64_t file_bytes;
	unsigned relative_type;
	unsigned segment_count;
	struct elf_segment segment[SEGMENTS];
	uint64_t rela;
	uint64_t rela_bytes;
	uint64_t first_vaddr;
};

/* The file's bytes at VADDR, when BYTES of them lie in one segment. */
static const uint8_t *bytes_at(const struct elf_image *image, uint64_t vaddr,
			       uint64_t bytes)
{
	for (unsigned i = 0; i < image->segment_count; i++) {
		const struct elf_segment *segment = &image->segment[i];

		if (vaddr >= segment->vaddr && bytes <= segment->bytes &&
		    vaddr - segment->vaddr <= segment->bytes - bytes)
			return segment->data + (vaddr - segment->vaddr);
	}
	return NULL;
}

static void add_segment(struct elf_image *image, const GElf_Phdr *header)
{
	if (image->segment_count == SEGMENTS || header->p_offset > image->file_bytes ||
	    header->p_filesz > image->file_bytes - header->p_offset)
		return;
	if (header->p_offset == 0)
		image->first_vaddr = header->p_vaddr;
	image->segment[image->segment_count++] = (struct elf_segment){
		.vaddr = header->p_vaddr,
		.data = image->file + header->p_offset,
		.bytes = header->p_filesz,
		.writable = header->p_flags & PF_W,
	};
}

static void find_relocations(struct elf_image *image, const GElf_Phdr *dynamic)
{
	const uint8_t *at = bytes_at(image, dynamic->p_vaddr, dynamic->p_filesz);

	for (uint64_t i = 0; at && i + 16 <= dynamic->p_filesz; i += 16) {
		if (bytes_u64(at + i) == DT_RELA)
			image->rela = bytes_u64(at + i + 8);
		else if (bytes_u64(at + i) == DT_RELASZ)
			image->rela_bytes = bytes_u64(at + i + 8);
	}
}

static unsigned relative_type(unsigned machine)
{
	return machine == EM_X86_64    ? R_X86_64_RELATIVE
	       : machine == EM_AARCH64 ? R_AARCH64_RELATIVE
				       : 0;
}

static int open_image(Elf *elf, struct elf_image *image)
{
	GElf_Ehdr header;
	GElf_Phdr program;
	size_t count, file_bytes;

	image->file = (const uint8_t *)elf_rawfile(elf, &file_bytes);
	image->file_bytes = file_bytes;
	if (!image->file || gelf_getclass(elf) != ELFCLASS64 ||
	    !gelf_getehdr(elf, &header) || elf_getphdrnum(elf, &count) < 0)
		return -ENOEXEC;
	image->relative_type = relative_type(header.e_machine);
	if (!image->relative_type || header.e_ident[EI_DATA] != ELFDATA2LSB)
		return -ENOEXEC;
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, i, &program) && program.p_type == PT_LOAD)
			add_segment(image, &program);
	for (size_t i = 0; i < count; i++)
		if (gelf_getphdr(elf, i, &program) && program.p_type == PT_DYNAMIC)
			find_relocations(image, &program);
	return 0;
}

/* Called with each pointer of the file's writable data: its place and its value. */
typedef void pointer_fn(struct elf_image *image, uint64_t place, uint64_t value,
			void *context);

/* Pointers are relative relocations, or words in place (packed relocations, and programs
 * at a fixed address). */
static void each_pointer(struct elf_image *image, pointer_fn *fn, void *context)
{
	const uint8_t *rela = bytes_at(image, image->rela, image->rela_bytes);

	for (uint64_t i = 0; rela && i + 24 <= image->rela_bytes; i += 24)
		if ((uint32_t)bytes_u64(rela + i + 8) == image->relative_type)
			fn(image, bytes_u64(rela + i), bytes_u64(rela + i + 16), context);
	for (unsigned s = 0; s < image->segment_count; s++) {
		const struct elf_segment *segment = &image->segment[s];

		if (!segment->writable)
			continue;
		for (uint64_t i = -segment->vaddr & 7; i + 8 <= segment->bytes; i += 8)
			if (bytes_u64(segment->data + i))
				fn(image, segment->vaddr + i,
				   bytes_u64(segment->data + i), context);
	}
}

struct arena_search {
	const struct arena_layout *layout;
	uint64_t found;
	unsigned count;
};

/* main_arena starts as zeroes but for next (itself) and attached_threads (1): ptmalloc's
 * static initializer in malloc.c. */
static void test_arena(struct elf_image *image, uint64_t place, uint64_t value,
		       void *context)
{
	struct arena_search *search = context;
	const struct arena_layout *layout = search->layout;
	const uint8_t *at;

	if (place - value != layout->next || value == search->found)
		return;
	at = bytes_at(image, value, layout->attached_threads + 8);
	if (!at || bytes_u64(at + layout->attached_threads) != 1)
		return;
	for (unsigned i = 0; i < layout->next; i++)
		if (at[i])
			return;
	search->found = value;
	search->count++;
}

static bool test_par(const uint8_t *at, const struct par_layout *layout)
{
	const uint64_t initial = 128 << 10;

	return bytes_u64(at) == initial && bytes_u64(at + 16) == initial &&
	       bytes_u64(at + 24) == 8 && bytes_u32(at + layout->n_mmaps_max) == 65536 &&
	       bytes_u32(at + layout->n_mmaps) == 0 &&
	       bytes_u64(at + layout->mmapped_mem) == 0 &&
	       bytes_u64(at + layout->sbrk_base) == 0 &&
	       bytes_u64(at + layout->tcache_bins) == 64 &&
	       bytes_u64(at + layout->tcache_max_bytes) ==
		       layout->initial_tcache_max_bytes &&
	       bytes_u64(at + layout->tcache_count) == layout->initial_tcache_count;
}

/* Finds mp_ by its static initializer in malloc.c. */
static unsigned find_par(const struct elf_image *image, const struct par_layout *layout,
			 uint64_t *found)
{
	unsigned count = 0;

	for (unsigned s = 0; s < image->segment_count; s++) {
		const struct elf_segment *segment = &image->segment[s];

		if (!segment->writable)
			continue;
		for (uint64_t i = -segment->vaddr & 7; i + layout->size <= segment->bytes;
		     i += 8)
			if (test_par(segment->data + i, layout)) {
				*found = segment->vaddr + i;
				count++;
			}
	}
	return count;
}

/* The first TEXT in the file, and up to BEHIND bytes after it as a string: it is read
 * through a window, so that a program of 100 MB does not take as much of ours. */
static bool find_text(const struct elf_image *image, const char *text, char *after,
		      size_t behind)
{
	size_t length = strlen(text), kept = 0;

	for (uint64_t at = 0;;) {
		ssize_t got = pread(image->fd, image->window + kept, WINDOW_BYTES - kept,
				    (off_t)at);
		size_t bytes = kept + (got > 0 ? (size_t)got : 0);
		const char *found = memmem(image->window, bytes, text, length);

		if (found && after) {
			got = pread(image->fd, after, behind,
				    (off_t)(at - kept) + (found - image->window) +
					    (off_t)length);
			after[got > 0 ? got : 0] = '\0';
		}
		if (found || got <= 0)
			return found;
		at += (uint64_t)got;
		kept = bytes < length - 1 ? bytes : length - 1;
		memmove(image->window, image->window + bytes - kept, kept);
	}
}

/* The N of "release version 2.N", which libc.so prints when it is run. The loader states
 * a version as well, but is not the library. */
static unsigned stated_minor(const struct elf_image *image)
{
	char digits[4];

	if (!find_text(image, "release version 2.", digits, sizeof(digits) - 1) ||
	    !find_text(image, "GNU C Library (", NULL, 0))
		return 0;
	return strtoul(digits, NULL, 10);
}

static bool minor_fits(const struct malloc_layout *layout, unsigned minor)
{
	return !minor || (minor >= layout->first_minor && minor <= layout->last_minor);
}

/* Of a file that states no version. */
static bool texts_fit(const struct elf_image *image, const struct malloc_layout *layout)
{
	return (!layout->says || find_text(image, layout->says, NULL, 0)) &&
	       (!layout->never_says || !find_text(image, layout->never_says, NULL, 0));
}

/* Whether the image fits LAYOUT; fills the addresses. */
static bool fits(struct elf_image *image, const struct malloc_layout *layout,
		 struct located *located)
{
	struct arena_search search = {.layout = &layout->arena};

	each_pointer(image, test_arena, &search);
	if (search.count != 1 || find_par(image, &layout->par, &located->par) != 1)
		return false;
	located->main_arena = search.found;
	located->layout = layout;
	return true;
}

static int no_layout(const struct located *located, bool any_arena, unsigned fitting,
		     char *why, size_t why_size)
{
	if (fitting > 1)
		snprintf(
			why, why_size,
			"a static program that does not state its glibc version and fits "
			"several layouts");
	else if (located->minor)
		snprintf(why, why_size,
			 "glibc 2.%u, whose malloc has a layout that is not known",
			 located->minor);
	else if (any_arena)
		snprintf(why, why_size, "a glibc malloc of unknown version and layout");
	else
		return -ENOENT;
	return -ENOTSUP;
}

static bool has_arena(struct elf_image *image)
{
	for (unsigned i = 0; i < layout_count; i++) {
		struct arena_search search = {.layout = &layouts[i].arena};

		each_pointer(image, test_arena, &search);
		if (search.count)
			return true;
	}
	return false;
}

static int choose(struct elf_image *image, struct located *located, char *why,
		  size_t why_size)
{
	struct located found = {.minor = stated_minor(image),
				.first_vaddr = image->first_vaddr};
	unsigned fitting = 0;

	for (unsigned i = 0; i < layout_count; i++) {
		const struct malloc_layout *layout = &layouts[i];
		struct located here = found;

		/* The file is searched for texts last: that takes longest. */
		if (!minor_fits(layout, found.minor) || !fits(image, layout, &here) ||
		    (!found.minor && !texts_fit(image, layout)))
			continue;
		found = here;
		fitting++;
	}
	if (fitting != 1)
		return no_layout(&found, has_arena(image), fitting, why, why_size);
	*located = found;
	return 0;
}

int locate_malloc(int fd, struct located *located, char *why, size_t why_size)
{
	struct elf_image image = {.fd = fd, .window = malloc(WINDOW_BYTES)};
	int error = image.window ? -ENOEXEC : -ENOMEM;
	Elf *elf;

	elf = image.window && elf_version(EV_CURRENT) != EV_NONE
		      ? elf_begin(fd, ELF_C_READ_MMAP, NULL)
		      : NULL;
	if (elf && elf_kind(elf) == ELF_K_ELF)
		error = open_image(elf, &image);
	if (!error)
		error = choose(&image, located, why, why_size);
	elf_end(elf);
	free(image.window);
	return error;
}
